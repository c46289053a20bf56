//! The removal of a connection, in steps that a crash can come between.
//!
//! ```text
//! (people taken off the lists) ─▶ tombstone (exports detached, runs stopped, no intent any more) ─▶ keys destroyed ─▶ on record
//! ```
//!
//! The tombstone is one transaction. Everything after it can be repeated, and is, at the next start. The row of a
//! removal stays, with its receipt.

use crate::audit::{self, Changed, Fact, Who};
use crate::connection::{self as connections, not_found};
use crate::connection_stop::{in_flight, stop_all};
use crate::entity::{connection, connection_removal, export};
use crate::error::{corrupt, database, from_json, to_json};
use crate::request::{self, Write};
use crate::{Store, connection_retraction as retraction, export as exports, facts, tenant as tenants};
use ferry_domain::authz::action::DeleteConnection;
use ferry_domain::authz::{Action, Permit, Spent};
use ferry_domain::error::Precondition;
use ferry_domain::{ConnectionName, Error, ExportName, Reason, RemovalReceipt, Result, RunId, RunName, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

/// People are being taken off the lists; the connection is still there for that.
pub(crate) const RETRACTING: &str = "retracting";
const TOMBSTONED: &str = "tombstoned";
const DESTROYED: &str = "destroyed";

/// How a connection is to be removed.
#[derive(Debug, Clone, Copy)]
pub struct RemovalAsked {
    /// The version that the caller has seen, if it said so.
    pub seen_version: Option<i64>,
    /// Although exports use it.
    pub force: bool,
    /// And take off the lists those whom its exports put there, before.
    pub retract: bool,
    /// Makes the ids of the runs that do so.
    pub new_run: fn() -> Result<RunId>,
}

/// A connection that has its tombstone, and whose keys may still be there. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedConnection {
    tenant: String,
    uid: String,
}

impl RemovedConnection {
    /// Its tenant's id.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Its uid, which its keys are bound to.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    pub(crate) fn of(row: &connection::Model) -> Self {
        Self { tenant: row.tenant.clone(), uid: row.uid.clone() }
    }
}

/// How far a removal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Its keys are to be destroyed.
    Tombstoned(RemovedConnection),
    /// There is nothing to do now but to tell: it is done, or people are being taken off the lists.
    Told(RemovalReceipt),
}

impl Store {
    /// Sets the tombstone of a connection: from its commit on no request for it begins. With `retract` its runs are
    /// stopped and those are queued that take people off; the tombstone comes once they have ended.
    pub fn connection_delete(
        &self,
        permit: Permit<DeleteConnection>,
        asked: RemovalAsked,
        write: Write,
    ) -> impl Future<Output = Result<Removal>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            let who = Who::from(&act);
            let now = write.now;
            store
                .change(act, now, move |transaction| {
                    Box::pin(async move {
                        // The receipt tells the numbers of the entries, so they are appended before it is stored.
                        Ok(Changed::nothing(delete(transaction, &who, target, asked, write).await?))
                    })
                })
                .await
        }
    }

    /// Connections whose keys were to be destroyed when an earlier process ended.
    pub async fn connections_to_destroy(&self) -> Result<Vec<RemovedConnection>> {
        let rows = connection_removal::Entity::find()
            .filter(connection_removal::Column::State.eq(TOMBSTONED))
            .all(&self.readers)
            .await
            .map_err(database)?;
        Ok(rows.into_iter().map(|row| RemovedConnection { tenant: row.tenant, uid: row.uid }).collect())
    }

    /// Notes that so many keys of a connection were destroyed, and completes its receipt.
    pub async fn connection_destroyed(
        &self,
        removed: &RemovedConnection,
        keys: u64,
        now: Timestamp,
    ) -> Result<RemovalReceipt> {
        let removed = removed.clone();
        let receipt = self.writer.run(move |transaction| Box::pin(destroyed(transaction, removed, keys, now))).await?;
        self.checkpoint_soon();
        Ok(receipt)
    }
}

async fn delete(
    transaction: &DatabaseTransaction,
    who: &Who,
    name: ConnectionName,
    asked: RemovalAsked,
    write: Write,
) -> Result<Removal> {
    let tenant = name.tenant.as_str();
    if let Some(uid) = request::earlier(transaction, tenant, DeleteConnection::METHOD, &write).await? {
        let begun = find(transaction, &uid).await?;
        return standing(begun.ok_or_else(|| corrupt("connection_removals", "a noted removal is gone"))?);
    }
    tenants::must_exist(transaction, &name.tenant).await?;
    let Some(found) = connections::find(transaction, &name).await? else { return gone(transaction, &name).await };
    if asked.seen_version.is_some_and(|seen| seen != found.version) {
        return Err(Error::Aborted { name: name.to_string() });
    }
    let users = users(transaction, &found).await?;
    let live: Vec<&export::Model> = users.iter().filter(|export| export.delete_time.is_none()).collect();
    if !live.is_empty() && !asked.force {
        return Err(in_use(&name, &live));
    }
    request::note(transaction, tenant, DeleteConnection::METHOD, &write, &found.uid).await?;
    if asked.retract {
        if let Some(begun) = find(transaction, &found.uid).await? {
            return standing(begun);
        }
        let begun = retraction::begin(transaction, who, (&found, &live), asked.new_run, write.now).await?;
        if let Some(receipt) = begun {
            return Ok(Removal::Told(receipt));
        }
    }
    tombstone(transaction, who, found, write.now).await.map(Removal::Tombstoned)
}

