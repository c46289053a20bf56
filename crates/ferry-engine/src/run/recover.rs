//! What is left to do, from the recorded batches: the same on a first start and after a crash.

use super::RunContext;
use super::feed::{Feed, Job, rest_of};
use super::plan::Adopted;
use super::settle::Unsettled;
use crate::failure::{Stop, unrecorded};
use ferry_store::{BatchAfter, BatchKey, BatchRecord, BatchState, CountsDelta, PlanRecord};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// The work of a run that is left.
pub(super) struct Recovered {
    pub(super) due: VecDeque<Job>,
    pub(super) fresh: VecDeque<Job>,
    pub(super) unsettled: Vec<Unsettled>,
    pub(super) next_seq: u32,
}

pub(super) async fn recover(context: &Arc<RunContext>, plan: &Adopted) -> Result<Recovered, Stop> {
    let records = context.shared.store.batches(&context.lease).await?;
    ferry_domain::failpoint!("batches-read");
    let planned = planned_batches(&plan.record);
    let recorded: HashSet<u32> = records.iter().map(|record| record.seq).collect();
    let repaired: HashSet<u32> = records.iter().filter_map(|record| record.parent).collect();
    let mut next_seq = u32::try_from(planned.len()).unwrap_or(u32::MAX);
    next_seq = records.iter().map(|record| record.seq + 1).fold(next_seq, u32::max);
    let fresh = planned.into_iter().filter(|job| !recorded.contains(&job.key.seq)).collect();
    let mut left = Recovered { due: VecDeque::new(), fresh, unsettled: Vec::new(), next_seq };
    let mut feed = Feed::new(Arc::clone(context));
    for record in records {
        take_up(context, &mut feed, &mut left, &repaired, plan.record.planned, record).await?;
    }
    if let Some(recovering) = &context.recovering {
        recovering.done();
    }
    Ok(left)
}

async fn take_up(
    context: &Arc<RunContext>,
    feed: &mut Feed,
    left: &mut Recovered,
    repaired: &HashSet<u32>,
    planned: u64,
    record: BatchRecord,
) -> Result<(), Stop> {
    let key = key(&record);
    let removal = record.first >= planned;
    let may_have_arrived = record.may_have_arrived || record.state == BatchState::Intended;
    // A crash is no failure of the destination, so the count of failed attempts begins anew.
    let job = Job { key, attempts: 0, may_have_arrived, removal, people: None };
    match record.state {
        BatchState::Due if record.may_have_arrived => left.due.push_back(feed.take_up(job).await?.0),
        BatchState::Due => left.due.push_back(job),
        BatchState::Intended => {
            // Nobody knows whether it arrived: it is unknown until this repeat settles it.
            let now = context.shared.now();
            let none = CountsDelta::default();
            let store = &context.shared.store;
            let recorded = store.batch_record(&context.lease, record.seq, BatchAfter::Due, none, now).await;
            recorded.map_err(unrecorded)?;
            ferry_domain::failpoint!("batch-recovered");
            left.due.push_back(feed.take_up(job).await?.0);
        }
        BatchState::Queued => {
            let (job, identities) = feed.take_up(job).await?;
            let remote_id = record.remote_id.unwrap_or_default();
            let sent_time = record.sent_time.unwrap_or_else(|| context.shared.now());
            left.unsettled.push(Unsettled { job, remote_id, sent_time, sent_at: None, identities, polls: 0 });
        }
        BatchState::Split if !repaired.contains(&record.seq) => {
            // The crash came between the split and the child's first intent.
            let refused = record.refused.iter().map(|row| row.offset);
            if let Some(key) = rest_of(&job.key, refused, left.next_seq) {
                left.next_seq += 1;
                left.due.push_back(Job::new(key, removal));
            }
        }
        BatchState::Split | BatchState::Settled | BatchState::Unknown => {}
    }
    Ok(())
}

fn key(record: &BatchRecord) -> BatchKey {
    BatchKey {
        seq: record.seq,
        parent: record.parent,
        first: record.first,
        rows: record.rows,
        removed: record.removed.clone(),
    }
}

/// The plan's own batches: contiguous, in order, numbered from zero, those of removals last.
fn planned_batches(plan: &PlanRecord) -> VecDeque<Job> {
    let mut first = 0_u64;
    let members = plan.batch_rows.iter().map(|rows| (*rows, false));
    let all = members.chain(plan.removal_batch_rows.iter().map(|rows| (*rows, true)));
    let mut jobs = VecDeque::new();
    for (seq, (rows, removal)) in (0_u32..).zip(all) {
        let key = BatchKey { seq, parent: None, first, rows, removed: Vec::new() };
        jobs.push_back(Job::new(key, removal));
        first += u64::from(rows);
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::super::plan::record_of;
    use super::*;

    #[test]
    fn planned_batches_follow_one_another_and_removals_come_last() {
        let plan = record_of(&[250, 249, 2], &[5]);
        let range = |job: &Job| (job.key.seq, job.key.first, job.key.rows, job.removal);
        let ranges: Vec<(u32, u64, u32, bool)> = planned_batches(&plan).iter().map(range).collect();
        assert_eq!(ranges, [(0, 0, 250, false), (1, 250, 249, false), (2, 499, 2, false), (3, 501, 5, true)]);
    }
}
