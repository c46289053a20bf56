//! The end of a run: the account is made from the recorded batches, not from what this process remembers, and the rows
//! that the destination refused are written to their sealed file.
//!
//! The file is written before the end is recorded; a crash in between writes it again.

use super::RunContext;
use super::plan::{Adopted, blocking};
use crate::context::Context;
use crate::failure::{self, Stop};
use ferry_domain::{Counts, Culprit, Reason, RunError, RunState, Severity};
use ferry_segments::layout::RunFile;
use ferry_segments::{PlanReader, RejectedRow, RejectedWriter, Stage};
use ferry_store::{BatchRecord, BatchState, Lease, PlanRecord};
use std::sync::Arc;

/// Ends a run that did not come to its work, this time. An earlier process may have sent some of its plan: that is in
/// the recorded batches, and what has no answer yet is unknown.
pub(super) async fn without_work(
    shared: &Arc<Context>,
    lease: &Lease,
    planned: Option<&PlanRecord>,
    stop: Stop,
) -> Result<RunState, Stop> {
    let (state, error) = ending(stop)?;
    let mut counts = shared.store.run_counts(lease).await?;
    if let Some(plan) = planned {
        counts = account(counts, plan.planned, &shared.store.batches(lease).await?);
    }
    note_attention(shared, lease, error.as_ref()).await?;
    shared.store.run_finish(lease, state, error, counts, shared.now()).await?;
    Ok(state)
}

/// Ends a dry run: planned, nothing sent.
pub(super) async fn planned_only(context: &Arc<RunContext>, plan: &Adopted) -> Result<RunState, Stop> {
    let shared = &context.shared;
    shared.store.run_finish(&context.lease, RunState::Succeeded, None, plan.counts, shared.now()).await?;
    Ok(RunState::Succeeded)
}

/// Ends a run that has sent, or could have.
pub(super) async fn after_work(
    context: &Arc<RunContext>,
    plan: &Adopted,
    stopped: Option<Stop>,
) -> Result<RunState, Stop> {
    let shared = &context.shared;
    let (mut state, mut error) = match stopped {
        None => (RunState::Succeeded, None),
        Some(stop) => ending(stop)?,
    };
    let batches = shared.store.batches(&context.lease).await?;
    let counts = account(plan.counts, plan.record.planned, &batches);
    if state == RunState::Succeeded && counts.unknown > 0 {
        state = RunState::Failed;
        error = Some(outcome_unknown(counts.unknown));
    }
    write_refused(context, batches).await?;
    note_attention(shared, &context.lease, error.as_ref()).await?;
    shared.store.run_finish(&context.lease, state, error, counts, shared.now()).await?;
    Ok(state)
}

/// Where every further run would end the same way until somebody mends the connection, the connection says so.
async fn note_attention(shared: &Arc<Context>, lease: &Lease, error: Option<&RunError>) -> Result<(), Stop> {
    let Some(error) = error.filter(|error| error.severity == Severity::Permanent) else { return Ok(()) };
    match error.reason {
        Reason::CredentialsRefused | Reason::AccountLapsed | Reason::SecretUnavailable => {
            Ok(shared.store.connection_attention(lease, error.reason, shared.now()).await?)
        }
        _ => Ok(()),
    }
}

fn ending(stop: Stop) -> Result<(RunState, Option<RunError>), Stop> {
    match stop {
        Stop::Ended(state, error) => Ok((state, Some(error))),
        Stop::Cancelled => Ok((RunState::Cancelled, None)),
        Stop::Shutdown | Stop::Fenced => Err(stop),
    }
}

fn outcome_unknown(rows: u64) -> RunError {
    RunError {
        reason: Reason::OutcomeUnknown,
        message: format!("{rows} profiles were sent without a usable answer; run it again, a repeat is harmless"),
        severity: Severity::Temporary,
        culprit: Culprit::Destination,
    }
}

/// Every planned row in one bucket: by the record of the batch that carried it last, or not sent.
fn account(begin: Counts, planned: u64, batches: &[BatchRecord]) -> Counts {
    let mut counts = Counts { confirmed: 0, refused: 0, unknown: 0, not_sent: 0, queued: 0, ..begin };
    for batch in batches {
        let rows = u64::from(batch.rows) - batch.removed.len() as u64;
        let refused = batch.refused.len() as u64;
        match batch.state {
            BatchState::Settled => {
                counts.refused += refused;
                counts.confirmed += rows - refused;
            }
            // The rest of a split batch is its child's, or, if that was never begun, among the rows not sent.
            BatchState::Split => counts.refused += refused,
            BatchState::Queued | BatchState::Intended | BatchState::Unknown => counts.unknown += rows,
            BatchState::Due if batch.may_have_arrived => counts.unknown += rows,
            BatchState::Due => {}
        }
    }
    counts.not_sent = planned - counts.confirmed - counts.refused - counts.unknown;
    counts
}

