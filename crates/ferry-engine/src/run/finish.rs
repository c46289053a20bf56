//! The end of a run, or of this part of it: the account is made from the recorded batches, not from what this process
//! remembers, and with it the rows that the destination refused and the next state of the export.
//!
//! Both files are written before the end is recorded; a crash in between writes them again, the same.

use super::files::RunFiles;
use super::plan::{Adopted, blocking};
use super::{account, asked};
use crate::context::Context;
use crate::failure::{self, Stop};
use ferry_domain::{Connection, Counts, Culprit, Export, Reason, Run, RunError, RunState, Severity};
use ferry_segments::layout::RunFile;
use ferry_segments::{FoldSpec, Outcomes, Place, PlanError, PlanReader, RejectedRow, RejectedWriter, Stage, fold};
use ferry_store::{BatchRecord, ExportState, Lease, StateAdvance, TakesOff};
use ferry_telemetry::RunTrace;
use std::sync::Arc;

/// What the end of a run needs: no destination, no secret.
pub(super) struct Ending {
    pub(super) shared: Arc<Context>,
    pub(super) lease: Lease,
    pub(super) run: Run,
    pub(super) export: Export,
    pub(super) connection: Connection,
    pub(super) files: RunFiles,
    pub(super) full_resync: bool,
    /// Whom the run takes off; nothing for one that exports.
    pub(super) takes_off: Option<TakesOff>,
    pub(super) trace: RunTrace,
}

impl Ending {
    /// Ends the run, or sets it aside where somebody can help it on. `plan` is what it was to carry out, if it came to
    /// that: an earlier process may have sent some of it, and what has no answer yet is unknown.
    pub(super) async fn come_to(&self, plan: Option<&Adopted>, stop: Option<Stop>) -> Result<RunState, Stop> {
        if let (Some(_), Some(stop)) = (plan, &stop)
            && let Some(pause) = failure::pause(stop, self.shared.now())
            && self.shared.store.run_state(&self.lease).await? == RunState::Processing
        {
            return Ok(self.shared.store.run_pause(&self.lease, pause, self.shared.now()).await?.state);
        }
        let (mut state, mut error) = match stop {
            None => (RunState::Succeeded, None),
            Some(stop) => ending(stop)?,
        };
        let (counts, advance) = match plan {
            Some(plan) => self.account(plan).await?,
            None => (self.shared.store.run_counts(&self.lease).await?, Advance::Nothing),
        };
        let advance = match advance {
            Advance::Nothing => None,
            Advance::To(advance) => Some(advance),
            Advance::Lost if state == RunState::Succeeded => {
                (state, error) = ending(failure::internal(
                    "the plan of this run can no longer be read; everybody in its account has the right outcome, and the \
                     next run sends everybody again",
                ))?;
                None
            }
            Advance::Lost => None,
        };
        if state == RunState::Succeeded && counts.unknown + counts.removals_unknown > 0 {
            state = RunState::Failed;
            error = Some(outcome_unknown(counts.unknown + counts.removals_unknown));
        }
        ferry_domain::failpoint!("state-folded");
        self.note_attention(error.as_ref()).await?;
        let next = advance.as_ref().map(|advance| advance.next.clone());
        let ended = self.shared.store.run_finish(&self.lease, state, error, counts, advance, self.shared.now()).await?;
        ferry_domain::failpoint!("run-ended");
        if let Some(last) = next {
            self.remove_states_before(&last);
        }
        Ok(ended.state)
    }

    /// Ends a dry run: planned, nothing sent.
    pub(super) async fn come_to_a_plan(&self, plan: &Adopted) -> Result<RunState, Stop> {
        let (store, now) = (&self.shared.store, self.shared.now());
        store.run_finish(&self.lease, RunState::Succeeded, None, plan.counts, None, now).await?;
        Ok(RunState::Succeeded)
    }

    async fn account(&self, plan: &Adopted) -> Result<(Counts, Advance), Stop> {
        let batches = self.shared.store.batches(&self.lease).await?;
        let mut outcomes = account::outcomes(&plan.record, &batches);
        let counts = account::account(plan.counts, &plan.record, &outcomes);
        let nothing_sent = (counts.not_sent, counts.removals_not_sent) == (plan.record.planned, plan.record.removals);
        // With the connection its states and its files went: nobody plans by them, and nobody can read them.
        if nothing_sent || matches!(asked::stop_asked(&self.shared, &self.lease).await?, Some(Stop::Removed)) {
            return Ok((counts, Advance::Nothing));
        }
        account::let_whole_requests_be_due(&mut outcomes, &batches);
        let written = self.write_refused(batches).await?;
        ferry_domain::failpoint!("refused-written");
        let advance = if written { self.fold(plan, outcomes).await? } else { Advance::Lost };
        if matches!(advance, Advance::Lost) {
            let (generation, list) = (plan.record.connection_generation, plan.record.list);
            self.shared.store.state_distrust(&self.lease, generation, list).await?;
        }
        Ok((counts, advance))
    }

