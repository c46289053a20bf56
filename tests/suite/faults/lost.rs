//! Answers that are lost: unknown until a repeat settles it, and failed in no count.

use super::play::start;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule};
use ferry_testkit::canary::people;
use ferry_testkit::judge::{Judge, attempts_on_record};
use ferry_testkit::{Stage, StageOptions, canary, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);

async fn settled_by_a_repeat(kind: FaultKind) {
    let stage = Stage::with(StageOptions { time_scale: 50.0 }).await;
    stage.sim.faults().add(FaultRule::once(kind.clone()).on(Endpoint::Import));
    let run = start(&stage, &people(500)).await;
    let seen = eventually(SOON, || async {
        let seen = stage.get_run(&run.name).await;
        let counts = seen.counts.unwrap_or_default();
        assert_eq!((counts.refused, counts.rejected, counts.unknown), (0, 0, 0), "{kind:?}: failed on the way");
        if seen.end_time.is_some() { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert_eq!(seen.state(), State::Succeeded, "{kind:?}: {:?}", seen.error);
    let mut outcomes: Vec<String> = attempts_on_record(&stage).await.into_iter().map(Option::unwrap).collect();
    // On a busy machine an intent may be too old before it is sent.
    outcomes.retain(|outcome| outcome != "void");
    outcomes.sort();
    assert_eq!(outcomes, ["queued", "queued", "unknown"], "{kind:?}");
    let verdict = Judge::of(&stage, &run.name, (0..500).map(canary::email)).allowing(250).verdict().await;
    verdict.holds(&format!("{kind:?}"));
    assert_eq!((verdict.counts.confirmed, verdict.extra), (500, 250), "{kind:?}");
}

/// F12 to F15.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_unknown_until_a_recorded_repeat_settles_it() {
    let kinds = [
        FaultKind::NeverAnswer,
        FaultKind::ResetAfterwards,
        FaultKind::CutAnswer { after_bytes: 0 },
        FaultKind::CutAnswer { after_bytes: 100 },
        FaultKind::DelayAnswer { delay_ms: 9_000 },
    ];
    let tests: Vec<_> = kinds.into_iter().map(|kind| tokio::spawn(settled_by_a_repeat(kind))).collect();
    for test in tests {
        test.await.unwrap();
    }
}

/// Rows that may have arrived are not called refused because a later attempt was.
#[tokio::test]
async fn what_may_have_arrived_is_not_refused_by_a_later_attempt() {
    let stage = Stage::with(StageOptions { time_scale: 200.0 }).await;
    stage.sim.faults().add(FaultRule::once(FaultKind::ResetAfterwards).on(Endpoint::Import));
    let refused = FaultRule::once(FaultKind::RefuseOutOfRange).when(ferry_sim::When::Always);
    stage.sim.faults().add(refused);
    let run = start(&stage, &people(250)).await;
    let run = stage.ended(&run.name, SOON).await;
    let verdict = Judge::of(&stage, &run.name, (0..250).map(canary::email)).verdict().await;
    verdict.holds("a refusal after a lost answer");
    assert_eq!((verdict.counts.unknown, verdict.counts.refused), (250, 0));
    let error = run.error.unwrap();
    assert_eq!((error.reason.as_str(), error.culprit().as_str_name()), ("OUTCOME_UNKNOWN", "CULPRIT_DESTINATION"));
}

/// Eight attempts, each later than the one before; then the run says that the destination failed.
#[tokio::test]
async fn a_batch_is_tried_eight_times_and_an_outage_costs_few_requests() {
    let stage = Stage::with(StageOptions { time_scale: 150.0 }).await;
    let outage = FaultRule::once(FaultKind::ServerError).when(ferry_sim::When::Always).on(Endpoint::Import);
    stage.sim.faults().add(outage);
    let run = start(&stage, &people(5_000)).await;
    let run = stage.ended(&run.name, SOON).await;
    assert!(super::has_stopped(&run, "DESTINATION_FAILED", "CULPRIT_DESTINATION"), "{:?} {:?}", run.state(), run.error);
    let most = ferry_testkit::judge::number_on_record(&stage, "SELECT MAX(attempts) FROM batches").await;
    assert_eq!(most, 8);
    let imports = stage.sim.report().requests["import_many"];
    // Nothing new goes out once four have failed; three more may be on their way by then.
    assert!(imports <= (4 + 3) * 8, "{imports} requests");
    let history = ferry_sim::read_history(&stage.journal()).unwrap();
    let mut digests: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    history.requests.iter().filter_map(|request| request.body_sha256.clone()).for_each(|digest| {
        *digests.entry(digest).or_default() += 1;
    });
    assert!(digests.values().all(|times| *times <= 8), "{digests:?}");
    Judge::of(&stage, &run.name, (0..5_000).map(canary::email)).verdict().await.holds("an outage");
}
