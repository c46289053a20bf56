//! One call by hand over HTTP/2, for what a gRPC client does not send, and for every byte of the answer.

use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tonic::Code;

/// All of an answer but its request id and its date.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    head: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    /// The status, wherever it stands.
    pub(crate) fn code(&self) -> Code {
        let status = self.head.get("grpc-status").or_else(|| self.trailers.get("grpc-status")).unwrap();
        Code::from_bytes(status.as_bytes())
    }
}

/// Calls a path with these values of `authorization` and further headers.
pub(crate) async fn ask(
    addr: SocketAddr,
    path: &str,
    authorization: &[String],
    headers: &[(&str, &str)],
    message: &impl prost::Message,
) -> Answer {
    let stream = TcpStream::connect(addr).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::post(format!("http://{addr}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for value in authorization {
        request = request.header("authorization", value);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let body = Full::new(Bytes::from([&[0], &length[..], &bytes].concat()));
    let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
    let (mut parts, body) = answer.into_parts();
    let collected = body.collect().await.unwrap();
    connection.abort();
    assert!(parts.headers.remove("x-request-id").is_some(), "every answer has a request id");
    parts.headers.remove("date");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Answer { head: parts.headers, body: collected.to_bytes(), trailers }
}