/// The exports on a connection, those that were deleted too.
async fn users(transaction: &DatabaseTransaction, on: &connection::Model) -> Result<Vec<export::Model>> {
    export::Entity::find()
        .filter(export::Column::Tenant.eq(on.tenant.as_str()))
        .filter(export::Column::Connection.eq(on.id.as_str()))
        .order_by_asc(export::Column::Id)
        .all(transaction)
        .await
        .map_err(database)
}

/// From the commit of this on, no intent of the connection's runs commits: they are stopped, and it is not there.
pub(crate) async fn tombstone(
    transaction: &DatabaseTransaction,
    who: &Who,
    found: connection::Model,
    now: Timestamp,
) -> Result<RemovedConnection> {
    let name = connections::to_domain(found.clone())?.name;
    let begun = find(transaction, &found.uid).await?;
    let mut receipt: RemovalReceipt = match &begun {
        Some(row) => from_json("connection_removals", &row.receipt)?,
        None => RemovalReceipt { connection: name.to_string(), ..RemovalReceipt::default() },
    };
    let stopped = stop_all(transaction, &found, now).await?;
    receipt.requests_in_flight = in_flight(transaction, &found.host, &stopped, now).await?;
    for stopped in stopped {
        receipt.stopped_runs.push(stopped.name.to_string());
        for fact in stopped.facts {
            audit::append(transaction, who, fact, now).await?;
        }
    }
    for export in users(transaction, &found).await? {
        detach(transaction, who, &mut receipt, (export, &found), now).await?;
    }
    // What is destroyed after this: the key of the files, and that of the secret in force unless it lies elsewhere.
    receipt.keys_destroyed = 1 + u64::from(found.secret_reference.is_none());
    let fact = Fact::new("CONNECTION_REMOVED", name.tenant.as_str(), &name)
        .with("uid", &found.uid)
        .with("host", &found.host)
        .with("generation", found.generation)
        .with("runs", receipt.stopped_runs.len())
        .with("exports", receipt.detached_exports.len())
        .with("requests_in_flight", receipt.requests_in_flight)
        .changing(Some(&found), None)?;
    receipt.audit_entries.push(audit::append(transaction, who, fact, now).await?);
    let key = (found.tenant.clone(), found.id.clone());
    connection::Entity::delete_by_id(key).exec(transaction).await.map_err(database)?;
    put(transaction, &found, (TOMBSTONED, &receipt), now).await?;
    Ok(RemovedConnection::of(&found))
}

/// Takes a connection away from an export, which keeps everything else.
async fn detach(
    transaction: &DatabaseTransaction,
    who: &Who,
    receipt: &mut RemovalReceipt,
    (found, from): (export::Model, &connection::Model),
    now: Timestamp,
) -> Result<()> {
    let mut row = found.clone().into_active_model();
    row.connection = Set(None);
    if found.delete_time.is_some() {
        export::Entity::update(row).exec(transaction).await.map_err(database)?;
        return Ok(());
    }
    row.version = Set(found.version + 1);
    row.updated_by = Set(who.actor.clone());
    row.update_time = Set(now.as_millis());
    let detached = export::Entity::update(row).exec(transaction).await.map_err(database)?;
    let name: ExportName = exports::to_domain(detached.clone())?.name;
    let fact = facts::of_export("EXPORT_DETACHED", Some(&found), &detached)?
        .with("connection", &from.id)
        .with("connection_uid", &from.uid);
    receipt.audit_entries.push(audit::append(transaction, who, fact, now).await?);
    receipt.detached_exports.push(name.to_string());
    Ok(())
}

