//! Refusals: what one bad address costs, and results that do not say whom they mean.

use super::play::start;
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, UnknownList, When, read_history};
use ferry_testkit::canary::people;
use ferry_testkit::judge::{Judge, Verdict, number_on_record};
use ferry_testkit::{LIST, Stage, StageOptions, canary, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// A batch of 250, one of them excluded by the account, and a fault.
async fn one_batch(scale: f64, rule: FaultRule) -> (Stage, pb::Run, Verdict) {
    let stage = Stage::with_sim(StageOptions { time_scale: scale }, |config| {
        config.accounts[0].excluded = vec![canary::email(7)];
    })
    .await;
    stage.sim.faults().add(rule);
    let run = start(&stage, &people(250)).await;
    let run = stage.ended(&run.name, SOON).await;
    let verdict = Judge::of(&stage, &run.name, (0..250).map(canary::email)).allowing(8 * 250).verdict().await;
    verdict.holds("one batch");
    (stage, run, verdict)
}

fn imports(stage: &Stage) -> u64 {
    let requests = stage.sim.report().requests;
    ["import_many", "import_one"].iter().filter_map(|class| requests.get(*class)).sum()
}

async fn reasons(stage: &Stage, run: &pb::Run) -> Vec<String> {
    let mut client = stage.client("administrator").await;
    let request = pb::ListRejectedProfilesRequest { name: run.name.clone(), page_size: 1_000, ..Default::default() };
    let answer = client.runs.list_rejected_profiles(request).await.unwrap().into_inner();
    answer.rejected_profiles.into_iter().map(|row| row.reason).collect()
}

fn refuse(contact: usize, text: &str) -> FaultRule {
    FaultRule::once(FaultKind::RefuseContact { contact, text: text.to_owned() })
}

/// F30, at both ends of the batch.
#[tokio::test]
async fn one_bad_address_of_250_costs_one_more_request_and_the_249_arrive() {
    for place in [1, 250] {
        let (stage, run, verdict) = one_batch(200.0, refuse(place, "Field 'email' incorrect format")).await;
        assert_eq!((run.state(), imports(&stage)), (State::Succeeded, 2), "of at most three");
        assert_eq!((verdict.counts.confirmed, verdict.counts.refused, verdict.extra), (248, 2, 0));
        let mut reasons = reasons(&stage, &run).await;
        reasons.sort();
        assert_eq!(reasons, ["DESTINATION_EMAIL_MALFORMED", "DESTINATION_REASON_NOT_GIVEN"]);
    }
}

/// F31.
#[tokio::test]
async fn a_batch_of_bad_addresses_costs_no_more_requests() {
    let (stage, run, verdict) = one_batch(200.0, FaultRule::once(FaultKind::RefuseAllContacts)).await;
    assert_eq!((run.state(), imports(&stage), verdict.counts.refused), (State::Succeeded, 1, 250));
}

/// F32.
#[tokio::test]
async fn a_reason_that_nobody_knows_is_not_made_into_one_that_somebody_knows() {
    let (stage, run, verdict) = one_batch(200.0, refuse(17, "Computer says no")).await;
    assert_eq!((verdict.counts.confirmed, verdict.counts.refused), (248, 2));
    assert!(reasons(&stage, &run).await.contains(&"DESTINATION_REFUSED_CONTACT".to_owned()));
}

/// F33: it names nobody, so nobody of them is to blame before it says so again.
#[tokio::test]
async fn a_refusal_of_nobody_is_asked_again_before_it_is_everybodys() {
    let (stage, run, verdict) = one_batch(200.0, FaultRule::once(FaultKind::RefuseOutOfRange)).await;
    assert_eq!((run.state(), imports(&stage), verdict.counts.confirmed), (State::Succeeded, 2, 249));
    let for_ever = FaultRule::once(FaultKind::RefuseOutOfRange).when(When::Always);
    let (stage, run, verdict) = one_batch(200.0, for_ever).await;
    assert_eq!((run.state(), imports(&stage), verdict.counts.refused), (State::Succeeded, 3, 250));
    assert!(reasons(&stage, &run).await.iter().all(|reason| reason == "DESTINATION_REFUSED_REQUEST"));
}

/// F34, in its three forms.
#[tokio::test]
async fn a_failure_is_the_one_row_that_it_means_in_capitals_and_twice() {
    for kind in [FaultKind::FailureInCapitals, FaultKind::FailureTwice] {
        let (_stage, run, verdict) = one_batch(200.0, FaultRule::once(kind).when(When::Always)).await;
        assert_eq!((run.state(), verdict.counts.confirmed, verdict.counts.refused), (State::Succeeded, 249, 1));
    }
}

#[tokio::test]
async fn a_failure_of_a_stranger_is_nobodys_and_a_new_look_settles_it() {
    let (stage, run, verdict) = one_batch(200.0, FaultRule::once(FaultKind::FailureOfStranger)).await;
    assert_eq!((run.state(), verdict.counts.confirmed, verdict.counts.refused), (State::Succeeded, 249, 1));
    assert_eq!(imports(&stage), 1);
}

#[tokio::test]
async fn a_failure_of_a_stranger_that_stays_makes_its_whole_batch_unknown() {
    let (stage, run, verdict) =
        one_batch(200.0, FaultRule::once(FaultKind::FailureOfStranger).when(When::Always)).await;
    assert!(super::has_stopped(&run, "OUTCOME_UNKNOWN", "CULPRIT_DESTINATION"), "{:?} {:?}", run.state(), run.error);
    assert_eq!((verdict.counts.confirmed, verdict.counts.refused, verdict.counts.unknown), (0, 0, 250));
    assert!(imports(&stage) <= 8);
}

/// F35.
#[tokio::test]
async fn r10_a_batch_that_stays_queued_ends_with_the_runs_time_and_is_unknown() {
    let (stage, run, verdict) = one_batch(500.0, FaultRule::once(FaultKind::BatchStuck)).await;
    assert_eq!(run.state(), State::TimedOut);
    assert!(super::has_stopped(&run, "TIMED_OUT", "CULPRIT_DESTINATION"), "{:?}", run.error);
    assert_eq!((imports(&stage), verdict.counts.unknown), (1, 250), "the destination has it: no repeat");
}

/// F35, over a crash: whoever takes the run over has what is left of its time.
#[tokio::test]
async fn a_run_that_is_killed_and_started_again_has_no_more_time_than_before() {
    let scale = 500.0;
    let limit_ms = (90.0 * 60_000.0 / scale) as i64;
    let mut stage = Stage::with(StageOptions { time_scale: scale }).await;
    stage.sim.faults().add(FaultRule::once(FaultKind::BatchStuck));
    let run = start(&stage, &people(250)).await;
    let millis = |time: &prost_types::Timestamp| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
    eventually(SOON, || async {
        let begun = stage.get_run(&run.name).await.start_time.as_ref().map(millis);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let most_is_over = begun.is_some_and(|begun| i64::try_from(now).unwrap() - begun >= limit_ms * 7 / 10);
        if most_is_over && imports(&stage) == 1 { Ok(()) } else { Err(begun) }
    })
    .await;
    stage.kill();
    stage.start().await;
    let run = stage.ended(&run.name, SOON).await;
    assert_eq!(run.state(), State::TimedOut, "{:?}", run.error);
    assert!(run.error.unwrap().status.unwrap().message.contains("90 minutes"));
    let took = millis(&run.end_time.unwrap()) - millis(&run.start_time.unwrap());
    assert!((limit_ms..limit_ms * 16 / 10).contains(&took), "{took} of {limit_ms} ms");
}

/// F36.
#[tokio::test]
async fn a_batch_that_the_destination_forgot_is_sent_again_and_not_before_ten_minutes() {
    let scale = 300.0;
    let (stage, run, verdict) = one_batch(scale, FaultRule::once(FaultKind::BatchForgotten)).await;
    assert_eq!((run.state(), verdict.counts.confirmed, verdict.extra), (State::Succeeded, 249, 250));
    let history = read_history(&stage.journal()).unwrap();
    let sent: Vec<u64> =
        history.requests.iter().filter(|request| request.is_import).map(|request| request.at_ms).collect();
    assert_eq!(sent.len(), 2);
    let minutes = (sent[1] - sent[0]) as f64 * scale / 60_000.0;
    assert!(minutes >= 9.9, "again after {minutes:.1} minutes");
}

/// With the next import, so after the run looked for the list.
fn deleted() -> FaultRule {
    FaultRule::once(FaultKind::ListDeleted { list: LIST }).on(Endpoint::Import)
}

/// F41, where the import is taken and the list left out.
#[tokio::test]
async fn a_list_that_was_deleted_on_the_way_is_told_although_every_import_was_taken() {
    let (_stage, run, verdict) = one_batch(200.0, deleted()).await;
    assert!(super::has_stopped(&run, "LIST_NOT_FOUND", "CULPRIT_USER"), "{:?} {:?}", run.state(), run.error);
    let text = run.error.unwrap().status.unwrap().message;
    assert!(text.contains("list 3") && text.contains("deleted"), "{text}");
    assert_eq!(verdict.counts.confirmed, 249);
}

/// F41, where imports for it are refused.
#[tokio::test]
async fn a_list_that_was_deleted_on_the_way_stops_a_run_whose_imports_are_refused_for_it() {
    let stage = Stage::with_sim(StageOptions { time_scale: 20.0 }, |config| {
        config.options.unknown_list = UnknownList::Refuse;
    })
    .await;
    let run = start(&stage, &people(5_000)).await;
    super::play::accepted(&stage, 3).await;
    stage.sim.faults().add(deleted());
    let run = stage.ended(&run.name, SOON).await;
    assert!(super::has_stopped(&run, "LIST_NOT_FOUND", "CULPRIT_USER"), "{:?} {:?}", run.state(), run.error);
    let refused = number_on_record(&stage, "SELECT COUNT(*) FROM batches WHERE state = 'split'").await;
    assert!((1..=4).contains(&refused), "{refused} batches were refused before the list was looked for");
    Judge::of(&stage, &run.name, (0..5_000).map(canary::email)).verdict().await.holds("a deleted list");
}
