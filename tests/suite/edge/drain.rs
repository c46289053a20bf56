//! The end of the service.

use super::{LISTEN, SOON, channel};
use ferry_testkit::{Stage, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn a_stop_ends_open_streams_with_a_word_and_waits_for_no_silent_client() {
    let mut stage = Stage::new().await;
    stage.restart_with(&[LISTEN]).await;
    let mut watches = Vec::new();
    let mut health = HealthClient::new(channel(stage.addr()).await);
    for _ in 0..50 {
        let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        watches.push(watch);
    }
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(stage.addr()).await.unwrap());
        let mut half = TcpStream::connect(stage.addr()).await.unwrap();
        // The preface and empty settings; it never reads what it is answered.
        half.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
        silent.push(half);
    }
    let ending = stage.stop();
    for mut watch in watches {
        let told = watch.message().await.unwrap().unwrap();
        assert_eq!(told.status(), ServingStatus::NotServing);
        let end = watch.message().await.unwrap_err();
        assert_eq!(end.code(), Code::Unavailable);
        assert!(end.message().contains("shutting down"), "it was ended, not cut: {end:?}");
    }
    assert_eq!(tokio::time::timeout(SOON, ending).await.unwrap().unwrap(), Some(0));
    drop(silent);
    eventually(SOON, || async {
        TcpStream::connect(stage.addr()).await.map_or_else(|_| Ok(()), |_| Err("it listens"))
    })
    .await;
}
