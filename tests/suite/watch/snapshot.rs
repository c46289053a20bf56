//! What a stream begins with, and what comes after.

use super::{Asked, Seen, Watch, all, has_each_change, on_record, run_of, small, stage};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_proto::v1::watch_runs_response::Event;
use ferry_testkit::{Client, Stage};
use std::time::{Duration, Instant};
use tonic::Code;

/// Follows a run to its end.
async fn follow(watch: &mut Watch, run: &str) -> Seen {
    let mut seen = Seen::default();
    while !seen.has_ended(run) {
        let message = watch.must().await;
        run_of(&message).into_iter().for_each(|run| seen.take(run));
    }
    seen
}

#[tokio::test]
async fn a_snapshot_then_every_state_of_a_run_once_and_in_order_and_its_progress_between() {
    let (stage, export) = stage().await;
    let client = stage.client("viewer").await;
    let mut watch = Watch::open(&client, &Asked::all()).await.unwrap();
    let (runs, _) = watch.snapshot().await;
    assert!(runs.is_empty(), "nothing goes on: {runs:?}");
    let run = stage.run(&export).await;
    let begun = Instant::now();
    let seen = follow(&mut watch, &run.name).await;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(seen.of(&run.name), on_record(&stage, &run.name).await);
    has_each_change(&seen, &stage, &run.name).await;
    assert!(seen.of(&run.name).len() >= 7, "{:?}", seen.of(&run.name));
    assert!(seen.progress >= 3, "it moved, and was seen to: {}", seen.progress);
    let most = seconds * 5.0 + 2.0;
    assert!((seen.progress as f64) <= most, "{} times in {seconds} s", seen.progress);
    let ended = stage.get_run(&run.name).await;
    assert_eq!(seen.newest[&run.name], without_samples(ended));
}

fn without_samples(mut run: pb::Run) -> pb::Run {
    run.plan_summary.iter_mut().for_each(|summary| summary.samples.clear());
    run
}

#[tokio::test]
async fn whoever_comes_later_finds_what_goes_on_and_sees_the_rest() {
    let (stage, export) = stage().await;
    let run = stage.run(&export).await;
    let mut other = stage.client("viewer").await;
    // A dry run beside it, of another export.
    let small = stage.create_export("another", stage.export("newsletter", "people")).await;
    let request = pb::PlanExportRequest { name: small.name.clone(), ..Default::default() };
    let dry = stage.client("administrator").await.exports.plan_export(request).await.unwrap().into_inner().run.unwrap();
    for (asked, expected) in [
        (Asked::all(), vec![&run.name, &dry.name]),
        (Asked { parent: export.clone(), ..Asked::default() }, vec![&run.name]),
        (Asked { parent: small.name.clone(), ..Asked::default() }, vec![&dry.name]),
        (Asked { parent: export.clone(), run: run.name.clone(), ..Asked::default() }, vec![&run.name]),
    ] {
        let mut watch = Watch::open(&other, &asked).await.unwrap();
        let (runs, _) = watch.snapshot().await;
        let names: Vec<&String> = runs.iter().map(|run| &run.name).collect();
        assert_eq!(names, expected, "{asked:?}");
    }
    let mut watch = Watch::open(&other, &Asked { parent: export, ..Asked::default() }).await.unwrap();
    let (runs, _) = watch.snapshot().await;
    let mut seen = follow(&mut watch, &run.name).await;
    let newest = seen.newest.remove(&run.name).unwrap();
    assert!(runs.len() == 1 && super::version(&runs[0]) < super::version(&newest));
    assert!(seen.newest.is_empty(), "of another export: {:?}", seen.newest.keys());
    let read = other.runs.get_run(pb::GetRunRequest { name: run.name }).await.unwrap().into_inner().run.unwrap();
    assert_eq!(newest, read);
}