async fn destroyed(
    transaction: &DatabaseTransaction,
    removed: RemovedConnection,
    keys: u64,
    now: Timestamp,
) -> Result<RemovalReceipt> {
    let row = find(transaction, &removed.uid).await?;
    // Its tenant was removed meanwhile, with all its rows.
    let row = row.ok_or_else(|| Error::NotFound { kind: "connection", name: removed.uid.clone() })?;
    let mut receipt: RemovalReceipt = from_json("connection_removals", &row.receipt)?;
    if row.state == DESTROYED {
        return Ok(receipt);
    }
    let mut stopped = Vec::with_capacity(receipt.stopped_runs.len());
    for name in &receipt.stopped_runs {
        stopped.push(RunName::parse(name).map_err(|error| corrupt("connection_removals", error))?.run);
    }
    let unanswered = crate::connection_stop::unanswered(transaction, &row.host, &stopped, now).await?;
    // A crash may have come after the destruction: what was there at the tombstone is gone since then.
    receipt.keys_destroyed = receipt.keys_destroyed.max(keys);
    let fact = Fact::new("KEYS_DESTROYED", row.tenant.as_str(), &receipt.connection)
        .with("uid", &row.uid)
        .with("keys", receipt.keys_destroyed)
        .with("requests_in_flight", unanswered);
    receipt.audit_entries.push(audit::append(transaction, &Who::ferry(), fact, now).await?);
    receipt.remove_time = Some(now);
    let mut row = row.into_active_model();
    row.state = Set(DESTROYED.to_owned());
    row.receipt = Set(to_json(&receipt)?);
    row.update_time = Set(now.as_millis());
    connection_removal::Entity::update(row).exec(transaction).await.map_err(database)?;
    Ok(receipt)
}

pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    of: &connection::Model,
    (state, receipt): (&str, &RemovalReceipt),
    now: Timestamp,
) -> Result<()> {
    let row = connection_removal::ActiveModel {
        uid: Set(of.uid.clone()),
        tenant: Set(of.tenant.clone()),
        id: Set(of.id.clone()),
        host: Set(of.host.clone()),
        state: Set(state.to_owned()),
        receipt: Set(to_json(receipt)?),
        create_time: Set(now.as_millis()),
        update_time: Set(now.as_millis()),
    };
    use connection_removal::Column as C;
    // A retraction that has ended becomes a removal.
    let ended = sea_orm::sea_query::OnConflict::column(C::Uid)
        .update_columns([C::Host, C::State, C::Receipt, C::UpdateTime])
        .to_owned();
    let insert = connection_removal::Entity::insert(row).on_conflict(ended);
    insert.exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

pub(crate) async fn find(connection: &impl ConnectionTrait, uid: &str) -> Result<Option<connection_removal::Model>> {
    connection_removal::Entity::find_by_id(uid).one(connection).await.map_err(database)
}

fn standing(row: connection_removal::Model) -> Result<Removal> {
    if row.state == TOMBSTONED {
        return Ok(Removal::Tombstoned(RemovedConnection { tenant: row.tenant, uid: row.uid }));
    }
    from_json("connection_removals", &row.receipt).map(Removal::Told)
}

/// What is told of a connection that is not there. A removal that was begun is finished.
async fn gone(connection: &impl ConnectionTrait, name: &ConnectionName) -> Result<Removal> {
    let Some(row) = newest(connection, name).await? else { return Err(not_found(name)) };
    match standing(row)? {
        Removal::Told(receipt) => Err(Error::AlreadyRemoved {
            kind: "connection",
            name: name.to_string(),
            time: receipt.remove_time.unwrap_or(Timestamp::from_millis(0)),
            entry: receipt.covered_from(),
        }),
        begun @ Removal::Tombstoned(_) => Ok(begun),
    }
}

async fn newest(connection: &impl ConnectionTrait, name: &ConnectionName) -> Result<Option<connection_removal::Model>> {
    connection_removal::Entity::find()
        .filter(connection_removal::Column::Tenant.eq(name.tenant.as_str()))
        .filter(connection_removal::Column::Id.eq(name.connection.as_str()))
        .order_by_desc(connection_removal::Column::UpdateTime)
        .one(connection)
        .await
        .map_err(database)
}

/// Whether a connection was removed that had this name at a time, whoever has it now.
pub(crate) async fn removed_since(
    connection: &impl ConnectionTrait,
    name: &ConnectionName,
    time: Timestamp,
) -> Result<bool> {
    let newest = newest(connection, name).await?;
    Ok(newest.is_some_and(|row| row.state != RETRACTING && row.update_time >= time.as_millis()))
}

fn in_use(name: &ConnectionName, exports: &[&export::Model]) -> Error {
    let cause = |export: &&export::Model| Precondition {
        kind: "EXPORT",
        subject: format!("tenants/{}/exports/{}", name.tenant, export.id),
        description: "uses this connection; delete or detach it first".to_owned(),
    };
    Error::FailedPrecondition {
        reason: Reason::ConnectionInUse,
        message: format!("`{name}` is used by {} export(s)", exports.len()),
        causes: exports.iter().map(cause).collect(),
    }
}
