//! Claiming: how a run gets its owner.

use crate::audit::{self, Fact, Who};
use crate::connection_change::StoredSecret;
use crate::entity::{connection, run};
use crate::error::{database, to_json};
use crate::lease::Lease;
use crate::plan::PlanRecord;
use crate::standing::NamedPlan;
use crate::writer::in_savepoint;
use crate::{
    Store, attention, connection as connections, connection_stop, export as exports, facts, plan, principal, removal,
    run as runs, run_change, run_hold, standing, taking_off,
};
use ferry_domain::authz::may_run;
use ferry_domain::{Connection, Culprit, Error, Export, Reason, Result, Run, RunError, RunState, Severity, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

/// A run with everything it takes to carry it out.
pub struct Claimed {
    /// The right to write what happens to it.
    pub lease: Lease,
    /// The run, as it is now.
    pub run: Run,
    /// What it carries out.
    pub export: Export,
    /// Where to.
    pub connection: Connection,
    /// The API key.
    pub secret: StoredSecret,
    /// The plan, if one was adopted earlier: before a crash, a pause, or an approval.
    pub plan: Option<PlanRecord>,
    /// Whether it sends everybody, as if nothing were known of the destination.
    pub full_resync: bool,
    /// The plan of a dry run that it is to carry out, if one was named. It is adopted like one that the run made.
    pub plan_of: Option<NamedPlan>,
    /// Whom it takes off the list; nothing for a run that exports.
    pub takes_off: Option<TakesOff>,
}

/// Whom a run takes off that reads no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakesOff {
    /// All whom the export put on the list, but those whom another export of the tenant holds there.
    Everybody,
    /// One person, by the keyed digest of their identity, whoever holds them there.
    One([u8; 16]),
}

impl Store {
    /// Frees what an earlier process of this database held. Called once, at the start of the only process.
    pub async fn leases_reset(&self, _now: Timestamp) -> Result<()> {
        self.writer
            .run(|transaction| {
                Box::pin(async move {
                    run::Entity::update_many()
                        .col_expr(run::Column::Owner, Expr::value(Option::<String>::None))
                        .filter(run::Column::State.is_in(exports::live_states()))
                        .filter(run::Column::Owner.ne(removal::NOBODY))
                        .exec(transaction)
                        .await
                        .map_err(database)?;
                    Ok(())
                })
            })
            .await
    }

    /// Claims the oldest run that nobody carries. Its epoch rises, so that whoever held it before writes no more. Ends
    /// what has waited for too long on the way.
    pub async fn run_claim(&self, worker: &str, now: Timestamp) -> Result<Option<Claimed>> {
        let mut passed_over = Vec::new();
        loop {
            let (worker, passed) = (worker.to_owned(), passed_over.clone());
            let step = self.writer.run(move |transaction| Box::pin(claim(transaction, worker, passed, now))).await?;
            match step {
                Step::Nothing => return Ok(None),
                Step::Claimed(claimed) => return Ok(Some(*claimed)),
                // What it had sent, if anything, is to be folded.
                Step::EndedOne => self.wake(),
                Step::Failed(run, error) => {
                    tracing::error!(run, %error, "a run could not be claimed; the others do not wait for it");
                    passed_over.push(run);
                }
            }
        }
    }
}

enum Step {
    Nothing,
    Claimed(Box<Claimed>),
    /// The run had nothing left to run on and was ended.
    EndedOne,
    /// What is to be done with this run cannot be written, or put on the record of its tenant: nothing is done with it.
    Failed(String, Error),
}

async fn claim(
    transaction: &DatabaseTransaction,
    worker: String,
    passed_over: Vec<String>,
    now: Timestamp,
) -> Result<Step> {
    let Some(row) = next(transaction, &passed_over, now).await? else { return Ok(Step::Nothing) };
    let run = row.id.clone();
    match in_savepoint(transaction, |alone| Box::pin(claim_one(alone, row, worker, now))).await {
        Ok(step) => Ok(step),
        Err(error) => Ok(Step::Failed(run, error)),
    }
}

/// The run whose turn it is: one that was approved too late, or the oldest that nobody carries.
async fn next(transaction: &DatabaseTransaction, passed_over: &[String], now: Timestamp) -> Result<Option<run::Model>> {
    if let Some(row) = run_hold::unapproved(transaction, passed_over, now).await? {
        return Ok(Some(row));
    }
    let begun = [RunState::Queued, RunState::Processing, RunState::Cancelling, RunState::Paused];
    let free = run::Entity::find()
        .filter(run::Column::State.is_in(begun.map(RunState::as_str)))
        .filter(run_hold::waits_no_more(now))
        .filter(run::Column::Owner.is_null())
        .filter(run::Column::Error.is_null().or(connection_stop::stopped_for_removal().not()))
        .filter(taking_off::may_begin())
        .filter(run::Column::Id.is_not_in(passed_over))
        .order_by_asc(run::Column::CreateTime)
        .order_by_asc(run::Column::Id);
    free.one(transaction).await.map_err(database)
}

