//! Runs that wait: held by a guard until another administrator lets them go on, or paused until somebody mends the
//! connection or a time has come.
//!
//! A waiting run has no owner. It goes on by becoming PROCESSING again, and the claim takes it up.

use crate::audit::{Changed, Fact};
use crate::entity::{batch, run};
use crate::error::{corrupt, database, from_json, to_json};
use crate::lease::Lease;
use crate::request::{self, Write};
use crate::run_work::Fenced;
use crate::{Store, attention, facts, run as runs, run_change, tenant as tenants};
use ferry_domain::authz::action::ApproveRun;
use ferry_domain::authz::{Action, HeldRun, Permit, Spent};
use ferry_domain::{
    Approval, Culprit, Error, PauseReason, Reason, Result, Run, RunError, RunState, Severity, Timestamp, limits,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
};

/// Why a run is set aside, and what ends that.
#[derive(Debug, Clone)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// When it goes on by itself; a wait that the destination asked for has such a time.
    pub resume_time: Option<Timestamp>,
    /// What it met, for people.
    pub error: RunError,
}

impl Store {
    /// Sets a run aside and gives it up. Where somebody must act, the connection says so in the same transaction, so
    /// that whatever mends it also finds the run.
    ///
    /// The run goes straight back to the claim, PROCESSING, if the secret is another by now: what the destination said
    /// of the old one says nothing of it, and nobody would come to mend it. One that was asked to stop stays so.
    pub async fn run_pause(&self, lease: &Lease, pause: Pause, now: Timestamp) -> Fenced<Run> {
        let version = lease.secret_version();
        let paused = self.change_under_lease(lease, now, move |transaction, found| {
            Box::pin(async move {
                if runs::read_state(&found)? != RunState::Processing {
                    return Ok(Changed::nothing(runs::to_domain(give_up(transaction, found, None).await?)?));
                }
                let mut attention = None;
                let waits = match pause.reason {
                    // One that goes on by itself needs nobody.
                    _ if pause.resume_time.is_some() => true,
                    PauseReason::RetryAfter => {
                        return Err(Error::internal("a run cannot wait without an end", "no resume time"));
                    }
                    PauseReason::Credentials | PauseReason::Account => {
                        let reason = pause.error.reason;
                        attention = attention::refused(transaction, &found, reason, version, now).await?;
                        attention.is_some()
                    }
                };
                if !waits {
                    return Ok(Changed::nothing(runs::to_domain(give_up(transaction, found, None).await?)?));
                }
                let row = give_up(transaction, found.clone(), Some((pause, now))).await?;
                let paused = facts::paused(&found, &row)?;
                Ok(Changed::with(runs::to_domain(row)?, paused, attention))
            })
        });
        let paused = paused.await;
        self.wake();
        paused
    }

    /// Gives a run up that could not be brought to its end, so that it is claimed again.
    pub async fn run_release(&self, lease: &Lease) -> Fenced<()> {
        let released = self.under_lease(lease, move |transaction, found| {
            Box::pin(async move { give_up(transaction, found, None).await.map(|_| ()) })
        });
        let released = released.await;
        self.wake();
        released
    }

    /// Lets a held run go on.
    pub fn run_approve(
        &self,
        permit: Permit<ApproveRun>,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<Run>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            store
                .change(act, write.now, move |transaction| Box::pin(approve(transaction, target, by, seen, write)))
                .await
        }
    }
}

/// Takes the run from its owner, whose lease ends with it, and sets it aside if there is something to wait for.
async fn give_up(
    transaction: &DatabaseTransaction,
    found: run::Model,
    pause: Option<(Pause, Timestamp)>,
) -> Result<run::Model> {
    let mut row = found.clone().into_active_model();
    row.owner = Set(None);
    row.epoch = Set(found.epoch + 1);
    row.version = Set(found.version + 1);
    let Some((pause, now)) = pause else { return run_change::update_unseen(transaction, &found, row).await };
    runs::change_state(&mut row, RunState::Paused);
    row.wait_time = Set(Some(now.as_millis()));
    row.pause_reason = Set(Some(to_json(&pause.reason)?));
    row.resume_time = Set(pause.resume_time.map(Timestamp::as_millis));
    row.error = Set(Some(to_json(&pause.error)?));
    run_change::update(transaction, &found, row, now).await
}

/// The runs that wait for somebody to mend this connection go on: it was mended. Nothing is done to their owner, since
/// that of a removed tenant's run is one who never claims.
pub(crate) async fn resume(
    transaction: &DatabaseTransaction,
    (tenant, connection): (&str, &str),
    now: Timestamp,
) -> Result<Vec<Fact>> {
    let mut facts = Vec::new();
    for found in runs::on_connection(transaction, (tenant, connection), &[RunState::Paused]).await? {
        if pause_reason(&found)? == Some(PauseReason::RetryAfter) {
            continue;
        }
        let mut row = found.clone().into_active_model();
        goes_on(&mut row, &found, now);
        row.version = Set(found.version + 1);
        let row = run_change::update(transaction, &found, row, now).await?;
        facts.push(facts::resumed(&found, &row)?);
    }
    Ok(facts)
}

/// What a run waited for is over, or its turn has come.
pub(crate) fn goes_on(row: &mut run::ActiveModel, found: &run::Model, now: Timestamp) {
    waits_no_longer(row, found, now);
    runs::change_state(row, RunState::Processing);
}

