//! Going on with a token: no gap, and no state that comes twice.

use super::{Asked, Seen, Watch, has_each_change, on_record, run_of, stage, version};
use ferry_proto::v1 as pb;
use ferry_proto::v1::watch_runs_response::Event;
use ferry_testkit::Client;

/// The whole stream of one run, from its beginning.
async fn recorded(client: &Client, run: &str) -> Vec<pb::WatchRunsResponse> {
    let mut watch = Watch::open(client, &Asked::one(run)).await.unwrap();
    let mut messages = Vec::new();
    while let Some(message) = watch.next().await.unwrap() {
        messages.push(message);
    }
    messages
}

fn seen<'a>(messages: impl IntoIterator<Item = &'a pb::WatchRunsResponse>) -> Seen {
    let mut seen = Seen::default();
    messages.into_iter().filter_map(run_of).for_each(|run| seen.take(run));
    seen
}

#[tokio::test]
async fn cut_after_any_message_a_stream_goes_on_without_a_gap_and_without_a_repeat() {
    let (stage, export) = stage().await;
    let run = stage.run(&export).await;
    let client = stage.client("viewer").await;
    let messages = recorded(&client, &run.name).await;
    let complete = messages.iter().position(|message| message.event == Some(Event::SnapshotComplete(true))).unwrap();
    let whole = seen(&messages);
    assert!(whole.of(&run.name).len() >= 5 && messages.len() > complete + 5, "{:?}", whole.states);
    for (cut, message) in messages.iter().enumerate() {
        let asked = Asked::one(&run.name).from(&message.resume_token);
        let mut watch = Watch::open(&client, &asked).await.unwrap();
        let mut rest = Vec::new();
        while let Some(message) = watch.next().await.unwrap() {
            rest.push(message);
        }
        if cut < complete {
            // A snapshot that was not whole begins again.
            assert!(matches!(rest[0].event, Some(Event::Run(_))) && rest.len() == 2, "{rest:?}");
            continue;
        }
        // Both together are the whole, and `Seen` fails at a state that comes twice or goes back.
        let both = seen(messages[..=cut].iter().chain(&rest));
        assert_eq!(both.of(&run.name), whole.of(&run.name), "cut after message {cut}");
        assert_eq!(both.newest, whole.newest, "cut after message {cut}");
        // Each change of it is a version of its own: one that was told is not told again.
        let told = messages[..=cut].iter().filter_map(run_of).next_back().map_or(0, version);
        let versions: Vec<i64> = rest.iter().map(|message| version(run_of(message).unwrap())).collect();
        assert!(versions.iter().all(|version| *version > told) && versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    }
}

/// A reader that is cut off after each message sees what one sees that never is.
#[tokio::test]
async fn cut_after_every_message_while_the_run_goes_on_each_state_comes_once() {
    let (stage, export) = stage().await;
    let client = stage.client("viewer").await;
    let mut watch = Watch::open(&client, &Asked::all()).await.unwrap();
    let (_, mut token) = watch.snapshot().await;
    drop(watch);
    let run = stage.run(&export).await;
    let (mut seen, mut cuts) = (Seen::default(), 0);
    while !seen.has_ended(&run.name) {
        let mut watch = Watch::open(&client, &Asked::all().from(&token)).await.unwrap();
        let message = watch.must().await;
        run_of(&message).into_iter().for_each(|run| seen.take(run));
        token = message.resume_token;
        cuts += 1;
    }
    assert!(cuts > 8, "{cuts}");
    has_each_change(&seen, &stage, &run.name).await;
    assert_eq!(seen.of(&run.name), on_record(&stage, &run.name).await);
}

/// The log of a reader that was away: more of it than one read brings.
#[tokio::test]
async fn a_reader_that_was_away_for_long_gets_everything_in_order() {
    let (stage, export) = super::small().await;
    let client = stage.client("viewer").await;
    let mut watch = Watch::open(&client, &Asked::all()).await.unwrap();
    let (_, token) = watch.snapshot().await;
    drop(watch);
    let mut runs = Vec::new();
    let mut administrator = stage.client("administrator").await;
    for _ in 0..45 {
        let request = pb::PlanExportRequest { name: export.clone(), ..Default::default() };
        runs.push(administrator.exports.plan_export(request).await.unwrap().into_inner().run.unwrap().name);
    }
    for run in &runs {
        stage.ended(run, super::SOON).await;
    }
    let count: i64 = super::column(&stage, "SELECT CAST(COUNT(*) AS TEXT) FROM run_changes").await[0].parse().unwrap();
    assert!(count > 200, "{count} changes are one read");
    let mut watch = Watch::open(&client, &Asked::all().from(&token)).await.unwrap();
    let mut seen = Seen::default();
    while !runs.iter().all(|run| seen.has_ended(run)) {
        let message = watch.must().await;
        run_of(&message).into_iter().for_each(|run| seen.take(run));
    }
    for run in &runs {
        assert_eq!(seen.of(run), on_record(&stage, run).await, "{run}");
        has_each_change(&seen, &stage, run).await;
    }
}
