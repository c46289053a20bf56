//! What the owner of a run writes about it, besides batches.

use crate::audit::{Changed, Who};
use crate::connection_change::StoredSecret;
use crate::entity::{connection, run};
use crate::error::{corrupt, database, from_json, to_json};
use crate::lease::{Lease, LeaseError};
use crate::plan::Adoption;
use crate::state::StateAdvance;
use crate::{Store, attention, facts, plan, recipients, run as runs, run_change, state as states, suppression};
use ferry_domain::{Approval, Counts, Error, Phase, Reason, Result, Run, RunError, RunState, Timestamp};
use futures::future::BoxFuture;
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseTransaction, EntityTrait, IntoActiveModel};

/// A write under a lease: `Fenced` is an answer of its own, so it travels inside the job's result.
pub(crate) type Fenced<T> = std::result::Result<T, LeaseError>;

impl Store {
    /// Runs a job that begins with the check of the lease; a fenced one writes nothing.
    pub(crate) async fn under_lease<T, F>(&self, lease: &Lease, job: F) -> Fenced<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction, run::Model) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let lease = lease.clone();
        let answer = self.writer.run(move |transaction| {
            Box::pin(async move {
                let row = match lease.row(transaction).await {
                    Ok(row) => row,
                    Err(LeaseError::Fenced) => return Ok(None),
                    Err(LeaseError::Failed(error)) => return Err(error),
                };
                job(transaction, row).await.map(Some)
            })
        });
        answer.await?.ok_or(LeaseError::Fenced)
    }

    /// As `under_lease`, for what goes on the record of the tenant: both are committed, or neither is. It was Ferry's own
    /// doing.
    pub(crate) async fn change_under_lease<T, F>(&self, lease: &Lease, now: Timestamp, job: F) -> Fenced<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction, run::Model) -> BoxFuture<'t, Result<Changed<T>>> + Send + 'static,
    {
        let recorded = self.under_lease(lease, move |transaction, found| {
            Box::pin(async move { job(transaction, found).await?.recorded(transaction, &Who::ferry(), now).await })
        });
        recorded.await
    }

    /// Notes what the run is doing.
    pub async fn run_phase(&self, lease: &Lease, phase: Phase, now: Timestamp) -> Fenced<()> {
        let word = to_json(&phase)?;
        self.change_run(lease, now, move |row, _| {
            row.phase = Set(Some(word));
            Ok(())
        })
        .await
    }

    /// Adds something to know that does not stop the run.
    pub async fn run_warn(&self, lease: &Lease, text: &str, now: Timestamp) -> Fenced<()> {
        let text = text.to_owned();
        self.change_run(lease, now, move |row, found| {
            let mut warnings: Vec<String> = from_json("runs", &found.warnings)?;
            if !warnings.contains(&text) {
                warnings.push(text);
            }
            row.warnings = Set(to_json(&warnings)?);
            Ok(())
        })
        .await
    }

    async fn change_run(
        &self,
        lease: &Lease,
        now: Timestamp,
        change: impl FnOnce(&mut run::ActiveModel, &run::Model) -> Result<()> + Send + 'static,
    ) -> Fenced<()> {
        self.under_lease(lease, move |transaction, found| {
            Box::pin(async move {
                let mut row = found.clone().into_active_model();
                change(&mut row, &found)?;
                row.version = Set(found.version + 1);
                run_change::update(transaction, &found, row, now).await?;
                Ok(())
            })
        })
        .await
    }

    /// Adopts a plan: from now on it is what this run sends, and never changes. If a guard holds it, the run is given up
    /// in the same transaction and waits for its approval; only a dry run, which sends nothing, just says so.
    ///
    /// Nothing, if somebody was suppressed since the plan was made: it may hold them, and is to be made again. Whoever is
    /// suppressed after this is looked for in the plan by their erasure.
    pub async fn plan_adopt(&self, lease: &Lease, adoption: Adoption, now: Timestamp) -> Fenced<Option<Run>> {
        self.change_under_lease(lease, now, move |transaction, found| {
            Box::pin(async move {
                let Adoption { record, summary, counts, estimated_end, held } = adoption;
                if suppression::count(transaction, &found.tenant).await? != record.suppressions {
                    return Ok(Changed::nothing(None));
                }
                if !counts.add_up() {
                    return Err(Error::internal("the account of a plan does not add up", format!("{counts:?}")));
                }
                plan::insert(transaction, &found.id, &record, now).await?;
                recipients::note(transaction, &found).await?;
                let batches = record.batch_rows.len() + record.removal_batch_rows.len();
                let mut row = found.clone().into_active_model();
                row.counts = Set(to_json(&counts)?);
                row.plan_summary = Set(Some(to_json(&summary)?));
                row.batches_total = Set(i64::try_from(batches).unwrap_or(i64::MAX));
                row.estimated_end_time = Set(Some(estimated_end.as_millis()));
                row.version = Set(found.version + 1);
                let reasons = held.len();
                if !held.is_empty() {
                    hold(&mut row, &found, held, now)?;
                }
                facts::anchored(&mut row, &found);
                let row = run_change::update(transaction, &found, row, now).await?;
                let started = facts::started(&row, &record)?;
                let waits = runs::read_state(&row)? == RunState::AwaitingApproval;
                let held = waits.then(|| facts::of_run("RUN_HELD", &row)).transpose()?;
                let held = held.map(|fact| fact.with("reasons", reasons));
                Ok(Changed::with(Some(runs::to_domain(row)?), started, held))
            })
        })
        .await
    }

    /// The state that the run is in now.
    pub async fn run_state(&self, lease: &Lease) -> Fenced<RunState> {
        let row = self.leased_row(lease).await?;
        Ok(runs::read_state(&row)?)
    }

    /// The secret of the run's connection that is in force now, with its version; nothing if the connection is gone.
    pub async fn secret_in_force(&self, lease: &Lease) -> Fenced<Option<(u32, StoredSecret)>> {
        let row = self.leased_row(lease).await?;
        let key = (row.tenant, row.connection);
        let found = connection::Entity::find_by_id(key).one(&self.readers).await.map_err(database)?;
        let Some(found) = found else { return Ok(None) };
        let version = u32::try_from(found.secret_version).map_err(|error| corrupt("connections", error))?;
        Ok(Some((version, StoredSecret::of(&found))))
    }

    /// The run's account so far.
    pub async fn run_counts(&self, lease: &Lease) -> Fenced<Counts> {
        let row = self.leased_row(lease).await?;
        Ok(from_json("runs", &row.counts)?)
    }

    pub(crate) async fn leased_row(&self, lease: &Lease) -> Fenced<run::Model> {
        let row = run::Entity::find_by_id(lease.run().run.as_str()).one(&self.readers).await.map_err(database)?;
        row.filter(|row| row.epoch == lease.epoch()).ok_or(LeaseError::Fenced)
    }

    /// Ends the run, and moves the state of its export on in the same transaction. Refused if the account does not add
    /// up: an end that loses a profile is no end.
    pub async fn run_finish(
        &self,
        lease: &Lease,
        state: RunState,
        error: Option<RunError>,
        counts: Counts,
        advance: Option<StateAdvance>,
        now: Timestamp,
    ) -> Fenced<Run> {
        self.change_under_lease(lease, now, move |transaction, found| {
            Box::pin(async move {
                // A run that was asked to stop just before its end has been cancelled, whatever else it was about to be.
                let stopped = runs::read_state(&found)? == RunState::Cancelling;
                let state = if stopped { RunState::Cancelled } else { state };
                // A run that was stopped because whoever it acts for lost their right says so; one that a person
                // cancelled has no error.
                let error = match state {
                    RunState::Cancelled => found.error.as_deref().map(|text| from_json("runs", text)).transpose()?,
                    _ => error,
                };
                if !state.is_terminal() {
                    return Err(Error::internal("a run cannot end like this", state.as_str()));
                }
                if !counts.add_up() {
                    return Err(Error::internal("the account of a run does not add up", format!("{counts:?}")));
                }
                if let Some(advance) = advance {
                    states::advance(transaction, &found, advance, now).await?;
                }
                let mut row = found.clone().into_active_model();
                runs::change_state(&mut row, state);
                row.error = Set(error.as_ref().map(to_json).transpose()?);
                row.counts = Set(to_json(&counts)?);
                row.end_time = Set(Some(now.as_millis()));
                row.phase = Set(None);
                row.owner = Set(None);
                row.version = Set(found.version + 1);
                facts::anchored(&mut row, &found);
                let row = run_change::update(transaction, &found, row, now).await?;
                let ended = facts::ended(&row)?;
                Ok(Changed::one(runs::to_domain(row)?, ended))
            })
        })
        .await
    }

    /// The destination refused the credentials or the account, or the secret cannot be had: somebody has to look at the
    /// connection.
    pub async fn connection_attention(&self, lease: &Lease, reason: Reason, now: Timestamp) -> Fenced<()> {
        let version = lease.secret_version();
        self.change_under_lease(lease, now, move |transaction, found| {
            Box::pin(async move {
                let noted = attention::refused(transaction, &found, reason, version, now).await?;
                Ok(noted.map_or(Changed::nothing(()), |fact| Changed::one((), fact)))
            })
        })
        .await
    }
}

/// A guard holds a run: it waits for another administrator, and nobody carries it meanwhile. A dry run sends nothing, so
/// it only says what would hold its carrying out; one that was asked to stop needs no approval for that.
fn hold(row: &mut run::ActiveModel, found: &run::Model, held: Vec<String>, now: Timestamp) -> Result<()> {
    let goes_on = !found.dry_run && runs::read_state(found)? == RunState::Processing;
    if found.dry_run || goes_on {
        let approval = Approval { reasons: held, approved_by: None, approve_time: None, expire_time: None };
        row.approval = Set(Some(to_json(&approval)?));
    }
    if goes_on {
        runs::change_state(row, RunState::AwaitingApproval);
        row.wait_time = Set(Some(now.as_millis()));
        row.owner = Set(None);
        row.epoch = Set(found.epoch + 1);
    }
    Ok(())
}
