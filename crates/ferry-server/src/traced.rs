//! What the metrics and the trace are told of calls.

use crate::layer::OPEN;
use crate::limits::method::Streaming;
use crate::status::Asked;
use crate::told::{answered, word};
use bytes::Bytes;
use ferry_domain::TenantId;
use ferry_domain::authz::{held, policy};
use ferry_domain::name::tenant_in;
use ferry_telemetry::{Rpc, StreamOpen, Telemetry};
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::{Code, Status};

/// Stands for every path that is no RPC: such a path is whatever its caller wrote.
const NO_METHOD: &str = "none";

/// A call begins; nothing for those that need no token.
pub(crate) fn rpc(telemetry: &Telemetry, path: &str, headers: &HeaderMap) -> Option<Rpc> {
    let open = OPEN.iter().any(|prefix| path.starts_with(prefix));
    (!open).then(|| telemetry.rpc(method(path), headers))
}

fn method(path: &str) -> &'static str {
    path.strip_prefix("/ferry.v1.").and_then(policy::find).map_or(NO_METHOD, |rule| rule.method)
}

/// The tenant that a call was about, if its caller holds a role there: what anybody may write is no label.
fn tenant(path: &str, asked: &Asked) -> Option<TenantId> {
    let tenant = tenant_in(asked.resource())?;
    let rule = path.strip_prefix("/ferry.v1.").and_then(policy::find)?;
    (!held(asked.actor()?, Some(&tenant), rule.least).is_empty()).then_some(tenant)
}

/// The body of a stream, whose call ends with it.
pub(crate) struct Traced {
    inner: Body,
    rpc: Option<Rpc>,
    _open: StreamOpen,
}

impl Traced {
    /// Ends the call with the head of its answer, or with the last word of its stream.
    pub(crate) fn follow(
        telemetry: &Telemetry,
        mut rpc: Rpc,
        methods: &Streaming,
        path: &str,
        asked: &Asked,
        response: Response<Body>,
    ) -> Response<Body> {
        if let Some(tenant) = tenant(path, asked) {
            rpc.about(tenant.as_str());
        }
        let code = answered(&response);
        if code != Code::Ok || !methods.contains(path) {
            rpc.ended(word(code));
            return response;
        }
        let open = telemetry.stream_open(method(path));
        response.map(|inner| Body::new(Self { inner, rpc: Some(rpc), _open: open }))
    }
}

impl HttpBody for Traced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(rpc) = self.rpc.take()
        {
            let code = trailers.get("grpc-status").map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
            rpc.ended(word(code));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