#[tokio::test]
async fn one_run_is_watched_to_its_end_and_then_the_stream_is_over() {
    let (stage, export) = small().await;
    let run = stage.run(&export).await;
    let client = stage.client("viewer").await;
    let mut watch = Watch::open(&client, &Asked::one(&run.name)).await.unwrap();
    let mut seen = Seen::default();
    let (runs, _) = watch.snapshot().await;
    runs.iter().for_each(|run| seen.take(run));
    let mut token = String::new();
    while let Some(message) = watch.next().await.unwrap() {
        run_of(&message).into_iter().for_each(|run| seen.take(run));
        token = message.resume_token;
    }
    assert_eq!(seen.newest[&run.name].state(), State::Succeeded);
    // One that has ended is told, and that is all; whoever knows it has nothing to learn.
    let mut watch = Watch::open(&client, &Asked::one(&run.name)).await.unwrap();
    let (runs, at_end) = watch.snapshot().await;
    assert_eq!(runs, [stage_run(&client, &run.name).await]);
    assert!(watch.next().await.unwrap().is_none());
    for token in [token, at_end].iter().filter(|token| !token.is_empty()) {
        let mut watch = Watch::open(&client, &Asked::one(&run.name).from(token)).await.unwrap();
        assert!(watch.next().await.unwrap().is_none());
    }
}

async fn stage_run(client: &Client, name: &str) -> pb::Run {
    let request = pb::GetRunRequest { name: name.to_owned() };
    client.clone().runs.get_run(request).await.unwrap().into_inner().run.unwrap()
}

/// What a watcher is told is what `GetRun` tells a viewer, whoever watches: no samples of people.
#[tokio::test]
async fn every_role_sees_of_a_run_what_get_run_shows_a_viewer() {
    let stage = Stage::new().await;
    let run = stage.run_csv(&ferry_testkit::canary::people(40)).await;
    let expected = stage_run(&stage.client("viewer").await, &run.name).await;
    for role in ["viewer", "contributor", "administrator"] {
        let mut watch = Watch::open(&stage.client(role).await, &Asked::one(&run.name)).await.unwrap();
        assert_eq!(watch.snapshot().await.0, std::slice::from_ref(&expected), "{role}");
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_watched() {
    let (stage, export) = small().await;
    let client = stage.client("viewer").await;
    let nowhere = |asked: Asked| {
        let client = client.clone();
        async move { Watch::open(&client, &asked).await.err().map(|status| status.code()) }
    };
    let parent = |parent: String| Asked { parent, ..Asked::default() };
    assert_eq!(nowhere(parent(format!("{export}-not"))).await, Some(Code::NotFound));
    assert_eq!(nowhere(parent("tenants/globex/exports/-".to_owned())).await, Some(Code::PermissionDenied));
    assert_eq!(nowhere(parent(String::new())).await, Some(Code::InvalidArgument));
    let imaginary = format!("{export}/runs/0192f0c1-0000-7000-8000-000000000000");
    assert_eq!(nowhere(Asked::one(&imaginary)).await, Some(Code::NotFound));
    let foreign = imaginary.replace("acme", "globex");
    assert_eq!(nowhere(Asked::one(&foreign)).await, Some(Code::InvalidArgument));
    assert_eq!(nowhere(Asked::one("a run")).await, Some(Code::InvalidArgument));
}

#[tokio::test]
async fn a_quiet_stream_has_a_heartbeat_whose_token_moves_on() {
    let (stage, export) = small().await;
    let client = stage.client("viewer").await;
    let quiet = stage.create_export("another", stage.export("newsletter", "people")).await;
    let asked = Asked { parent: quiet.name, ..Asked::default() };
    let mut watch = Watch::open(&client, &asked).await.unwrap();
    let (_, first) = watch.snapshot().await;
    let begun = Instant::now();
    let run = stage.run(&export).await;
    stage.ended(&run.name, super::SOON).await;
    let message = watch.must().await;
    assert_eq!(message.event, Some(Event::Heartbeat(true)), "nothing of it is for this watcher");
    let waited = begun.elapsed();
    assert!((Duration::from_secs(13)..Duration::from_secs(19)).contains(&waited), "{waited:?}");
    assert_ne!(message.resume_token, first);
    // The log is cut up to what the heartbeat has seen: only its token is still good.
    let mut stage = stage;
    stage.kill();
    super::alter(&stage, "UPDATE run_change_heads SET removed_through = number").await;
    super::alter(&stage, "DELETE FROM run_changes").await;
    stage.start().await;
    let client = stage.client("viewer").await;
    assert!(Watch::open(&client, &asked.from(&message.resume_token)).await.is_ok());
    let late = Watch::open(&client, &asked.from(&first)).await.err().unwrap();
    assert_eq!(late.code(), Code::OutOfRange);
    assert!(Watch::open(&client, &Asked { parent: all(), ..Asked::default() }).await.is_ok());
}
