//! Deadlines, asked for by a client that keeps none of its own.

use super::{LISTEN, channel};
use ferry_testkit::Stage;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::net::TcpStream;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The code of a call whose message never comes, and whether the answer has a request id.
async fn hanging(stage: &Stage, deadline: &str) -> (Code, bool) {
    let stream = TcpStream::connect(stage.addr()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let body = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let request = hyper::Request::post(format!("http://{}/ferry.v1.RunService/GetRun", stage.addr()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {}", stage.token("viewer")))
        .header("grpc-timeout", deadline)
        .body(UnsyncBoxBody::new(body))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    connection.abort();
    let code = Code::from_bytes(answer.headers()["grpc-status"].as_bytes());
    (code, answer.headers().contains_key("x-request-id"))
}

#[tokio::test]
async fn a_deadline_is_kept_passed_or_refused_but_never_ignored() {
    let mut stage = Stage::new().await;
    // One place, so that a call that kept it past its deadline would refuse the next.
    stage.restart_with(&[LISTEN, "--max-requests-per-caller=1"]).await;
    for deadline in ["0S", "1n", "1m", "20m"] {
        for _ in 0..10 {
            assert_eq!(hanging(&stage, deadline).await, (Code::DeadlineExceeded, true), "{deadline}");
        }
    }
    for deadline in ["5", "1s", "-1S", "123456789S"] {
        assert_eq!(hanging(&stage, deadline).await, (Code::InvalidArgument, true), "{deadline}");
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_callers_deadline_and_not_with_its_head() {
    let stage = Stage::new().await;
    let mut request = Request::new(HealthCheckRequest::default());
    request.set_timeout(std::time::Duration::from_millis(500));
    let mut stream = HealthClient::new(channel(stage.addr()).await).watch(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some(), "it is open behind its head");
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}
