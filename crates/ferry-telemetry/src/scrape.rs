//! Prometheus' port: all metrics as text, to whoever can reach it. It needs no token, since it tells nothing of anybody.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus::{Encoder, Registry, TextEncoder};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; a scraper needs one.
const CONNECTIONS: usize = 16;
/// A connection is cut after this, whether it has asked or not.
const WHOLE: Duration = Duration::from_secs(10);
/// After a failure to accept, like too many open files.
const AGAIN: Duration = Duration::from_millis(100);

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, registry: Registry) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a scraper's connection was not accepted");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let registry = registry.clone();
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&registry, &request))));
            let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
            // Whoever breaks it off, or takes too long, asks again.
            let _over = tokio::time::timeout(WHOLE, served).await;
        });
    }
}

fn answer(registry: &Registry, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return response;
    }
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    if let Err(error) = encoder.encode(&registry.gather(), &mut text) {
        tracing::error!(%error, "the metrics cannot be written as text");
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    }
    let kind = http::HeaderValue::from_str(encoder.format_type());
    kind.into_iter().for_each(|kind| drop(response.headers_mut().insert(http::header::CONTENT_TYPE, kind)));
    *response.body_mut() = Full::from(text);
    response
}
