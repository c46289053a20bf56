//! The end of the service: every watcher gets a token, and it works at the next start.

use super::{Asked, Seen, Watch, last_token, on_record, reason, run_of, stage};
use ferry_testkit::{Client, Stage, TENANT};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Code;

/// Watchers, each twenty of one caller, on connections of their own.
pub(super) async fn crowd(stage: &Stage, count: usize) -> Vec<Watch> {
    let mut watches = Vec::new();
    for caller in 0..count.div_ceil(20) {
        let claims = [("tenants", serde_json::json!({ TENANT: "viewer" }))];
        let client = Client::connect(stage.addr(), &stage.sign(&format!("watcher-{caller}"), &claims)).await;
        for _ in 0..20.min(count - watches.len()) {
            let mut watch = Watch::open(&client, &Asked::all()).await.unwrap();
            watch.snapshot().await;
            watches.push(watch);
        }
    }
    watches
}

async fn stops_with(count: usize) {
    let (mut stage, export) = stage().await;
    stage.restart_and(&["--max-watchers-per-tenant=2000".to_owned()], &[]).await;
    let watches = crowd(&stage, count).await;
    // One that speaks HTTP/2 and never answers.
    let mut silent = TcpStream::connect(stage.addr()).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
    let run = stage.run(&export).await;
    let mut readers = Vec::new();
    for mut watch in watches {
        readers.push(tokio::spawn(async move {
            let mut seen = Seen::default();
            loop {
                match watch.next().await {
                    Ok(message) => {
                        run_of(&message.expect("it does not just end")).into_iter().for_each(|r| seen.take(r))
                    }
                    Err(status) => return (seen, status),
                }
            }
        }));
    }
    ferry_testkit::eventually(super::SOON, || async {
        let run = stage.get_run(&run.name).await;
        if run.counts.is_some_and(|counts| counts.confirmed > 0) { Ok(()) } else { Err(run.state()) }
    })
    .await;
    let begun = Instant::now();
    let ending = stage.stop();
    let mut left = Vec::new();
    for reader in readers {
        let (seen, status) = reader.await.unwrap();
        assert_eq!(reason(&status), (Code::Unavailable, "UNAVAILABLE".to_owned()), "{status:?}");
        left.push((seen, last_token(&status)));
    }
    assert_eq!(ending.await.unwrap(), Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(silent);
    stage.start().await;
    stage.ended(&run.name, super::SOON).await;
    let expected = on_record(&stage, &run.name).await;
    for (number, (mut seen, token)) in left.into_iter().enumerate() {
        // Twenty streams are one caller's; each is opened alone.
        let claims = [("tenants", serde_json::json!({ TENANT: "viewer" }))];
        let caller = stage.sign(&format!("watcher-{}", number / 20), &claims);
        let client = Client::connect(stage.addr(), &caller).await;
        let mut watch = Watch::open(&client, &Asked::all().from(&token)).await.unwrap();
        while !seen.has_ended(&run.name) {
            run_of(&watch.must().await).into_iter().for_each(|run| seen.take(run));
        }
        assert_eq!(seen.of(&run.name), expected, "watcher {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_gives_each_watcher_a_token_that_goes_on_at_the_next_start() {
    stops_with(60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_stop_with_a_thousand_watchers() {
    if ferry_testkit::asked() {
        stops_with(1_000).await;
    }
}
