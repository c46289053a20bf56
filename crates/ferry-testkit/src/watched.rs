//! A connection whose every answer is searched for canaries on its way to the test.

use crate::canary::{self, Kind};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ferry_proto::v1 as pb;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use prost::Message;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::transport::{Channel, Endpoint};
use tower::Service;

/// Methods that exist to show people, to those who may see them.
const SHOW_PEOPLE: [&str; 3] = [
    "/ferry.v1.SegmentService/PreviewSegment",
    "/ferry.v1.RunService/GetRun",
    "/ferry.v1.RunService/ListRejectedProfiles",
];
/// Shows people in one place alone: the samples of a plan.
const SHOWS_SAMPLES: &str = SHOW_PEOPLE[1];
/// What comes before a message on the wire: whether it is packed, and its length.
const PREFIX: usize = 5;

/// See the module. A finding panics in the test that asked.
#[derive(Clone)]
pub struct Watched(Channel);

impl Watched {
    /// Connects in plain text.
    pub async fn connect(addr: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("an address is a URL");
        Self(endpoint.connect().await.expect("the service listens"))
    }
}

impl Service<Request<tonic::body::Body>> for Watched {
    type Response = Response<WatchedBody>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let method = request.uri().path().to_owned();
        let shows_people = SHOW_PEOPLE.contains(&method.as_str()) && may_see_people(request.headers());
        let answer = self.0.call(request);
        Box::pin(async move {
            let response = answer.await?;
            check_headers(&method, response.headers());
            let shown = WatchedBody { method, shows_people, ..WatchedBody::default() };
            Ok(response.map(|inner| WatchedBody { inner, ..shown }))
        })
    }
}

/// Whether the token gives a role above the viewer's, in whatever tenant: the tests of the policy tell tenants apart.
fn may_see_people(headers: &HeaderMap) -> bool {
    let token = headers.get(http::header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let claims = token.split(|byte| *byte == b'.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = String::from_utf8(claims.unwrap_or_default()).unwrap_or_default();
    claims.contains("\"contributor\"") || claims.contains("\"administrator\"")
}

/// Status, message, details and metadata are headers or trailers.
fn check_headers(method: &str, headers: &HeaderMap) {
    for (name, value) in headers {
        let found = canary::find(value.as_bytes(), |_| false);
        assert!(found.is_none(), "{method} answers with {} in `{name}`", found.unwrap_or_default());
    }
}

/// The body of an answer.
#[derive(Default)]
pub struct WatchedBody {
    inner: tonic::body::Body,
    method: String,
    shows_people: bool,
    /// The end of what was searched: a canary may lie across two frames.
    end: Vec<u8>,
    /// All of it, where the samples have to be taken out.
    whole: Vec<u8>,
}

impl WatchedBody {
    fn check(&mut self, frame: &Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_ref() {
            check_headers(&self.method, trailers);
            self.check_beside_samples();
        }
        if let Some(data) = frame.data_ref() {
            if self.method == SHOWS_SAMPLES {
                self.whole.extend_from_slice(data);
            }
            self.end.extend_from_slice(data);
            let found = canary::find(&self.end, |kind| self.shows_people && kind == Kind::Person);
            assert!(found.is_none(), "{} answers with {}", self.method, found.unwrap_or_default());
            self.end.drain(..self.end.len().saturating_sub(canary::longest()));
        }
    }
}

impl WatchedBody {
    fn check_beside_samples(&self) {
        let Some(message) = self.whole.get(PREFIX..) else { return };
        let mut answer = pb::GetRunResponse::decode(message).expect("an answer that was not packed");
        if let Some(summary) = answer.run.as_mut().and_then(|run| run.plan_summary.as_mut()) {
            summary.samples.clear();
        }
        let found = canary::find(&answer.encode_to_vec(), |_| false);
        assert!(found.is_none(), "{} answers with {} beside samples", self.method, found.unwrap_or_default());
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let next = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &next {
            self.check(frame);
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
