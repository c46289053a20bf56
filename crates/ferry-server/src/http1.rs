//! Connections that speak HTTP/1.1: browsers without TLS, and whoever asks for the page. gRPC's transport would take
//! them too, but with 400 KiB of headers each.

use crate::listener::Connection;
use crate::server::{AGE, AGE_GRACE, HEADER_BYTES};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::Connected;
use tower::{Service, ServiceExt};

/// For the whole head of a request, and for the pause before the next one.
const HEAD: Duration = Duration::from_secs(30);

/// Serves until the sender is gone and every connection has ended. With `ending`, each ends after the answer that it is
/// at. What is still open when this future is dropped is cut.
pub(crate) async fn serve<S>(mut arrivals: mpsc::Receiver<Connection>, service: S, ending: CancellationToken)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next() => {}
            arrived = arrivals.recv() => match arrived {
                Some(connection) => {
                    open.spawn(one(connection, service.clone(), ending.clone()));
                }
                None => break,
            },
        }
    }
    while open.join_next().await.is_some() {}
}

async fn one<S>(connection: Connection, service: S, ending: CancellationToken)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let remote = connection.connect_info();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(remote);
        service.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEADER_BYTES as usize);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = async { tokio::select! { () = ending.cancelled() => {}, () = tokio::time::sleep(AGE) => {} } } => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(AGE_GRACE, serving).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!("a connection did not end and was cut"),
            }
        }
    };
    // A browser that goes away is no fault.
    if let Err(error) = ended {
        tracing::debug!(timeout = error.is_timeout(), parse = error.is_parse(), "a connection of HTTP/1.1 was cut");
    }
}
