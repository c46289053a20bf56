//! What browsers get, in front of the edge: gRPC-Web, the dashboard's files, and what other pages may do (CORS).
//!
//! A call over gRPC-Web becomes a call of gRPC here and passes the whole of the edge behind; nothing of it is decided
//! here but one thing: a page of an origin that is not allowed gets no call through. Files need no token and hold
//! nothing of anybody.

mod config;
mod origin;
mod page;

pub use config::{OidcClient, WebConfig};
pub use origin::{Origin, OriginError};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use origin::{Origins, Standing};
use page::Page;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

/// What a call from another page may send.
const ALLOWED: HeaderValue =
    HeaderValue::from_static("authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent");
const METHODS: HeaderValue = HeaderValue::from_static("POST,OPTIONS");
/// What it may read of the answer.
const EXPOSED: HeaderValue = HeaderValue::from_static("grpc-status,grpc-message,grpc-status-details-bin,x-request-id");
/// Seconds until a browser asks again; none keeps an answer longer than two hours.
const PREFLIGHT: HeaderValue = HeaderValue::from_static("7200");
const VARIES: HeaderValue = HeaderValue::from_static("origin");

/// What is told to browsers, made once.
pub(crate) struct Web {
    origins: Origins,
    page: Page,
}

impl Web {
    /// `tls` is whether this server speaks TLS itself.
    pub(crate) fn new(config: &WebConfig, tls: bool) -> Self {
        Self { origins: Origins::new(config.origins.clone(), tls), page: Page::new(config) }
    }

    /// Whether a request is a call, and if not, its answer.
    fn way(&self, request: &Request<Body>) -> Way {
        let standing = self.origins.of(request);
        match *request.method() {
            Method::POST => self.call(request, standing),
            Method::OPTIONS => Way::Answer(self.preflight(request.headers(), standing)),
            _ => Way::Answer(self.page.answer(request)),
        }
    }

    fn call(&self, request: &Request<Body>, standing: Standing) -> Way {
        if standing == Standing::Foreign {
            tracing::debug!("a call of a page of another origin was refused; --allow-origin allows one");
            return Way::Answer(self.page.refusal(StatusCode::FORBIDDEN, "this origin may not call"));
        }
        match kind(request.headers()) {
            Kind::GrpcWeb => Way::Call { cors: Some(standing) },
            // What is called natively is answered natively, whatever it is, as it is without a dashboard.
            Kind::Other if request.version() == Version::HTTP_2 => Way::Call { cors: None },
            Kind::Other if !is_rpc(request.uri().path()) => Way::Answer(self.page.missing()),
            Kind::Text | Kind::Other => Way::Answer(self.page.refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "calls are gRPC over HTTP/2, or gRPC-Web as application/grpc-web+proto",
            )),
        }
    }

    /// The question of a browser whether a call of another page may be made.
    fn preflight(&self, headers: &HeaderMap, standing: Standing) -> Response<Body> {
        let mut answer = match standing {
            Standing::Foreign => self.page.refusal(StatusCode::FORBIDDEN, "this origin may not call"),
            Standing::None => self.page.missing(),
            Standing::Same | Standing::Allowed => {
                let mut answer = self.page.refusal(StatusCode::NO_CONTENT, "");
                answer.headers_mut().remove(CONTENT_TYPE);
                answer
            }
        };
        if standing == Standing::Allowed {
            allow(answer.headers_mut(), headers);
            answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
            answer.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT);
        }
        answer.headers_mut().insert(VARY, VARIES);
        answer
    }
}

/// Names the origin itself: `*` is never said.
fn allow(answer: &mut HeaderMap, asked: &HeaderMap) {
    if let Some(origin) = asked.get(http::header::ORIGIN) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

/// What becomes of a request.
enum Way {
    /// It goes on to the edge; what a page may read of the answer, if a page asks.
    Call {
        cors: Option<Standing>,
    },
    Answer(Response<Body>),
}

/// How a call is written down.
enum Kind {
    GrpcWeb,
    /// gRPC-Web in base64, for browsers of long ago.
    Text,
    Other,
}

/// Exactly as the translation knows them, so that nothing passes it by.
fn kind(headers: &HeaderMap) -> Kind {
    match headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default() {
        b"application/grpc-web" | b"application/grpc-web+proto" => Kind::GrpcWeb,
        other if other.starts_with(b"application/grpc-web") => Kind::Text,
        _ => Kind::Other,
    }
}

/// Whether a path has the form of `/package.Service/Method`.
fn is_rpc(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let (service, method) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    service.contains('.') && !method.is_empty() && parts.next().is_none()
}

/// Puts [`WebService`] around the edge.
#[derive(Clone)]
pub(crate) struct WebLayer(pub(crate) Arc<Web>);

impl<S> Layer<S> for WebLayer {
    type Service = WebService<S>;

    fn layer(&self, edge: S) -> WebService<S> {
        WebService { calls: GrpcWebLayer::new().layer(edge), web: Arc::clone(&self.0) }
    }
}

/// The outermost service.
#[derive(Clone)]
pub(crate) struct WebService<S> {
    calls: GrpcWebService<S>,
    web: Arc<Web>,
}

impl<S> Service<Request<Body>> for WebService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.calls, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let cors = match self.web.way(&request) {
            Way::Answer(answer) => return Box::pin(std::future::ready(Ok(answer))),
            Way::Call { cors } => cors,
        };
        let asked = cors.map(|standing| (standing, request.headers().clone()));
        let answering = self.calls.call(request);
        Box::pin(async move {
            let mut answer = answering.await?;
            if let Some((standing, asked)) = asked {
                if standing == Standing::Allowed {
                    allow(answer.headers_mut(), &asked);
                    answer.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
                }
                answer.headers_mut().insert(VARY, VARIES);
            }
            Ok(answer)
        })
    }
}

/// A body of these bytes.
fn whole(bytes: Bytes) -> Body {
    Body::new(http_body_util::Full::new(bytes))
}

#[cfg(test)]
mod tests;
