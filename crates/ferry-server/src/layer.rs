//! What every request passes before its handler. The order is declared here and nowhere else:
//!
//! 1. **Request id**, so that each answer carries one, refusals too.
//! 2. **Deadline**, around all that follows: whoever waits for a key set or a place waits no longer than it allows.
//! 3. **Token.** Before anything is counted, so that a flood without tokens uses up nobody's places and nobody's budget.
//! 4. **Place** of the call, by the token's subject: before the first look into the database, and kept until the
//!    answer's body is sent.
//! 5. **Rights** that hold now, from the database.
//! 6. **Budget** of the tenant, in [`Call::new`](crate::service::Call::new): who pays depends on the rights and on the
//!    message. The message was decoded within its size limit by then.
//!
//! Health and reflection need no token, and have places of their own by the peer's address; every other path needs one, known or
//! not, so that nobody learns by trying which methods there are.

use crate::authn::Verifier;
use crate::deadline::Deadline;
use crate::limits::body::{Ending, Held};
use crate::limits::method::Streaming;
use crate::limits::rate::Rates;
use crate::limits::{Caller, Calls};
use crate::listener::Peer;
use crate::status::{RequestId, status};
use ferry_control::Control;
use ferry_domain::Error;
use ferry_domain::authz::Token;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

const OPEN: [&str; 3] =
    ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];
const REQUEST_ID: &str = "x-request-id";

/// What the edge asks and counts with.
pub(crate) struct Gate {
    pub(crate) verifier: Verifier,
    pub(crate) control: Control,
    pub(crate) streaming: Streaming,
    pub(crate) calls: Calls,
    pub(crate) rates: Arc<Rates>,
    /// Ends the open streams.
    pub(crate) ending: CancellationToken,
}

/// Puts [`Edge`] around the services.
#[derive(Clone)]
pub(crate) struct EdgeLayer(pub(crate) Arc<Gate>);

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, gate: Arc::clone(&self.0) }
    }
}

/// The edge of the service.
#[derive(Clone)]
pub(crate) struct Edge<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone that was polled ready serves this request, a fresh one the next.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let id = request_id(&request);
            request.extensions_mut().insert(id.clone());
            let mut response = match gate.in_time(inner, request, &id).await {
                Ok(response) => response,
                Err(error) => status(error, &id).into_http(),
            };
            stamp(&mut response, &id);
            Ok(response)
        })
    }
}

impl Gate {
    async fn in_time<S>(&self, inner: S, request: Request<Body>, id: &RequestId) -> Result<Response<Body>, Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let deadline = Deadline::of(request.headers())?;
        let serving = self.pass(inner, request, id, deadline);
        // A deadline of nothing has passed; a timer would still let the call try once.
        if deadline.head.is_zero() {
            return Ok(too_late().into_http());
        }
        tokio::time::timeout(deadline.head, serving).await.unwrap_or_else(|_| Ok(too_late().into_http()))
    }

    async fn pass<S>(
        &self,
        mut inner: S,
        mut request: Request<Body>,
        id: &RequestId,
        deadline: Deadline,
    ) -> Result<Response<Body>, Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let path = request.uri().path();
        let streaming = self.streaming.contains(path);
        let open = OPEN.iter().any(|prefix| path.starts_with(prefix));
        let token = if open { None } else { Some(self.authenticate(request.headers(), id).await?) };
        let caller = match &token {
            Some(token) => Caller::Subject(token.subject.clone()),
            None => Caller::Peer(request.extensions().get::<Peer>().copied().unwrap_or(Peer::UNKNOWN)),
        };
        let slot = self.calls.take(caller, streaming)?;
        if let Some(token) = token {
            let actor = self.control.admit(token).await?;
            request.extensions_mut().insert(actor);
            request.extensions_mut().insert(Arc::clone(&self.rates));
        }
        let Ok(response) = inner.call(request).await;
        if open && !streaming {
            // A few bytes: whoever does not read them must not keep a place from a probe of the service's health.
            return Ok(response);
        }
        let ending = streaming.then(|| self.ending(deadline));
        Ok(response.map(|body| Body::new(Held::new(body, slot, ending))))
    }

    async fn authenticate(&self, headers: &HeaderMap, id: &RequestId) -> Result<Token, Error> {
        let values: Vec<&[u8]> =
            headers.get_all(http::header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
        self.verifier.verify(&values).await.map_err(|refused| {
            tracing::info!(request.id = %id.0, ?refused, "a request without a valid token was refused");
            Error::Unauthenticated
        })
    }

    fn ending(&self, deadline: Deadline) -> Ending {
        let last_word = if deadline.asked {
            too_late()
        } else {
            Status::unavailable("the stream has lasted as long as one may; open the next")
        };
        Ending::new(self.ending.clone(), deadline.stream, last_word)
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("the deadline of the request has passed")
}

fn stamp(response: &mut Response<Body>, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

/// The caller's id if it is short and plain, else a new one.
fn request_id(request: &Request<Body>) -> RequestId {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    RequestId(given.filter(plain).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned))
}
