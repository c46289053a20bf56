//! What a slow or endless answer may hold: a place in the lane for a deadline, and a mebibyte.

use super::play::start;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, When, read_history};
use ferry_testkit::canary::people;
use ferry_testkit::judge::Judge;
use ferry_testkit::{Stage, StageOptions, canary};
use std::time::Duration;

const PEOPLE: usize = 2_500;
/// Of the service in a debug build, with eight answers on their way.
const MOST_BYTES: u64 = 160 * 1024 * 1024;
/// The promise; the deadline itself is eight seconds.
const LONGEST_HELD_MS: u64 = 60_000;

/// Every request for a minute of the destination's time.
fn for_a_minute(kind: &FaultKind, endpoint: Endpoint) -> FaultRule {
    FaultRule { seconds: Some(60.0), ..FaultRule::once(kind.clone()).when(When::Always).on(endpoint) }
}

async fn bounded(kind: FaultKind) {
    let stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    for endpoint in [Endpoint::Import, Endpoint::Status] {
        stage.sim.faults().add(for_a_minute(&kind, endpoint));
    }
    let run = start(&stage, &people(PEOPLE)).await;
    let run = stage.ended(&run.name, Duration::from_secs(150)).await;
    assert_eq!(run.state(), State::Succeeded, "{kind:?}: {:?}", run.error);
    let peak = stage.service().peak_memory();
    assert!(peak <= MOST_BYTES, "{kind:?}: {peak} bytes");
    let history = read_history(&stage.journal()).unwrap();
    let mut imports: Vec<u64> =
        history.requests.iter().filter(|request| request.is_import).map(|request| request.at_ms).collect();
    imports.sort_unstable();
    let longest = imports.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(longest <= LONGEST_HELD_MS, "{kind:?}: nothing went out for {longest} ms");
    let people = (0..PEOPLE).map(canary::email);
    let most = stage.sim.faults().struck() * 250;
    Judge::of(&stage, &run.name, people).allowing(most).verdict().await.holds(&format!("{kind:?}"));
}

/// F22 to F26, F18.
#[tokio::test(flavor = "multi_thread")]
async fn slow_and_endless_answers_hold_little_and_let_go() {
    let kinds = [
        FaultKind::SlowHeaders { every_ms: 1_000 },
        FaultKind::SlowBody { every_ms: 1_000 },
        FaultKind::StopReading,
        FaultKind::EndlessBody,
        FaultKind::GzipBomb,
        FaultKind::HugeHeader,
    ];
    let tests: Vec<_> = kinds.into_iter().map(|kind| tokio::spawn(bounded(kind))).collect();
    for test in tests {
        test.await.unwrap();
    }
}
