//! How long a run should take, and how long it may take; both in the destination's time.

use super::RunContext;
use crate::failure::Stop;
use ferry_domain::{Culprit, Reason, RunError, RunState, Severity, Timestamp};
use ferry_store::PlanRecord;
use std::time::{Duration, Instant};

/// How long the destination usually needs after the last batch was queued.
const SETTLING: Duration = Duration::from_secs(20);
/// A run may take at least this long, and at least twice its estimate.
const SHORTEST_LIMIT: Duration = Duration::from_secs(90 * 60);

/// When a run with this plan should be done, were it to begin now.
pub(super) fn estimated_end(context: &RunContext, plan: &PlanRecord) -> Timestamp {
    context.shared.now().plus(context.shared.scale.real(estimate(plan)))
}

/// 100 imports a minute, then the last batches settle.
fn estimate(plan: &PlanRecord) -> Duration {
    let batches = plan.batch_rows.len() + plan.removal_batch_rows.len();
    Duration::from_secs_f64(batches as f64 * 60.0 / 100.0) + SETTLING
}

/// The time that a run may take, from its first beginning on: a new owner does not give it more. What it waited, held
/// or paused, is not counted.
pub(super) struct Limit {
    whole: Duration,
    at: Instant,
}

impl Limit {
    pub(super) fn of(context: &RunContext, plan: &PlanRecord) -> Self {
        let (run, now) = (&context.run, context.shared.now());
        let whole = whole(plan);
        let taken = now.since(run.start_time.unwrap_or(now)).saturating_sub(run.waited);
        Self { whole, at: Instant::now() + context.shared.scale.real(whole).saturating_sub(taken) }
    }

    /// What ends a run whose time is over.
    pub(super) fn over(&self) -> Option<Stop> {
        (Instant::now() >= self.at).then(|| timed_out(self.whole))
    }
}

fn whole(plan: &PlanRecord) -> Duration {
    (estimate(plan) * 2).max(SHORTEST_LIMIT)
}

fn timed_out(limit: Duration) -> Stop {
    let minutes = limit.as_secs().div_ceil(60);
    let message = format!(
        "the run took longer than its time limit of {minutes} minutes, not counting what it waited; what was sent is \
         reported, run it again for the rest"
    );
    let (severity, culprit) = (Severity::Temporary, Culprit::Destination);
    Stop::Ended(RunState::TimedOut, RunError { reason: Reason::TimedOut, message, severity, culprit })
}

#[cfg(test)]
mod tests {
    use super::super::plan::record_of;
    use super::*;

    fn plan(batches: usize, removals: usize) -> PlanRecord {
        record_of(&vec![250; batches], &vec![250; removals])
    }

    #[test]
    fn a_run_may_take_twice_its_estimate_and_never_less_than_ninety_minutes() {
        assert_eq!(whole(&plan(1, 0)), Duration::from_secs(90 * 60));
        assert_eq!(estimate(&plan(3_000, 1_000)), Duration::from_secs(40 * 60 + 20));
        assert_eq!(whole(&plan(6_000, 2_000)), Duration::from_secs(2 * (80 * 60 + 20)));
    }

    #[test]
    fn a_run_whose_time_is_over_says_how_long_that_was() {
        let Stop::Ended(state, error) = timed_out(Duration::from_secs(90 * 60)) else { panic!("no end") };
        assert_eq!((state, error.reason), (RunState::TimedOut, Reason::TimedOut));
        assert!(error.message.contains("90 minutes"), "{}", error.message);
    }
}
