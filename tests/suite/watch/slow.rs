//! Readers that do not read: they hold up nobody, are given up, and go on with their token.

use super::{Asked, Seen, Watch, last_token, on_record, reason, run_of, small};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run_service_client::RunServiceClient;
use ferry_testkit::Stage;
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;
use tonic::{Code, Request};

/// A reader that lets the transport take next to nothing for it.
async fn narrow(stage: &Stage) -> Watch {
    let endpoint = Endpoint::from_shared(format!("http://{}", stage.addr())).unwrap();
    let channel = endpoint.initial_stream_window_size(1_024).connect().await.unwrap();
    let mut request = Request::new(pb::WatchRunsRequest { parent: super::all(), ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {}", stage.token("viewer")).parse().unwrap());
    Watch::of(RunServiceClient::new(channel).watch_runs(request).await.unwrap().into_inner())
}

/// Many changes of state: each dry run has some.
async fn many_changes(stage: &Stage, export: &str, runs: usize) -> Vec<String> {
    let mut administrator = stage.client("administrator").await;
    let mut names = Vec::new();
    for _ in 0..runs {
        let request = pb::PlanExportRequest { name: export.to_owned(), ..Default::default() };
        names.push(administrator.exports.plan_export(request).await.unwrap().into_inner().run.unwrap().name);
    }
    for name in &names {
        stage.ended(name, super::SOON).await;
    }
    names
}

async fn take(watch: &mut Watch, seen: &mut Seen) -> Result<Option<String>, tonic::Status> {
    let Some(message) = watch.next().await? else { return Ok(None) };
    run_of(&message).into_iter().for_each(|run| seen.take(run));
    Ok(Some(message.resume_token))
}

#[tokio::test]
async fn one_with_64_kib_waiting_is_closed_and_its_token_loses_nothing() {
    let (stage, export) = small().await;
    let mut slow = narrow(&stage).await;
    slow.snapshot().await;
    let mut fast = Watch::open(&stage.client("contributor").await, &Asked::all()).await.unwrap();
    fast.snapshot().await;
    let reading = tokio::spawn(async move {
        let mut seen = Seen::default();
        while take(&mut fast, &mut seen).await.unwrap().is_some() {
            if seen.newest.len() == 60 && seen.newest.values().all(|run| run.end_time.is_some()) {
                return seen;
            }
        }
        seen
    });
    let runs = many_changes(&stage, &export, 60).await;
    let whole = reading.await.unwrap();
    let mut seen = Seen::default();
    let mut newest = String::new();
    let status = loop {
        match take(&mut slow, &mut seen).await {
            Ok(token) => newest = token.expect("it is closed, and not over"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&status), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
    assert!(status.message().contains("resume token"), "{}", status.message());
    let token = last_token(&status);
    assert!(!newest.is_empty() && !seen.states.is_empty());
    let mut watch = Watch::open(&stage.client("viewer").await, &Asked::all().from(&token)).await.unwrap();
    while !runs.iter().all(|run| seen.has_ended(run)) {
        take(&mut watch, &mut seen).await.unwrap();
    }
    for run in &runs {
        let expected = on_record(&stage, run).await;
        assert_eq!((seen.of(run), whole.of(run)), (&expected[..], &expected[..]), "{run}");
    }
}

/// Nothing but a minute shows that nobody is there: some changes fit into the queue.
#[tokio::test]
async fn one_that_takes_nothing_for_a_minute_is_closed() {
    let (stage, export) = small().await;
    let mut slow = narrow(&stage).await;
    // What the transport takes in advance, and some more, but not 64 KiB.
    many_changes(&stage, &export, 9).await;
    let begun = Instant::now();
    let places = || async {
        let log = std::fs::read_to_string(stage.log()).unwrap_or_default();
        log.contains("a watcher takes nothing")
    };
    while !places().await {
        assert!(begun.elapsed() < Duration::from_secs(90), "it is not given up");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(50), "{:?}", begun.elapsed());
    let status = slow.end().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let token = last_token(&status);
    let mut watch = Watch::open(&stage.client("viewer").await, &Asked::all().from(&token)).await.unwrap();
    assert!(run_of(&watch.must().await).is_some(), "and the rest comes");
}
