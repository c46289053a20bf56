//! The runs of a connection that goes: they are stopped, and say so by their error. A new connection may have the old
//! one's id by the time they end, so it is by that error that they are known.

use crate::audit::Fact;
use crate::entity::{attempt, connection, run};
use crate::error::{corrupt, database, from_json, to_json};
use crate::facts::{self, Cause};
use crate::lease::Lease;
use crate::plan::{self, PlanRecord};
use crate::run_work::Fenced;
use crate::{Store, run as runs, run_change};
use ferry_domain::{Culprit, Reason, Result, Run, RunError, RunId, RunName, RunState, Severity, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::collections::HashSet;
use std::time::Duration;

/// Longer than any request is on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(15);

/// Whether a run is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It goes on.
    GoesOn,
    /// It sends nothing more; what was sent is settled.
    Stop,
    /// Its connection was removed: the destination is asked nothing more.
    Removed,
}

/// A run that was stopped before its end and whose connection is gone: only its account is left to be made.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// The right to write its end.
    pub lease: Lease,
    /// The run.
    pub run: Run,
    /// The plan, if it came to that.
    pub plan: Option<PlanRecord>,
}

/// A run that was stopped, as it was before, with what goes on record of that.
pub(crate) struct Stopped {
    pub(crate) name: RunName,
    epoch: i64,
    pub(crate) facts: Vec<Fact>,
}

impl Store {
    /// Whether the run is to go on.
    pub async fn run_asked(&self, lease: &Lease) -> Fenced<Asked> {
        let row = self.leased_row(lease).await?;
        Ok(match runs::read_state(&row)? {
            RunState::Cancelling | RunState::Cancelled if is_stopped_for_removal(&row)? => Asked::Removed,
            RunState::Cancelling | RunState::Cancelled => Asked::Stop,
            _ => Asked::GoesOn,
        })
    }

    /// Takes up a run that nobody carries and whose connection was removed.
    pub async fn orphan_claim(&self, worker: &str) -> Result<Option<Orphan>> {
        let worker = worker.to_owned();
        self.writer.run(move |transaction| Box::pin(claim(transaction, worker))).await
    }
}

async fn claim(transaction: &DatabaseTransaction, worker: String) -> Result<Option<Orphan>> {
    let free = run::Entity::find()
        .filter(run::Column::State.eq(RunState::Cancelling.as_str()))
        .filter(run::Column::Owner.is_null())
        .filter(stopped_for_removal())
        .order_by_asc(run::Column::CreateTime);
    let Some(found) = free.one(transaction).await.map_err(database)? else { return Ok(None) };
    let mut row = found.clone().into_active_model();
    row.owner = Set(Some(worker));
    row.epoch = Set(found.epoch + 1);
    row.version = Set(found.version + 1);
    let run = runs::to_domain(run_change::update_unseen(transaction, &found, row).await?)?;
    let plan = plan::find(transaction, &found.id).await?;
    // No secret is there any more of which the destination could say anything.
    Ok(Some(Orphan { lease: Lease::new(run.name.clone(), found.epoch + 1, 0), run, plan }))
}

/// Stops every run of a connection that is not over. Tells which, as they were.
pub(crate) async fn stop_all(
    transaction: &DatabaseTransaction,
    on: &connection::Model,
    now: Timestamp,
) -> Result<Vec<Stopped>> {
    let live =
        [RunState::Queued, RunState::Processing, RunState::AwaitingApproval, RunState::Paused, RunState::Cancelling];
    let mut stopped = Vec::new();
    for row in runs::on_connection(transaction, (&on.tenant, &on.id), &live).await? {
        // One of a connection that had this id before.
        if is_stopped_for_removal(&row)? {
            continue;
        }
        let (name, epoch) = (runs::to_domain(row.clone())?.name, row.epoch);
        let cause = Cause::ConnectionRemoved;
        let facts = if runs::read_state(&row)? == RunState::Cancelling {
            let (found, mut row) = (row.clone(), row.into_active_model());
            row.error = Set(Some(to_json(&why())?));
            row.version = Set(found.version + 1);
            let row = run_change::update(transaction, &found, row, now).await?;
            facts::stopped(cause, &found, &row)?
        } else {
            runs::stop(transaction, row, (cause, Some(why())), now).await?.facts
        };
        stopped.push(Stopped { name, epoch, facts });
    }
    Ok(stopped)
}

fn why() -> RunError {
    RunError {
        reason: Reason::ConnectionRemoved,
        message: "the connection of this run was removed; its export can be attached to another one".to_owned(),
        severity: Severity::Permanent,
        culprit: Culprit::User,
    }
}

pub(crate) fn is_stopped_for_removal(row: &run::Model) -> Result<bool> {
    let error: Option<RunError> = row.error.as_deref().map(|text| from_json("runs", text)).transpose()?;
    Ok(error.is_some_and(|error| error.reason == Reason::ConnectionRemoved))
}

/// The same, for a query.
pub(crate) fn stopped_for_removal() -> SimpleExpr {
    run::Column::Error.contains(format!("\"reason\":\"{}\"", Reason::ConnectionRemoved.as_str()))
}

/// Requests of these runs that have no answer, by whoever carries them now.
pub(crate) async fn in_flight(
    connection: &impl ConnectionTrait,
    host: &str,
    stopped: &[Stopped],
    now: Timestamp,
) -> Result<u64> {
    let carried: HashSet<(&str, i64)> = stopped.iter().map(|run| (run.name.run.as_str(), run.epoch)).collect();
    let open = open(connection, host, now).await?;
    Ok(open.iter().filter(|(run, epoch)| carried.contains(&(run.as_str(), *epoch))).count() as u64)
}

/// Requests of these runs that still have no answer.
pub(crate) async fn unanswered(
    connection: &impl ConnectionTrait,
    host: &str,
    stopped: &[RunId],
    now: Timestamp,
) -> Result<u64> {
    let stopped: HashSet<&str> = stopped.iter().map(RunId::as_str).collect();
    let mut count = 0;
    for (run, epoch) in open(connection, host, now).await? {
        let carried = stopped.contains(run.as_str()) && epoch == runs_epoch(connection, &run).await?;
        count += u64::from(carried);
    }
    Ok(count)
}

async fn runs_epoch(connection: &impl ConnectionTrait, run: &str) -> Result<i64> {
    let row = run::Entity::find_by_id(run).one(connection).await.map_err(database)?;
    row.map(|row| row.epoch).ok_or_else(|| corrupt("attempts", "an attempt without a run"))
}

/// Run and epoch of each request to an account that is on record, has no answer, and may be on its way.
async fn open(connection: &impl ConnectionTrait, host: &str, now: Timestamp) -> Result<Vec<(String, i64)>> {
    let since = now.as_millis() - i64::try_from(ON_ITS_WAY.as_millis()).unwrap_or(i64::MAX);
    attempt::Entity::find()
        .select_only()
        .columns([attempt::Column::Run, attempt::Column::Epoch])
        .filter(attempt::Column::Account.eq(host))
        .filter(attempt::Column::IntentTime.gte(since))
        .filter(attempt::Column::Outcome.is_null())
        .into_tuple()
        .all(connection)
        .await
        .map_err(database)
}