    /// Where every further run would end the same way until somebody mends the connection, the connection says so.
    async fn note_attention(&self, error: Option<&RunError>) -> Result<(), Stop> {
        let Some(error) = error.filter(|error| error.severity == Severity::Permanent) else { return Ok(()) };
        match error.reason {
            Reason::CredentialsRefused | Reason::AccountLapsed | Reason::SecretUnavailable => {
                Ok(self.shared.store.connection_attention(&self.lease, error.reason, self.shared.now()).await?)
            }
            _ => Ok(()),
        }
    }

    /// Writes the next state of the export. The plan says which account and list it is of: the connection may have moved
    /// on since.
    async fn fold(&self, plan: &Adopted, outcomes: Outcomes) -> Result<Advance, Stop> {
        let record = &plan.record;
        let (generation, list) = (record.connection_generation, record.list);
        let base = self.shared.store.export_state(&self.lease, generation, list).await?;
        let mut next = ExportState {
            export_uid: self.export.uid.clone(),
            connection_uid: self.connection.uid.clone(),
            connection_generation: generation,
            list,
            number: base.as_ref().map_or(0, |base| base.number) + 1,
            digest: [0; 32],
            rows: 0,
            members: 0,
            untrusted: false,
            run: self.run.id().clone(),
        };
        let begun = self.run.start_time.unwrap_or(self.run.create_time);
        let spec = FoldSpec {
            base: base.as_ref().map(|base| self.files.state(base)),
            plan: self.files.of_run(RunFile::Plan),
            planned: record.planned,
            to: self.files.state_place(&next),
            now_ms: begun.as_millis(),
        };
        let folded = match blocking(move || fold(&spec, &outcomes)).await? {
            Ok(folded) => folded,
            Err(error) => return unfolded(&error).map(|()| Advance::Lost),
        };
        (next.digest, next.rows, next.members) = (folded.digest, folded.rows, folded.members);
        Ok(Advance::To(StateAdvance { base: base.map(|base| base.mark()), next }))
    }

    /// What a run that plans now may still be reading is the last state and the one before it; what came before those is
    /// of no use to anybody.
    fn remove_states_before(&self, last: &ExportState) {
        let Some(number) = last.number.checked_sub(2).filter(|number| *number > 0) else { return };
        let place = self.files.state_place(&ExportState { number, ..last.clone() });
        if let Err(error) = std::fs::remove_file(&place.path) {
            tracing::warn!(%error, "an old state of an export could not be removed; it stays sealed where it is");
        }
    }

    /// Writes the refused rows with their addresses, read from the plan, into the run's sealed file. False if the plan
    /// cannot be read any more.
    async fn write_refused(&self, batches: Vec<BatchRecord>) -> Result<bool, Stop> {
        let batches: Vec<BatchRecord> = batches.into_iter().filter(|batch| !batch.refused.is_empty()).collect();
        if batches.is_empty() {
            return Ok(true);
        }
        let (plan, refused) = (self.files.of_run(RunFile::Plan), self.files.of_run(RunFile::Refused));
        let written = match blocking(move || copy_refused(&plan, &refused, &batches)).await? {
            Ok(()) => true,
            Err(error) => unfolded(&error).map(|()| false)?,
        };
        Ok(written)
    }
}

/// What the end of a run makes of the export's state.
enum Advance {
    /// Nothing was sent.
    Nothing,
    /// The next one.
    To(StateAdvance),
    /// What was sent cannot be brought into it any more.
    Lost,
}

/// A file that does not open will not open the next time either, so the run ends without it. Anything else may pass: the
/// run is brought to its end later.
fn unfolded(error: &PlanError) -> Result<(), Stop> {
    tracing::error!(%error, "the state of an export could not be written, or the refused rows of its run");
    match error {
        PlanError::Sealed(_) => Ok(()),
        PlanError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        PlanError::Io { .. } => {
            Err(failure::internal("the files of this run could not be written; check the disk of the service"))
        }
    }
}

fn ending(stop: Stop) -> Result<(RunState, Option<RunError>), Stop> {
    match stop {
        Stop::Ended(state, error) => Ok((state, Some(error))),
        Stop::Cancelled | Stop::Removed => Ok((RunState::Cancelled, None)),
        Stop::LongWait { .. } => Ok((RunState::Failed, Some(failure::too_long_to_wait()))),
        Stop::Shutdown | Stop::Fenced | Stop::Unsealed | Stop::Unrecorded => Err(stop),
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

fn copy_refused(plan: &Place, refused: &Place, batches: &[BatchRecord]) -> Result<(), PlanError> {
    let mut reader = PlanReader::open(&plan.path, &plan.key, &plan.aad)?;
    let mut writer = RejectedWriter::create(&refused.path, &refused.key, &refused.aad)?;
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
                destination_reason: None,
                email,
            })?;
        }
    }
    writer.finish()
}
