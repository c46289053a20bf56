//! Taking off the lists, before a connection is removed, those whom its exports put there.
//!
//! Its runs are stopped, and for each export that has put somebody there a run is queued that takes them off. The
//! connection stays for these runs alone. When the last of them has ended, in whatever way, the removal goes on.

use crate::audit::{self, Fact, Who};
use crate::connection_removal::{RETRACTING, RemovedConnection, find, put, tombstone};
use crate::entity::{connection, connection_removal, export, run};
use crate::error::{corrupt, database, from_json};
use crate::facts::Cause;
use crate::run::{self as runs, NewTakingOff};
use crate::{Store, connection as connections, state as states};
use ferry_domain::{
    Connection, ConnectionState, Culprit, Error, Reason, RemovalReceipt, Result, RunError, RunId, RunName, RunState,
    Severity, Timestamp, Trigger,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use std::collections::HashSet;

impl Store {
    /// Connections of which the last person was taken off the lists, or cannot be any more. Their tombstones are set.
    pub async fn connections_retracted(&self, now: Timestamp) -> Result<Vec<RemovedConnection>> {
        let begun = connection_removal::Entity::find()
            .filter(connection_removal::Column::State.eq(RETRACTING))
            .all(&self.readers)
            .await
            .map_err(database)?;
        let mut removed = Vec::new();
        for row in begun {
            if goes_on(&self.readers, &row).await? {
                continue;
            }
            let done = self.run_and_wake(move |transaction| Box::pin(finish(transaction, row.uid, now))).await?;
            removed.extend(done);
        }
        Ok(removed)
    }
}

/// Stops the connection's runs and queues those that take people off. Nothing if nobody was put anywhere.
pub(crate) async fn begin(
    transaction: &DatabaseTransaction,
    who: &Who,
    (found, users): (&connection::Model, &[&export::Model]),
    new_run: fn() -> Result<RunId>,
    now: Timestamp,
) -> Result<Option<RemovalReceipt>> {
    let name = connections::to_domain(found.clone())?.name;
    let mut receipt = RemovalReceipt { connection: name.to_string(), ..RemovalReceipt::default() };
    let live = [RunState::Queued, RunState::Processing, RunState::AwaitingApproval, RunState::Paused];
    for row in runs::on_connection(transaction, (&found.tenant, &found.id), &live).await? {
        let stopped = runs::stop(transaction, row, (Cause::ConnectionRemoved, Some(why())), now).await?;
        receipt.stopped_runs.push(runs::to_domain(stopped.row)?.name.to_string());
        append(transaction, who, stopped.facts, now).await?;
    }
    // What these have sent is not in any state yet.
    let sending = runs::on_connection(transaction, (&found.tenant, &found.id), &[RunState::Cancelling]).await?;
    let sending: HashSet<&str> = sending.iter().filter(|run| !run.dry_run).map(|run| run.export.as_str()).collect();
    for user in users {
        let list = states::list_of(&from_json("exports", &user.settings)?);
        let state = states::find(transaction, (&user.uid, &found.uid), found.generation, list).await?;
        if state.is_none() && !sending.contains(user.id.as_str()) {
            continue;
        }
        let how = NewTakingOff { id: new_run()?, trigger: Trigger::Retraction, list, erasure: None };
        let queued = runs::queue_taking_off(transaction, (user, found), how, who.actor.clone(), now).await?;
        receipt.retraction_runs.push(runs::to_domain(queued.row)?.name.to_string());
        append(transaction, who, queued.facts, now).await?;
    }
    if receipt.retraction_runs.is_empty() {
        return Ok(None);
    }
    let fact = Fact::new("CONNECTION_RETRACTION_STARTED", name.tenant.as_str(), &name)
        .with("uid", &found.uid)
        .with("host", &found.host)
        .with("runs", receipt.stopped_runs.len())
        .with("retraction_runs", receipt.retraction_runs.len());
    receipt.audit_entries.push(audit::append(transaction, who, fact, now).await?);
    put(transaction, found, (RETRACTING, &receipt), now).await?;
    Ok(Some(receipt))
}

async fn append(transaction: &DatabaseTransaction, who: &Who, facts: Vec<Fact>, now: Timestamp) -> Result<()> {
    for fact in facts {
        audit::append(transaction, who, fact, now).await?;
    }
    Ok(())
}

fn why() -> RunError {
    RunError {
        reason: Reason::CancelledByCaller,
        message: "the connection of this run is being removed, and those whom it put on the list are taken off first"
            .to_owned(),
        severity: Severity::Permanent,
        culprit: Culprit::User,
    }
}

/// Whether people are still being taken off.
async fn goes_on(connection: &impl ConnectionTrait, row: &connection_removal::Model) -> Result<bool> {
    let receipt: RemovalReceipt = from_json("connection_removals", &row.receipt)?;
    for name in &receipt.retraction_runs {
        let name = RunName::parse(name).map_err(|error| corrupt("connection_removals", error))?;
        let found = run::Entity::find_by_id(name.run.as_str()).one(connection).await.map_err(database)?;
        if let Some(found) = found
            && !runs::read_state(&found)?.is_terminal()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn finish(transaction: &DatabaseTransaction, uid: String, now: Timestamp) -> Result<Option<RemovedConnection>> {
    // Somebody may have ended it at once meanwhile, or removed the tenant.
    let Some(row) = find(transaction, &uid).await?.filter(|row| row.state == RETRACTING) else { return Ok(None) };
    let key = (row.tenant.clone(), row.id.clone());
    let found = connection::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    let Some(found) = found.filter(|found| found.uid == uid) else { return Ok(None) };
    if goes_on(transaction, &row).await? {
        return Ok(None);
    }
    tombstone(transaction, &Who::ferry(), found, now).await.map(Some)
}

/// Refuses another run on a connection that is being removed.
pub(crate) async fn must_stay(connection: &impl ConnectionTrait, on: &connection::Model) -> Result<()> {
    if find(connection, &on.uid).await?.is_none() {
        return Ok(());
    }
    let name = connections::to_domain(on.clone())?.name.to_string();
    let message = format!(
        "`{name}` is being removed, once those are taken off whom it put on its lists; attach the export to another one"
    );
    Err(Error::precondition(Reason::ConnectionRemoved, "CONNECTION", name, message))
}

/// Shows of a connection that it is being removed.
pub(crate) async fn shown(readers: &impl ConnectionTrait, connection: Connection) -> Result<Connection> {
    if find(readers, &connection.uid).await?.is_none() {
        return Ok(connection);
    }
    Ok(Connection { state: ConnectionState::NeedsAttention, attention: Some(Reason::ConnectionRemoved), ..connection })
}
