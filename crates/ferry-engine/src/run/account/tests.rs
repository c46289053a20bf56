#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::super::plan::record_of;
use super::*;
use ferry_store::BatchState;
use ferry_store::RefusedRow;
use proptest::prelude::*;

fn batch(seq: u32, rows: u32, state: BatchState, refused: &[u32], removed: &[u32]) -> BatchRecord {
    let refused = refused.iter().map(|offset| RefusedRow { offset: *offset, reason: "R".to_owned() }).collect();
    let remote_id = (state == BatchState::Settled).then(|| "id".to_owned());
    BatchRecord {
        seq,
        parent: None,
        first: 0,
        rows,
        removed: removed.to_vec(),
        state,
        attempts: 1,
        may_have_arrived: false,
        remote_id,
        sent_time: None,
        refused,
        confirmed: 0,
    }
}

fn at(first: u64, batch: BatchRecord) -> BatchRecord {
    BatchRecord { first, ..batch }
}

fn plan(planned: u64, removals: u64) -> PlanRecord {
    record_of(&[u32::try_from(planned).unwrap()], &[u32::try_from(removals).unwrap()])
}

fn counted(begin: Counts, plan: &PlanRecord, batches: &[BatchRecord]) -> Counts {
    account(begin, plan, &outcomes(plan, batches))
}

#[test]
fn every_planned_row_is_in_one_bucket() {
    let begin = Counts { members: 1_010, rejected: 7, twins: 3, not_sent: 1_000, ..Counts::default() };
    let batches = [
        at(0, batch(0, 250, BatchState::Settled, &[1, 2], &[])),
        at(250, batch(1, 250, BatchState::Split, &[5], &[])),
        at(250, batch(4, 250, BatchState::Settled, &[], &[5])),
        at(500, batch(2, 250, BatchState::Intended, &[], &[])),
    ];
    let counts = counted(begin, &plan(1_000, 0), &batches);
    assert_eq!((counts.confirmed, counts.refused, counts.unknown, counts.not_sent), (497, 3, 250, 250));
    assert!(counts.add_up());
}

#[test]
fn a_batch_that_is_due_again_after_a_lost_answer_is_unknown() {
    let begin = Counts { members: 500, not_sent: 500, ..Counts::default() };
    let lost = BatchRecord { may_have_arrived: true, ..batch(0, 250, BatchState::Due, &[], &[]) };
    let counts = counted(begin, &plan(500, 0), &[lost, at(250, batch(1, 250, BatchState::Due, &[], &[]))]);
    assert_eq!((counts.unknown, counts.not_sent), (250, 250));
}

#[test]
fn a_split_batch_without_its_child_is_not_lost() {
    let begin = Counts { members: 250, not_sent: 250, ..Counts::default() };
    let counts = counted(begin, &plan(250, 0), &[batch(0, 250, BatchState::Split, &[5, 6], &[])]);
    assert_eq!((counts.refused, counts.not_sent), (2, 248));
    assert!(counts.add_up());
}

#[test]
fn removals_have_an_equation_of_their_own() {
    let begin = Counts { members: 10, not_sent: 10, ..Counts::default() };
    let batches = [batch(0, 10, BatchState::Settled, &[], &[]), at(10, batch(1, 5, BatchState::Settled, &[4], &[]))];
    let counts = counted(begin, &plan(10, 7), &batches);
    assert_eq!((counts.removals, counts.removals_confirmed, counts.removals_refused), (7, 4, 1));
    assert_eq!((counts.removals_not_sent, counts.confirmed), (2, 10));
    assert!(counts.add_up());
}

#[test]
fn what_was_refused_up_front_is_not_there_and_what_was_queued_may_be() {
    let plan = plan(20, 0);
    let batches = [batch(0, 10, BatchState::Split, &[3], &[]), at(10, batch(1, 10, BatchState::Settled, &[3], &[]))];
    let outcomes = outcomes(&plan, &batches);
    assert_eq!(outcomes.get(3), Outcome::Refused { reason: "R", may_be_there: false });
    assert_eq!(outcomes.get(13), Outcome::Refused { reason: "R", may_be_there: true });
}

/// A history of one planned batch: it is split some times, and its last child ends in some state.
fn history() -> impl Strategy<Value = (u32, Vec<Vec<u32>>, BatchState, bool)> {
    let state = prop::sample::select(vec![
        BatchState::Due,
        BatchState::Intended,
        BatchState::Queued,
        BatchState::Settled,
        BatchState::Unknown,
    ]);
    (1_u32..30, prop::collection::vec(prop::collection::vec(0_u32..30, 1..5), 0..4), state, any::<bool>())
}

/// The records of a history, as the engine would have left them.
fn records(
    (rows, splits, state, arrived): &(u32, Vec<Vec<u32>>, BatchState, bool),
    first: u64,
    seq: &mut u32,
) -> Vec<BatchRecord> {
    let mut removed: Vec<u32> = Vec::new();
    let mut made = Vec::new();
    for split in splits {
        let refused: Vec<u32> = split
            .iter()
            .copied()
            .filter(|offset| offset < rows && !removed.contains(offset))
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        if refused.is_empty() {
            continue;
        }
        made.push(at(first, batch(*seq, *rows, BatchState::Split, &refused, &removed)));
        *seq += 1;
        removed.extend(refused);
        removed.sort_unstable();
        if removed.len() == *rows as usize {
            return made;
        }
    }
    let last = at(first, batch(*seq, *rows, *state, &[], &removed));
    *seq += 1;
    made.push(BatchRecord { may_have_arrived: *arrived, ..last });
    made
}

proptest! {
    /// Whatever became of the batches, and in whatever order their records are read: both equations hold, no row is
    /// counted twice, and what was refused stays refused.
    #[test]
    fn no_history_of_batches_loses_a_row_or_counts_it_twice(
        members in prop::collection::vec(history(), 0..6),
        leavers in prop::collection::vec(history(), 0..3),
        shuffled in any::<u64>(),
    ) {
        let mut seq = 0;
        let mut first = 0;
        let mut batches = Vec::new();
        let planned: u64 = members.iter().map(|history| u64::from(history.0)).sum();
        for history in members.iter().chain(&leavers) {
            batches.extend(records(history, first, &mut seq));
            first += u64::from(history.0);
        }
        let refused: usize = batches.iter().map(|batch| batch.refused.len()).sum();
        batches.sort_by_key(|batch| u64::from(batch.seq).wrapping_mul(shuffled | 1));
        let begin = Counts { members: planned, not_sent: planned, ..Counts::default() };
        let counts = counted(begin, &plan(planned, first - planned), &batches);
        prop_assert!(counts.add_up(), "{counts:?}");
        prop_assert_eq!(counts.refused + counts.removals_refused, refused as u64);
    }
}
