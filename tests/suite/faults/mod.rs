//! Every way in which the destination is known to fail, F1 to F42, against whole runs: lost and malformed answers, waits,
//! refusals, and what concerns the whole account.
//!
//! One table (`table.rs`), one runner (`play.rs`). The ordinary suite strikes each run once; `tests/run --long` strikes
//! 1 %, 10 %, and everything for a minute of the destination's time. The other files hold what the table cannot say.

mod account;
mod bounds;
mod lost;
mod play;
pub(crate) mod reach;
mod refusals;
mod table;
mod waits;

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{PauseReason, State};
use play::{Rate, play_all};

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_table_costs_what_it_may_and_loses_nobody() {
    play_all(&[Rate::Once], 50.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_every_fault_at_three_rates() {
    if ferry_testkit::asked() {
        play_all(&[Rate::Hundredth, Rate::Tenth, Rate::Minute], 10.0).await;
    }
}

/// Whatever passes, all at once, over ten times as many people.
#[tokio::test(flavor = "multi_thread")]
async fn long_all_faults_mixed_lose_nobody() {
    if ferry_testkit::asked() {
        play::mixed(50_000, 0.005, 40.0).await;
    }
}

/// Whether a run stopped for a reason that somebody has to mend. Whatever can be mended without starting anew makes it
/// wait; the rest ends it.
fn has_stopped(run: &pb::Run, reason: &str, culprit: &str) -> bool {
    let (state, waits_for) = match reason {
        "CREDENTIALS_REFUSED" => (State::Paused, PauseReason::Credentials),
        "ACCOUNT_LAPSED" | "ACCOUNT_FULL" => (State::Paused, PauseReason::Account),
        "DESTINATION_RATE_LIMITED" => (State::Paused, PauseReason::RetryAfter),
        "TIMED_OUT" => (State::TimedOut, PauseReason::Unspecified),
        _ => (State::Failed, PauseReason::Unspecified),
    };
    let error = run.error.clone().unwrap_or_default();
    (run.state(), run.pause_reason()) == (state, waits_for)
        && (error.reason.as_str(), error.culprit().as_str_name()) == (reason, culprit)
}