/// The end of a wait, whatever comes after it. The time that it took is not the run's own.
pub(crate) fn waits_no_longer(row: &mut run::ActiveModel, found: &run::Model, now: Timestamp) {
    row.pause_reason = Set(None);
    row.resume_time = Set(None);
    row.error = Set(None);
    let Some(began) = found.wait_time.map(Timestamp::from_millis) else { return };
    let waited = now.since(began);
    row.wait_time = Set(None);
    row.waited_ms = Set(Timestamp::from_millis(found.waited_ms).plus(waited).as_millis());
    let end = found.estimated_end_time.map(Timestamp::from_millis);
    row.estimated_end_time = Set(end.map(|end| end.plus(waited).as_millis()));
}

/// Why a guard held a run, with the time at which it lapses while it is held.
pub(crate) fn approval(row: &run::Model, state: RunState) -> Result<Option<Approval>> {
    let held: Option<Approval> = row.approval.as_deref().map(|text| from_json("runs", text)).transpose()?;
    let since = row.wait_time.filter(|_| state == RunState::AwaitingApproval);
    let expire_time = since.map(|since| Timestamp::from_millis(since).plus(limits::APPROVAL_WAITS));
    Ok(held.map(|held| Approval { expire_time, ..held }))
}

pub(crate) fn pause_reason(row: &run::Model) -> Result<Option<PauseReason>> {
    row.pause_reason.as_deref().map(|reason| from_json("runs", reason)).transpose()
}

/// Leaves out paused runs, but for those whose wait has an end that has come. Asked beside the state, so that the index
/// of states serves the claim.
pub(crate) fn waits_no_more(now: Timestamp) -> Condition {
    Condition::any()
        .add(run::Column::State.ne(RunState::Paused.as_str()))
        .add(run::Column::ResumeTime.lte(now.as_millis()))
}

/// A run that has waited for its approval for too long.
pub(crate) async fn unapproved(
    connection: &impl ConnectionTrait,
    passed_over: &[String],
    now: Timestamp,
) -> Result<Option<run::Model>> {
    let waits = i64::try_from(limits::APPROVAL_WAITS.as_millis()).unwrap_or(i64::MAX);
    run::Entity::find()
        .filter(run::Column::State.eq(RunState::AwaitingApproval.as_str()))
        .filter(run::Column::Owner.is_null())
        .filter(run::Column::WaitTime.lte(now.as_millis().saturating_sub(waits)))
        .filter(run::Column::Id.is_not_in(passed_over))
        .one(connection)
        .await
        .map_err(database)
}

/// Why a run that nobody let go on has ended.
pub(crate) fn too_late() -> RunError {
    RunError {
        reason: Reason::PlanExpired,
        message: "nobody approved this run within 24 hours, so nothing was sent; start it anew".to_owned(),
        severity: Severity::Temporary,
        culprit: Culprit::User,
    }
}

/// Whether a run has ever recorded that it sends something. Without that nothing of it is at the destination.
pub(crate) async fn has_sent(connection: &impl ConnectionTrait, row: &run::Model) -> Result<bool> {
    let first = batch::Entity::find().filter(batch::Column::Run.eq(row.id.as_str())).one(connection).await;
    Ok(first.map_err(database)?.is_some())
}

async fn approve(
    transaction: &DatabaseTransaction,
    HeldRun { name, started_by }: HeldRun,
    by: String,
    seen: Option<i64>,
    write: Write,
) -> Result<Changed<Run>> {
    let tenant = name.tenant.as_str();
    let found = runs::load(transaction, &name).await?;
    if request::earlier(transaction, tenant, ApproveRun::METHOD, &write).await?.is_some() {
        return Ok(Changed::nothing(runs::to_domain(found)?));
    }
    tenants::must_exist(transaction, &name.tenant).await?;
    if found.started_by != started_by || seen.is_some_and(|seen| seen != found.version) {
        return Err(Error::Aborted { name: name.to_string() });
    }
    let held_since = match (runs::read_state(&found)?, found.wait_time) {
        (RunState::AwaitingApproval, Some(held)) => Timestamp::from_millis(held),
        (state, _) => {
            let message = format!("`{name}` is {}; only a run that awaits approval can be approved", state.as_str());
            return Err(Error::precondition(Reason::RunNotHeld, "RUN_STATE", name.to_string(), message));
        }
    };
    if write.now.since(held_since) >= limits::APPROVAL_WAITS {
        let message = format!("`{name}` has waited for more than 24 hours; start it anew");
        return Err(Error::precondition(Reason::PlanExpired, "RUN_STATE", name.to_string(), message));
    }
    let held: Option<Approval> = found.approval.as_deref().map(|text| from_json("runs", text)).transpose()?;
    let held = held.ok_or_else(|| corrupt("runs", "a held run without a reason"))?;
    let approval = Approval { approved_by: Some(by), approve_time: Some(write.now), ..held };
    let mut row = found.clone().into_active_model();
    goes_on(&mut row, &found, write.now);
    row.approval = Set(Some(to_json(&approval)?));
    row.version = Set(found.version + 1);
    let approved = run_change::update(transaction, &found, row, write.now).await?;
    request::note(transaction, tenant, ApproveRun::METHOD, &write, &name.to_string()).await?;
    let fact = facts::of_run("RUN_APPROVED", &approved)?.with("started_by", &found.started_by);
    let fact = fact.changing(Some(&found), Some(&approved))?;
    Ok(Changed::one(runs::to_domain(approved)?, fact))
}