async fn claim_one(transaction: &DatabaseTransaction, row: run::Model, worker: String, now: Timestamp) -> Result<Step> {
    let state = runs::read_state(&row)?;
    if state == RunState::AwaitingApproval {
        end(transaction, row, (RunState::Failed, run_hold::too_late()), now).await?;
        return Ok(Step::EndedOne);
    }
    let name = runs::to_domain(row.clone())?.name;
    let Some((export, connection)) = what_it_needs(transaction, &row, &name.export_name()).await? else {
        end_detached(transaction, row, now).await?;
        return Ok(Step::EndedOne);
    };
    let plan = plan::find(transaction, name.run.as_str()).await?;
    // A run that was killed before it had a plan begins anew, and so do these questions.
    if plan.is_none() && state != RunState::Cancelling {
        let may_not = match forbidden(transaction, &row, &connection).await? {
            Some(error) => Some((RunState::Skipped, error)),
            None => moved(transaction, &row, (&export, &connection), now).await?.map(|error| (RunState::Failed, error)),
        };
        if let Some(how) = may_not {
            end(transaction, row, how, now).await?;
            return Ok(Step::EndedOne);
        }
    }
    let epoch = row.epoch + 1;
    let (found, mut row) = (row.clone(), row.into_active_model());
    row.owner = Set(Some(worker));
    row.epoch = Set(epoch);
    row.version = Set(found.version + 1);
    if matches!(state, RunState::Queued | RunState::Paused) {
        run_hold::goes_on(&mut row, &found, now);
    }
    row.start_time = Set(found.start_time.or(Some(now.as_millis())));
    let row = run_change::update(transaction, &found, row, now).await?;
    if state == RunState::Paused {
        audit::append(transaction, &Who::ferry(), facts::resumed(&found, &row)?, now).await?;
    }
    let plan_of = standing::named(transaction, &row).await?;
    let takes_off = taking_off::of(transaction, &row).await?;
    let (secret, full_resync) = (StoredSecret::of(&connection), row.full_resync);
    let connection = connections::to_domain(connection)?;
    Ok(Step::Claimed(Box::new(Claimed {
        lease: Lease::new(name, epoch, connection.secret_version),
        run: runs::to_domain(row)?,
        export,
        connection,
        secret,
        plan,
        full_resync,
        plan_of,
        takes_off,
    })))
}

/// The export and the connection of a run; nothing if one of them is gone.
async fn what_it_needs(
    transaction: &DatabaseTransaction,
    row: &run::Model,
    export: &ferry_domain::ExportName,
) -> Result<Option<(Export, connection::Model)>> {
    // Whoever is on a list stays there when the export is removed, so they can still be taken off.
    let takes_off = runs::trigger_of(row)?.takes_off();
    let found = exports::find(transaction, export).await?.filter(|row| takes_off || row.delete_time.is_none());
    let Some(found) = found else { return Ok(None) };
    let export = taking_off::as_asked(exports::to_domain(found)?, row)?;
    let key = (row.tenant.clone(), row.connection.clone());
    let connection = connection::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    Ok(connection.map(|connection| (export, connection)))
}

/// Why a queued run may not begin: what allowed it when it was queued may have changed since.
async fn forbidden(
    transaction: &DatabaseTransaction,
    row: &run::Model,
    on: &connection::Model,
) -> Result<Option<RunError>> {
    let trigger = runs::trigger_of(row)?;
    let not_ready = match principal::acts_for(row, on)? {
        None => attention::of_destination(on)?,
        Some(subject) => {
            let role = principal::role_of(transaction, &row.tenant, subject).await?;
            if !may_run(role, connections::access_of(on)?) {
                return Ok(Some(principal::right_lost(trigger)));
            }
            // A dry run sends nothing, so the account at the destination does not matter to it.
            attention::seen(on)?.1.filter(|_| !row.dry_run)
        }
    };
    Ok(not_ready.map(|reason| RunError {
        reason,
        message: format!("the connection needs attention ({}); an administrator mends it first", reason.as_str()),
        severity: Severity::Permanent,
        culprit: Culprit::User,
    }))
}

/// Why a queued run may not carry out the plan that it names: what that stands on has moved while it was queued.
async fn moved(
    transaction: &DatabaseTransaction,
    row: &run::Model,
    (export, on): (&Export, &connection::Model),
    now: Timestamp,
) -> Result<Option<RunError>> {
    let Some(named) = standing::named(transaction, row).await? else { return Ok(None) };
    let moved = standing::moved(transaction, (export, on), &named.run, now).await?;
    Ok((!moved.is_empty()).then(|| standing::expired_since(&moved)))
}

async fn end_detached(transaction: &DatabaseTransaction, row: run::Model, now: Timestamp) -> Result<()> {
    let error = RunError {
        reason: Reason::ExportDetached,
        message: "the export or its connection was removed before the run began".to_owned(),
        severity: Severity::Permanent,
        culprit: Culprit::User,
    };
    let cancelling = runs::read_state(&row)? == RunState::Cancelling;
    let state = if cancelling { RunState::Cancelled } else { RunState::Failed };
    end(transaction, row, (state, error), now).await
}

/// Ends a run that sends nothing (more).
async fn end(
    transaction: &DatabaseTransaction,
    row: run::Model,
    how: (RunState, RunError),
    now: Timestamp,
) -> Result<()> {
    let (_, fact) = ended_as(transaction, row, how, now).await?;
    audit::append(transaction, &Who::ferry(), fact, now).await?;
    Ok(())
}

/// The same; whoever calls it puts the fact on record.
pub(crate) async fn ended_as(
    transaction: &DatabaseTransaction,
    row: run::Model,
    (state, error): (RunState, RunError),
    now: Timestamp,
) -> Result<(run::Model, Fact)> {
    let (found, mut row) = (row.clone(), row.into_active_model());
    run_hold::waits_no_longer(&mut row, &found, now);
    runs::change_state(&mut row, state);
    row.error = Set(Some(to_json(&error)?));
    row.end_time = Set(Some(now.as_millis()));
    row.phase = Set(None);
    row.version = Set(found.version + 1);
    facts::anchored(&mut row, &found);
    let row = run_change::update(transaction, &found, row, now).await?;
    let fact = facts::ended(&row)?;
    Ok((row, fact))
}
