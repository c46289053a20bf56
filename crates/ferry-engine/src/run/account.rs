//! The account of a run, from the recorded batches: the outcome of every planned row, and every row in one bucket.

use ferry_domain::Counts;
use ferry_segments::{Outcome, Outcomes};
use ferry_store::{BatchRecord, PlanRecord, RowOutcome};
use std::collections::HashSet;

/// What became of each row of a plan, by ordinal.
///
/// A row that was taken out of a batch is in none of its later states; it has the outcome that its own refusal gave it.
pub(crate) fn outcomes<'a>(plan: &PlanRecord, batches: impl IntoIterator<Item = &'a BatchRecord>) -> Outcomes {
    let mut outcomes = Outcomes::none_sent(plan.planned + plan.removals);
    // A child carries rows of its parent, and has a higher number.
    let mut in_order: Vec<&BatchRecord> = batches.into_iter().collect();
    in_order.sort_by_key(|batch| batch.seq);
    for batch in in_order {
        note(batch, &mut outcomes);
    }
    outcomes
}

fn note(batch: &BatchRecord, outcomes: &mut Outcomes) {
    let refused: HashSet<u32> = batch.refused.iter().map(|row| row.offset).collect();
    let ordinal = |offset: u32| batch.first + u64::from(offset);
    // Not sent is what a row is from the beginning, and what an earlier batch left open stays so.
    if let Some(rest) = batch.rest().map(outcome) {
        for offset in (0..batch.rows).filter(|offset| !batch.removed.contains(offset) && !refused.contains(offset)) {
            outcomes.set(ordinal(offset)..ordinal(offset) + 1, rest);
        }
    }
    let may_be_there = batch.refused_may_be_there();
    for row in &batch.refused {
        let outcome = Outcome::Refused { reason: &row.reason, may_be_there };
        outcomes.set(ordinal(row.offset)..ordinal(row.offset) + 1, outcome);
    }
}

fn outcome(outcome: RowOutcome<'_>) -> Outcome<'_> {
    match outcome {
        RowOutcome::Confirmed => Outcome::Confirmed,
        RowOutcome::Refused { reason, may_be_there } => Outcome::Refused { reason, may_be_there },
        RowOutcome::Unknown => Outcome::Unknown,
    }
}

/// The reason of rows whose request was refused as a whole.
pub(super) const REQUEST_REFUSED: &str = "DESTINATION_REFUSED_REQUEST";

/// A request that was refused as a whole says nothing of its people, so the next run tries them again.
pub(super) fn let_whole_requests_be_due(outcomes: &mut Outcomes, batches: &[BatchRecord]) {
    for batch in batches {
        for row in batch.refused.iter().filter(|row| row.reason == REQUEST_REFUSED) {
            let ordinal = batch.first + u64::from(row.offset);
            outcomes.set(ordinal..ordinal + 1, Outcome::NotSent);
        }
    }
}

#[derive(Default)]
struct Tally {
    confirmed: u64,
    refused: u64,
    unknown: u64,
    not_sent: u64,
}

impl Tally {
    fn of(outcomes: &Outcomes, ordinals: std::ops::Range<u64>) -> Self {
        let mut tally = Self::default();
        for ordinal in ordinals {
            match outcomes.get(ordinal) {
                Outcome::NotSent => tally.not_sent += 1,
                Outcome::Confirmed => tally.confirmed += 1,
                Outcome::Refused { .. } => tally.refused += 1,
                Outcome::Unknown => tally.unknown += 1,
            }
        }
        tally
    }
}

/// The account that these outcomes make of what planning began with. Removals come after the members in a plan.
pub(super) fn account(begin: Counts, plan: &PlanRecord, outcomes: &Outcomes) -> Counts {
    let members = Tally::of(outcomes, 0..plan.planned);
    let removals = Tally::of(outcomes, plan.planned..plan.planned + plan.removals);
    Counts {
        confirmed: members.confirmed,
        refused: members.refused,
        unknown: members.unknown,
        not_sent: members.not_sent,
        queued: 0,
        removals: plan.removals,
        removals_confirmed: removals.confirmed,
        removals_refused: removals.refused,
        removals_unknown: removals.unknown,
        removals_not_sent: removals.not_sent,
        ..begin
    }
}

#[cfg(test)]
mod tests;
