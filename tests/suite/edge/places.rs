//! Counted places: streams, requests at work, connections.

use super::{LISTEN, SOON, ask_acme, channel, healthy, retry_delay};
use ferry_proto::v1 as pb;
use ferry_testkit::{Stage, eventually};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

type Watch = Streaming<HealthCheckResponse>;

/// Opens 100 streams on each of five connections.
async fn five_hundred(addr: SocketAddr) -> (Vec<Watch>, Vec<Status>) {
    let (mut open, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut health = HealthClient::new(channel(addr).await);
        for _ in 0..100 {
            match health.watch(HealthCheckRequest::default()).await {
                Ok(stream) => open.push(stream.into_inner()),
                Err(status) => refused.push(status),
            }
        }
    }
    (open, refused)
}

#[tokio::test]
async fn streams_are_cut_at_the_limit_and_their_places_come_back() {
    let mut stage = Stage::new().await;
    for (args, places) in [
        ([LISTEN, "--max-streams-per-caller=70", "--max-streams=1000"], 70),
        ([LISTEN, "--max-streams-per-caller=1000", "--max-streams=90"], 90),
    ] {
        stage.restart_with(&args).await;
        let (mut open, refused) = five_hundred(stage.addr()).await;
        assert_eq!((open.len(), refused.len()), (places, 500 - places));
        assert!(refused.iter().all(|status| status.code() == Code::ResourceExhausted));
        assert!(!retry_delay(&refused[0]).is_zero());
        for stream in &mut open {
            assert!(stream.message().await.unwrap().is_some(), "an open stream is served");
        }
        healthy(channel(stage.addr()).await).await.unwrap();
        drop(open);
        eventually(SOON, || async {
            let (open, _) = five_hundred(stage.addr()).await;
            if open.len() == places { Ok(()) } else { Err(open.len()) }
        })
        .await;
    }
}

/// A call whose message never comes. Where there is no place for it yet, it asks again.
fn never(addr: SocketAddr, path: &'static str, token: &str) -> tokio::task::JoinHandle<()> {
    let bearer: tonic::metadata::AsciiMetadataValue = format!("Bearer {token}").parse().unwrap();
    tokio::spawn(async move {
        let mut client = tonic::client::Grpc::new(channel(addr).await);
        loop {
            client.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<pb::GetRunRequest, pb::GetRunResponse>::default();
            let mut request = Request::new(tokio_stream::pending());
            request.metadata_mut().insert("authorization", bearer.clone());
            let _refused = client.client_streaming(request, path.parse().unwrap(), codec).await;
        }
    })
}

#[tokio::test]
async fn a_caller_with_all_its_requests_at_work_holds_up_nobody_else() {
    let mut stage = Stage::new().await;
    stage.restart_with(&[LISTEN, "--max-requests-per-caller=1"]).await;
    let (ada, bob) = (stage.client("administrator").await, stage.client("viewer").await);
    let hanging = never(stage.addr(), "/ferry.v1.RunService/GetRun", &stage.token("administrator"));
    let refused = eventually(SOON, || async { ask_acme(&ada).await.err().ok_or("not at work yet") }).await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(!retry_delay(&refused).is_zero());
    ask_acme(&bob).await.unwrap();
    hanging.abort();
    eventually(SOON, || ask_acme(&ada)).await;
}

#[tokio::test]
async fn calls_without_a_token_take_no_place_of_those_with_one() {
    let mut stage = Stage::new().await;
    stage.restart_with(&[LISTEN, "--max-requests=1"]).await;
    let hanging = never(stage.addr(), "/grpc.health.v1.Health/Check", "");
    eventually(SOON, || async { healthy(channel(stage.addr()).await).await.err().ok_or("not at work yet") }).await;
    ask_acme(&stage.client("viewer").await).await.unwrap();
    hanging.abort();
    eventually(SOON, || async { healthy(channel(stage.addr()).await).await }).await;
}

/// What a connection hears before it is cut.
async fn heard(addr: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut heard = Vec::new();
    let _reset = tokio::time::timeout(SOON, stream.read_to_end(&mut heard)).await.expect("it is cut");
    heard
}

#[tokio::test]
async fn connections_that_do_not_speak_are_cut_and_hold_up_nobody() {
    let stage = Stage::new().await;
    let addr = stage.addr();
    let slow: Vec<_> = [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"].map(|said| heard(addr, said)).into();
    let slow = tokio::spawn(async move {
        for (number, slow) in slow.into_iter().map(tokio::spawn).collect::<Vec<_>>().into_iter().enumerate() {
            assert!(slow.await.unwrap().is_empty(), "{number}");
        }
    });
    healthy(channel(addr).await).await.unwrap();
    slow.await.unwrap();
}

#[tokio::test]
async fn connections_of_a_peer_are_counted() {
    let mut stage = Stage::new().await;
    stage.restart_with(&[LISTEN, "--max-connections-per-peer=2"]).await;
    let first = channel(stage.addr()).await;
    healthy(first.clone()).await.unwrap();
    let silent = TcpStream::connect(stage.addr()).await.unwrap();
    eventually(SOON, || async {
        let mut third = TcpStream::connect(stage.addr()).await.map_err(|_| "closed")?;
        let mut byte = [0];
        // A connection that is let in hears nothing before it speaks.
        let closed = tokio::time::timeout(std::time::Duration::from_millis(200), third.read(&mut byte)).await;
        if matches!(closed, Ok(Ok(0) | Err(_))) { Ok(()) } else { Err("it was let in") }
    })
    .await;
    healthy(first).await.unwrap();
    drop(silent);
    eventually(SOON, || async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", stage.addr())).unwrap();
        let channel = endpoint.connect().await.map_err(|_| "closed")?;
        healthy(channel).await.map_err(|_| "cut")
    })
    .await;
}