/// Writes the refused rows with their addresses, read from the plan, into the run's sealed file.
async fn write_refused(context: &Arc<RunContext>, batches: Vec<BatchRecord>) -> Result<(), Stop> {
    let batches: Vec<BatchRecord> = batches.into_iter().filter(|batch| !batch.refused.is_empty()).collect();
    if batches.is_empty() {
        return Ok(());
    }
    let plan = (context.file_path(RunFile::Plan), context.file_key(), context.file_aad(RunFile::Plan));
    let refused = (context.file_path(RunFile::Refused), context.file_key(), context.file_aad(RunFile::Refused));
    let written = blocking(move || copy_refused(&plan, &refused, &batches)).await?;
    written.map_err(|error| {
        tracing::error!(%error, "the refused rows of a run could not be written");
        failure::internal("the refused rows of this run could not be written; check the disk of the service")
    })
}

type SealedFile = (std::path::PathBuf, ferry_segments::FileKey, Vec<u8>);

fn copy_refused(
    plan: &SealedFile,
    refused: &SealedFile,
    batches: &[BatchRecord],
) -> Result<(), ferry_segments::PlanError> {
    let mut reader = PlanReader::open(&plan.0, &plan.1, &plan.2)?;
    let mut writer = RejectedWriter::create(&refused.0, &refused.1, &refused.2)?;
    for batch in batches {
        reader.seek(batch.first)?;
        let rows = reader.read(batch.rows as usize)?;
        for row in &batch.refused {
            let body = rows.get(row.offset as usize).map(|row| row.body.clone()).unwrap_or_default();
            let email = ferry_destinations::activecampaign::email_of(&body);
            writer.push(RejectedRow {
                segment: String::new(),
                line: None,
                stage: Stage::Refused,
                reason: row.reason.clone(),
                email,
            })?;
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_store::RefusedRow;

    fn batch(seq: u32, rows: u32, state: BatchState, refused: &[u32], removed: &[u32]) -> BatchRecord {
        let refused = refused.iter().map(|offset| RefusedRow { offset: *offset, reason: "R".to_owned() }).collect();
        BatchRecord {
            seq,
            parent: None,
            first: 0,
            rows,
            removed: removed.to_vec(),
            state,
            attempts: 1,
            may_have_arrived: false,
            remote_id: None,
            sent_time: None,
            refused,
            confirmed: 0,
        }
    }

    #[test]
    fn every_planned_row_is_in_one_bucket() {
        let begin = Counts { members: 1_010, rejected: 7, twins: 3, not_sent: 1_000, ..Counts::default() };
        let batches = [
            batch(0, 250, BatchState::Settled, &[1, 2], &[]),
            batch(1, 250, BatchState::Split, &[5], &[]),
            batch(4, 250, BatchState::Settled, &[], &[5]),
            batch(2, 250, BatchState::Intended, &[], &[]),
        ];
        let counts = account(begin, 1_000, &batches);
        assert_eq!((counts.confirmed, counts.refused, counts.unknown, counts.not_sent), (497, 3, 250, 250));
        assert!(counts.add_up());
    }

    #[test]
    fn a_batch_that_is_due_again_after_a_lost_answer_is_unknown() {
        let begin = Counts { members: 500, not_sent: 500, ..Counts::default() };
        let lost = BatchRecord { may_have_arrived: true, ..batch(0, 250, BatchState::Due, &[], &[]) };
        let counts = account(begin, 500, &[lost, batch(1, 250, BatchState::Due, &[], &[])]);
        assert_eq!((counts.unknown, counts.not_sent), (250, 250));
    }

    #[test]
    fn a_split_batch_without_its_child_is_not_lost() {
        let begin = Counts { members: 250, not_sent: 250, ..Counts::default() };
        let counts = account(begin, 250, &[batch(0, 250, BatchState::Split, &[5, 6], &[])]);
        assert_eq!((counts.refused, counts.not_sent), (2, 248));
        assert!(counts.add_up());
    }
}
