//! What every request passes before its handler, from the outside in: a request id, a deadline, authentication.
//!
//! Health and reflection need no token; every other path does, known or not, so that nobody learns by trying which
//! methods there are.

use crate::authn::Verifier;
use crate::status::{RequestId, status};
use ferry_domain::Error;
use http::{HeaderValue, Request, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tower::{Layer, Service};

const OPEN: [&str; 3] =
    ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];
const REQUEST_ID: &str = "x-request-id";
/// No unary call takes longer, whatever the caller allows.
const LONGEST: Duration = Duration::from_secs(30);

/// Puts [`Edge`] around the services.
#[derive(Clone)]
pub(crate) struct EdgeLayer {
    verifier: Arc<Verifier>,
}

impl EdgeLayer {
    pub(crate) fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier }
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, verifier: Arc::clone(&self.verifier) }
    }
}

/// The edge of the service.
#[derive(Clone)]
pub(crate) struct Edge<S> {
    inner: S,
    verifier: Arc<Verifier>,
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
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let verifier = Arc::clone(&self.verifier);
        Box::pin(async move {
            let id = request_id(&request);
            request.extensions_mut().insert(id.clone());
            let open = OPEN.iter().any(|prefix| request.uri().path().starts_with(prefix));
            if !open {
                let values: Vec<&[u8]> =
                    request.headers().get_all(http::header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
                match verifier.verify(&values).await {
                    Ok(actor) => {
                        request.extensions_mut().insert(actor);
                    }
                    Err(refused) => {
                        tracing::info!(request.id = %id.0, ?refused, "a request without a valid token was refused");
                        return Ok(answer(Error::Unauthenticated, &id));
                    }
                }
            }
            let mut response = if open {
                inner.call(request).await?
            } else {
                let deadline = LONGEST.min(asked_deadline(&request).unwrap_or(LONGEST));
                match tokio::time::timeout(deadline, inner.call(request)).await {
                    Ok(response) => response?,
                    Err(_) => tonic::Status::deadline_exceeded("the deadline of the request has passed").into_http(),
                }
            };
            stamp(&mut response, &id);
            Ok(response)
        })
    }
}

fn answer(error: Error, id: &RequestId) -> Response<Body> {
    let mut response = status(error, id).into_http();
    stamp(&mut response, id);
    response
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

/// `grpc-timeout`: at most eight digits and a unit.
fn asked_deadline(request: &Request<Body>) -> Option<Duration> {
    let value = request.headers().get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}
