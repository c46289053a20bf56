//! Waits that the destination asks for: in every form, by a 429, a 503, and the 400 of the imports.

use super::play::{accepted, help, rested, start};
use ferry_proto::v1::run::{PauseReason, State};
use ferry_sim::{Endpoint, FaultKind, FaultRule, RetryAfter, read_history};
use ferry_testkit::canary::people;
use ferry_testkit::judge::Judge;
use ferry_testkit::{Stage, StageOptions, TENANT, canary};
use tokio::sync::Semaphore;

const PEOPLE: usize = 2_500;
/// A request that was on its way when the wait was announced cannot know of it; real milliseconds.
const ON_ITS_WAY_MS: u64 = 1_000;
/// At most so many are: four imports and four questions.
const ON_THEIR_WAY: usize = 8;
/// More services at once would keep each other busy for longer than a request may be on its way.
static TURNS: Semaphore = Semaphore::const_new(4);

/// Nothing may come for so many seconds of the destination's time after a request was told to wait.
async fn obeyed(scale: f64, seconds: f64, endpoint: Endpoint, kind: FaultKind) {
    let _turn = TURNS.acquire().await.unwrap();
    let name = format!("{kind:?} on {endpoint:?}");
    let stage = Stage::with(StageOptions { time_scale: scale }).await;
    let run = start(&stage, &people(PEOPLE)).await;
    accepted(&stage, 2).await;
    stage.sim.faults().add(FaultRule::once(kind).on(endpoint));
    let run = rested(&stage, &run).await;
    assert_eq!(run.state(), State::Succeeded, "{name}: {:?}", run.error);
    let verdict = Judge::of(&stage, &run.name, (0..PEOPLE).map(canary::email)).verdict().await;
    verdict.holds(&name);
    assert_eq!(verdict.counts.confirmed, PEOPLE as i64, "{name}");
    let history = read_history(&stage.journal()).unwrap();
    let told = history.requests.iter().find(|request| request.fault.is_some()).unwrap();
    let (told, answered) = (told.at_ms, told.answered_ms.unwrap());
    let until = told + (seconds * 1_000.0 / scale) as u64;
    let early: Vec<u64> =
        history.requests.iter().map(|request| request.at_ms).filter(|at| *at > answered && *at < until).collect();
    let on_their_way = early.iter().filter(|at| **at <= answered + ON_ITS_WAY_MS).count();
    assert!(on_their_way == early.len() && early.len() <= ON_THEIR_WAY, "{name}: told at {told}, asked at {early:?}");
}

/// Each form, and the seconds that it means. A form that cannot be read means the minute of the documentation to an
/// import, and to a question no more than its own pace.
#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_retry_after_is_obeyed_for_all_of_its_seconds() {
    let mut tests = Vec::new();
    for (form, scale, seconds) in [
        (RetryAfter::Seconds(30), 5.0, 30.0),
        // A date has whole seconds.
        (RetryAfter::Date(30), 5.0, 29.0),
        (RetryAfter::Fractional, 1.0, 2.0),
        (RetryAfter::Doubled, 5.0, 30.0),
        (RetryAfter::Missing, 10.0, 60.0),
        (RetryAfter::Negative, 10.0, 60.0),
        (RetryAfter::Junk, 10.0, 60.0),
    ] {
        let (limit, overload) =
            (FaultKind::RateLimit429 { retry_after: form }, FaultKind::Unavailable { retry_after: form });
        let mut kinds = vec![(Endpoint::Import, limit.clone())];
        if seconds < 60.0 {
            kinds.extend([
                (Endpoint::Status, limit),
                (Endpoint::Import, overload.clone()),
                (Endpoint::Status, overload),
            ]);
        }
        tests.extend(kinds.into_iter().map(|(endpoint, kind)| tokio::spawn(obeyed(scale, seconds, endpoint, kind))));
    }
    tests.push(tokio::spawn(obeyed(10.0, 60.0, Endpoint::Import, FaultKind::RateLimit400)));
    for test in tests {
        test.await.unwrap();
    }
}

/// Nobody sits it out, the run says so, and another run is told before it begins.
#[tokio::test]
async fn a_wait_of_ten_days_sets_the_run_aside_with_the_time_at_which_it_goes_on() {
    for kind in [
        FaultKind::RateLimit429 { retry_after: RetryAfter::Huge },
        FaultKind::Unavailable { retry_after: RetryAfter::Huge },
    ] {
        let scale = 20.0;
        let stage = Stage::with(StageOptions { time_scale: scale }).await;
        let run = start(&stage, &people(PEOPLE)).await;
        assert!(run.resume_time.is_none());
        accepted(&stage, 2).await;
        stage.sim.faults().add(FaultRule::once(kind.clone()).on(Endpoint::Import));
        let run = rested(&stage, &run).await;
        assert!(super::has_stopped(&run, "DESTINATION_RATE_LIMITED", "CULPRIT_DESTINATION"), "{run:?}");
        assert_eq!(run.pause_reason(), PauseReason::RetryAfter, "{kind:?}");
        let waits = run.resume_time.unwrap().seconds - run.start_time.unwrap().seconds;
        let ten_days = (864_000.0 / scale) as i64;
        assert!((ten_days..ten_days + 60).contains(&waits), "{kind:?}: {waits} s");
        assert!(run.error.as_ref().unwrap().status.as_ref().unwrap().message.contains("goes on by itself"));
        let asked = |stage: &Stage| stage.sim.report().requests.values().sum::<u64>();
        let before = asked(&stage);
        let run = help(&stage, run).await;
        assert_eq!((run.state(), run.resume_time), (State::Cancelled, None));
        let again = stage.run(&format!("tenants/{TENANT}/exports/weekly")).await;
        let again = stage.ended(&again.name, std::time::Duration::from_secs(20)).await;
        assert_eq!(again.state(), State::Failed);
        let error = again.error.unwrap();
        assert_eq!(error.reason, "DESTINATION_RATE_LIMITED");
        let text = error.status.unwrap().message;
        assert!(!text.contains("goes on") && text.contains("run it again"), "it has ended: {text}");
        assert_eq!(asked(&stage), before, "{kind:?}: asked before the ten days have passed");
        let most = if matches!(kind, FaultKind::Unavailable { .. }) { 250 } else { 0 };
        let people = (0..PEOPLE).map(canary::email);
        Judge::of(&stage, &run.name, people).allowing(most).verdict().await.holds(&format!("{kind:?}"));
    }
}
