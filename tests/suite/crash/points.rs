//! Crashes at named points, each alone, and three times running.

use super::{Crash, EXTRA_PER_CRASH, EXTRA_PER_FAULT};
use ferry_sim::{Endpoint, FaultKind, FaultRule, RetryAfter};
use ferry_testkit::judge::number_on_record;

/// The usual pace: a minute of the destination is 0.6 s.
const SCALE: f64 = 100.0;

/// Where the service dies: the point and the passage, in each process anew.
struct Point {
    at: &'static str,
    /// Whether the next process can come there again.
    again: bool,
}

const fn point(at: &'static str) -> Point {
    Point { at, again: true }
}

const fn once(at: &'static str) -> Point {
    Point { at, again: false }
}

async fn crashes_at(point: &Point, times: u32) {
    let what = format!("{times} crashes at `{}`", point.at);
    let mut crash = Crash::prepared(SCALE).await;
    if point.at.starts_with("batch") {
        // A recovery needs a crash before it.
        crash.dies_at("answer-read:3", 1).await;
    }
    crash.dies_at(point.at, times).await;
    let name = point.at.split_once(':').unwrap().0;
    match name {
        "intent-committed" => assert!(crash.left.undecided > 0, "{what}: the request never left"),
        "answer-read" | "answer-written" => assert!(crash.left.decided > 0, "{what}: the answer is not on record"),
        _ => {}
    }
    crash.stage.start().await;
    crash.judged(&what, EXTRA_PER_CRASH * crash.crashes).await;
    if matches!(name, "work-done" | "refused-written" | "state-folded" | "run-ended") {
        crash.runs_again(&what).await;
    }
}

macro_rules! points {
    ($($test:ident: $point:expr;)*) => {
        $(#[tokio::test]
        async fn $test() {
            crashes_at(&$point, 1).await;
        })*

        const ALL: &[Point] = &[$($point),*];
    };
}

points! {
    k01_killed_with_a_request_for_a_run_in_hand: point("run-asked:1");
    k02_killed_when_a_run_is_queued_and_nobody_told: once("run-queued:1");
    k03_killed_in_the_middle_of_reading_the_segment: point("row-rendered:2500");
    k03_killed_when_the_plan_is_written_and_not_adopted: point("plan-written:1");
    k04_killed_when_the_plan_is_adopted: once("plan-adopted:1");
    k05_killed_when_the_run_is_claimed: point("run-claimed:1");
    k06_killed_when_the_first_intent_is_committed: point("intent-committed:1");
    k06_killed_when_a_later_intent_is_committed: point("intent-committed:5");
    k11_killed_when_an_answer_is_read: point("answer-read:3");
    k12_killed_inside_the_transaction_of_an_answer: point("answer-written:3");
    k12_killed_when_the_disk_hangs_before_a_commit: point("group-written:10:300");
    k13_killed_when_a_commit_is_done_and_nobody_told: point("group-committed:12");
    k14_killed_when_an_answer_is_committed: point("answer-committed:3");
    k16_killed_when_it_is_about_to_ask_for_a_result: point("poll-granted:3");
    k17_killed_when_a_result_is_read: point("result-read:3");
    k18_killed_when_all_is_settled_and_the_run_is_open: point("work-done:1");
    k18_killed_when_the_refused_rows_are_written: point("refused-written:1");
    k18_killed_when_the_next_state_is_written_and_not_adopted: point("state-folded:1");
    k18_killed_when_the_end_is_committed: once("run-ended:1");
    k26_killed_when_a_recovery_has_read_the_batches: point("batches-read:1");
    k26_killed_when_a_recovery_has_taken_a_batch_up: once("batch-recovered:1");
}

/// The recovery sends nothing before it dies, so five crashes of it send no more twice than the one before them.
#[tokio::test]
async fn k26_killed_five_times_running_in_the_recovery() {
    let mut crash = Crash::prepared(SCALE).await;
    crash.dies_at("answer-read:5", 1).await;
    crash.dies_at("batches-read:1", 5).await;
    crash.stage.start().await;
    crash.judged("five crashes in the recovery", EXTRA_PER_CRASH).await;
}

/// 300 s of the destination's time.
const WAIT: FaultKind = FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(300) };

#[tokio::test]
async fn k15_a_wait_that_the_destination_asked_for_survives_the_crash() {
    let mut crash = Crash::prepared(SCALE).await;
    crash.stage.sim.faults().add(FaultRule::once(WAIT).on(Endpoint::Import));
    crash.dies_at("wait-recorded:1", 1).await;
    let early = crash.stage.sim.report().before_retry_after;
    assert_eq!(number_on_record(&crash.stage, "SELECT COUNT(*) FROM lanes WHERE hold_until IS NOT NULL").await, 1);
    crash.stage.start().await;
    crash.judged("a crash in a wait", EXTRA_PER_CRASH).await;
    let report = crash.stage.sim.report();
    assert_eq!((report.rate_limited_429, report.before_retry_after), (1, early), "asked before the wait had passed");
}

/// Eight attempts without an answer leave a batch as unknown; eight crashes are none of the destination's doing.
#[tokio::test]
async fn a_crash_is_no_failed_attempt() {
    let mut crash = Crash::prepared(SCALE).await;
    crash.dies_at("intent-committed:1", 8).await;
    crash.stage.sim.faults().add(FaultRule::once(FaultKind::ResetAfterwards).on(Endpoint::Import));
    crash.stage.start().await;
    crash.judged("eight crashes and a lost answer", 8 * EXTRA_PER_CRASH + EXTRA_PER_FAULT).await;
}

/// One bad address refuses its whole batch; the rest goes as a child, whether or not the process that said so lives.
#[tokio::test]
async fn killed_when_a_batch_is_split_and_its_child_not_begun() {
    let mut crash = Crash::prepared(SCALE).await;
    let refused = FaultKind::RefuseContact { contact: 7, text: "Field 'email' incorrect format".to_owned() };
    crash.stage.sim.faults().add(FaultRule::once(refused).on(Endpoint::Import));
    crash.dies_at("batch-split:1", 1).await;
    crash.stage.start().await;
    let verdict = crash.judged("a crash between a batch and its child", EXTRA_PER_CRASH).await;
    assert_eq!(verdict.counts.refused, 1);
}

#[tokio::test]
async fn whole_each_point_three_times_running() {
    if ferry_testkit::asked() {
        for point in ALL.iter().filter(|point| point.again) {
            crashes_at(point, 3).await;
        }
    }
}

/// Each process sends one request more before it dies in the recovery of the next: the bound is for each crash.
#[tokio::test]
async fn whole_k26_five_crashes_at_the_first_intent_after_a_recovery() {
    if ferry_testkit::asked() {
        crashes_at(&point("intent-committed:2"), 5).await;
    }
}
