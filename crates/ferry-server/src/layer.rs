//! What every request passes before its handler. The order is declared here and nowhere else:
//!
//! 1. **Request id**, so that each answer carries one, refusals too; and the call's span, so that refusals are counted.
//! 2. **Deadline**, around all that follows: whoever waits for a key set or a place waits no longer than it allows.
//! 3. **Token.** Before anything is counted, so that a flood without tokens uses up nobody's places and nobody's budget.
//! 4. **Place** of the call, by the token's subject: before the first look into the database, and kept until the
//!    answer's body is sent.
//! 5. **Rights** that hold now, from the database.
//! 6. **Budget** of the tenant, in [`Call::new`](crate::service::Call::new): who pays depends on the rights and on the
//!    message. The message was decoded within its size limit by then.
//! 7. **Record** of a refusal, on the way back: whoever was refused for want of a right is told so once it is written
//!    down, and else that the service is unavailable.
//!
//! Health and reflection need no token, and have places of their own by the peer's address; every other path needs one, known or
//! not, so that nobody learns by trying which methods there are.

use crate::authn::Verifier;
use crate::deadline::Deadline;
use crate::limits::body::{Ending, Held};
use crate::limits::method::Streaming;
use crate::limits::rate::Rates;
use crate::limits::{Caller, Calls};
use crate::listener::{Peer, Remote};
use crate::status::{Asked, status};
use crate::told;
use crate::traced::{Traced, rpc};
use ferry_control::{Control, LastToken};
use ferry_domain::Error;
use ferry_domain::authz::{Actor, Call, Denial, Token};
use ferry_telemetry::Telemetry;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// What needs no token. It is not told of either: probes would be most of what is.
pub(crate) const OPEN: [&str; 3] =
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
    pub(crate) telemetry: Telemetry,
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
            let asked = Asked::new(request_id(&request));
            let (path, begun) = (request.uri().path().to_owned(), Instant::now());
            let remote = request.extensions().get::<Remote>().copied();
            request.extensions_mut().insert(asked.clone());
            let rpc = rpc(&gate.telemetry, &path, request.headers());
            let serving = async {
                match gate.in_time(inner, request, &asked).await {
                    Ok(response) => response,
                    Err(error) => status(error, &asked).into_http(),
                }
            };
            let mut response = match &rpc {
                Some(rpc) => rpc.around(serving).await,
                None => serving.await,
            };
            told::tell(&gate.streaming, &path, &asked, remote, begun.elapsed(), &response);
            stamp(&mut response, asked.id());
            Ok(match rpc {
                Some(rpc) => Traced::follow(&gate.telemetry, rpc, &gate.streaming, &path, &asked, response),
                None => response,
            })
        })
    }
}

impl Gate {
    async fn in_time<S>(&self, inner: S, request: Request<Body>, asked: &Asked) -> Result<Response<Body>, Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let deadline = Deadline::of(request.headers())?;
        let serving = self.pass(inner, request, asked, deadline);
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
        asked: &Asked,
        deadline: Deadline,
    ) -> Result<Response<Body>, Error>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let path = request.uri().path();
        let streaming = self.streaming.contains(path);
        let open = OPEN.iter().any(|prefix| path.starts_with(prefix));
        let token = if open { None } else { Some(self.authenticate(request.headers(), asked).await?) };
        let remote = request.extensions().get::<Remote>().copied();
        let caller = match &token {
            Some(token) => Caller::Subject(token.subject.clone()),
            None => Caller::Peer(remote.map_or(Peer::UNKNOWN, |remote| remote.peer)),
        };
        let slot = self.calls.take(caller, streaming)?;
        let mut actor = None;
        if let Some(token) = token {
            let origin = remote.map(|remote| remote.addr.to_string()).unwrap_or_default();
            let call = Call { correlation_id: asked.id().to_owned(), origin };
            if streaming {
                // A stream asks again, while it goes on, what its token opens.
                request.extensions_mut().insert(token.clone());
            }
            let admitted = self.control.admit(token).await?.calling(call);
            asked.by(&admitted);
            request.extensions_mut().insert(admitted.clone());
            request.extensions_mut().insert(Arc::clone(&self.rates));
            actor = Some(admitted);
        }
        let Ok(response) = inner.call(request).await;
        if let Some(actor) = &actor {
            let answered = told::answered(&response);
            self.record_refusal(actor, answered, asked).await?;
        }
        if open && !streaming {
            // A few bytes: whoever does not read them must not keep a place from a probe of the service's health.
            return Ok(response);
        }
        let token = response.extensions().get::<LastToken>().cloned();
        let ending = streaming.then(|| self.ending(deadline).telling(token));
        Ok(response.map(|body| Body::new(Held::new(body, slot, ending))))
    }

    /// Writes a refusal down before it is answered. What cannot be written down is not answered as a refusal either: a
    /// caller could learn by trying where nobody looks.
    async fn record_refusal(&self, actor: &Actor, answered: Code, asked: &Asked) -> Result<(), Error> {
        let Some(refusal) = asked.refusal() else {
            if answered == Code::PermissionDenied {
                return Err(Error::internal("a call was refused past the record", "no refusal is noted"));
            }
            return Ok(());
        };
        self.rates.charge_refusal(actor)?;
        self.control.denied(Denial::of(actor, refusal.clone())).await
    }

    async fn authenticate(&self, headers: &HeaderMap, asked: &Asked) -> Result<Token, Error> {
        let values: Vec<&[u8]> =
            headers.get_all(http::header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
        self.verifier.verify(&values).await.map_err(|refused| {
            tracing::info!(request.id = asked.id(), ?refused, "a request without a valid token was refused");
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

fn stamp(response: &mut Response<Body>, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

/// The caller's id if it is short and plain, else a new one.
fn request_id(request: &Request<Body>) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(plain).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}
