//! Connections, with their sealed secrets.

use crate::entity::{connection, export, run};
use crate::error::{corrupt, database, from_json, to_json};
use crate::page::{Cursor, Listed, Page};
use crate::request::{self, Write};
use crate::{Store, tenant};
use ferry_domain::authz::action::{
    BindExportUser, CreateConnection, DeleteConnection, GetConnection, ListConnections, UpdateConnection,
    VerifyConnection,
};
use ferry_domain::authz::{Action, Permit, Spent, Visibility};
use ferry_domain::error::Precondition;
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionId, ConnectionName, ConnectionState, Consent, Error, ExportId, ExportName,
    Reason, Result, RunState, TenantId, Timestamp,
};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};

/// A connection that is to be stored.
pub struct NewConnection {
    /// Its uid; the vault's keys are bound to it.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// `activecampaign`.
    pub destination_type: String,
    /// The host name.
    pub host: String,
    /// The API key, sealed.
    pub sealed_secret: Vec<u8>,
    /// Who may use it.
    pub access: ConnectionAccess,
    /// Who agreed to the transfer.
    pub consent: Consent,
    /// The export user.
    pub run_as: String,
    /// Verified or not.
    pub state: ConnectionState,
}

/// A new secret.
pub struct SealedSecret {
    /// Its version, one above the last.
    pub version: u32,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// What is to change; nothing stays as it is.
#[derive(Default)]
pub struct ConnectionChange {
    /// The version that the caller has seen.
    pub seen_version: i64,
    /// A new display name.
    pub display_name: Option<String>,
    /// Who may use it from now on.
    pub access: Option<ConnectionAccess>,
    /// A new consent.
    pub consent: Option<Consent>,
    /// A new host; ends the runs that go on.
    pub host: Option<String>,
    /// A new secret.
    pub secret: Option<SealedSecret>,
    /// A new state.
    pub state: Option<ConnectionState>,
}

impl Store {
    /// Stores a connection.
    pub fn connection_create(
        &self,
        permit: Permit<CreateConnection>,
        new: NewConnection,
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let name = permit.spend().target;
        let writer = self.writer.clone();
        async move { writer.run(move |transaction| Box::pin(create(transaction, name, new, write))).await }
    }

    /// Reads a connection that the caller may see.
    pub fn connection_get(
        &self,
        permit: Permit<GetConnection>,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let Spent { target, visibility, .. } = permit.spend();
        let readers = self.readers.clone();
        async move {
            let found = to_domain(load(&readers, &target).await?)?;
            if visible(&found, visibility) { Ok(found) } else { Err(not_found(&target)) }
        }
    }

    /// Reads the connections that the caller may see.
    pub fn connection_list(
        &self,
        permit: Permit<ListConnections>,
        page: Page,
    ) -> impl Future<Output = Result<Listed<Connection>>> + Send + use<> {
        let Spent { target, visibility, .. } = permit.spend();
        let readers = self.readers.clone();
        async move {
            let mut query = connection::Entity::find().filter(connection::Column::Tenant.eq(target.tenant.as_str()));
            if visibility != Visibility::All {
                let shared = to_json(&ConnectionAccess::AdministratorsAndContributors)?;
                query = query.filter(connection::Column::Access.eq(shared));
            }
            if let Some(after) = page.cursor()? {
                let same_time = connection::Column::CreateTime.eq(after.time.as_millis());
                query = query.filter(
                    Condition::any()
                        .add(connection::Column::CreateTime.gt(after.time.as_millis()))
                        .add(same_time.and(connection::Column::Id.gt(after.id))),
                );
            }
            let query = query.order_by_asc(connection::Column::CreateTime).order_by_asc(connection::Column::Id);
            let rows = query.limit(page.limit()).all(&readers).await.map_err(database)?;
            let items = rows.into_iter().map(to_domain).collect::<Result<Vec<_>>>()?;
            Ok(page.cut(items, |c| Cursor { time: c.create_time, id: c.name.connection.as_str().to_owned() }))
        }
    }

    /// Changes a connection.
    pub fn connection_update(
        &self,
        permit: Permit<UpdateConnection>,
        change: ConnectionChange,
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let name = permit.spend().target;
        let store = self.clone();
        async move {
            let writer = store.writer.clone();
            let updated = writer.run(move |transaction| Box::pin(update(transaction, name, change, write))).await;
            store.wake();
            updated
        }
    }

    /// Makes the caller the export user.
    pub fn connection_bind(
        &self,
        permit: Permit<BindExportUser>,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let Spent { actor, target, .. } = permit.spend();
        let subject = actor.subject().to_owned();
        self.touch(target, seen, write, move |row| row.run_as = Set(subject))
    }

    /// Notes what the destination said of the credentials.
    pub fn connection_verified(
        &self,
        permit: Permit<VerifyConnection>,
        state: ConnectionState,
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let target = permit.spend().target;
        self.touch(target, None, write, move |row| row.state = Set(state_word(state)))
    }

    /// Reads a connection with its sealed secret, to try it.
    pub fn connection_credentials(
        &self,
        permit: Permit<VerifyConnection>,
    ) -> impl Future<Output = Result<(Connection, Vec<u8>)>> + Send + use<> {
        let target = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let mut row = load(&readers, &target).await?;
            let sealed = std::mem::take(&mut row.sealed_secret);
            Ok((to_domain(row)?, sealed))
        }
    }

    /// Removes a connection that no export uses, and returns what it was.
    pub fn connection_delete(
        &self,
        permit: Permit<DeleteConnection>,
        seen: Option<i64>,
        _write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let name = permit.spend().target;
        let writer = self.writer.clone();
        async move { writer.run(move |transaction| Box::pin(delete(transaction, name, seen))).await }
    }

    fn touch<F: FnOnce(&mut connection::ActiveModel) + Send + 'static>(
        &self,
        name: ConnectionName,
        seen: Option<i64>,
        write: Write,
        change: F,
    ) -> impl Future<Output = Result<Connection>> + Send + use<F> {
        let writer = self.writer.clone();
        async move {
            writer
                .run(move |transaction| {
                    Box::pin(async move {
                        let row = load(transaction, &name).await?;
                        if seen.is_some_and(|seen| seen != row.version) {
                            return Err(Error::Aborted { name: name.to_string() });
                        }
                        let version = row.version + 1;
                        let mut row = row.into_active_model();
                        change(&mut row);
                        row.version = Set(version);
                        row.update_time = Set(write.now.as_millis());
                        to_domain(connection::Entity::update(row).exec(transaction).await.map_err(database)?)
                    })
                })
                .await
        }
    }
}

fn visible(connection: &Connection, visibility: Visibility) -> bool {
    match visibility {
        Visibility::All => true,
        Visibility::SharedOnly => connection.access == ConnectionAccess::AdministratorsAndContributors,
        Visibility::None => false,
    }
}

async fn create(
    transaction: &DatabaseTransaction,
    name: ConnectionName,
    new: NewConnection,
    write: Write,
) -> Result<Connection> {
    let tenant = name.tenant.as_str();
    tenant::must_exist(transaction, &name.tenant).await?;
    if let Some(first) = request::earlier(transaction, tenant, CreateConnection::METHOD, &write).await? {
        // Its own name, which the server may have made: the repeat brings another.
        let first = ConnectionName::parse(&first).map_err(|error| corrupt("request_ids", error))?;
        return to_domain(load(transaction, &first).await?);
    }
    if find(transaction, &name).await?.is_some() {
        let name = name.to_string();
        return Err(Error::AlreadyExists { reason: Reason::ResourceExists, kind: "connection", name });
    }
    let row = connection::ActiveModel {
        tenant: Set(tenant.to_owned()),
        id: Set(name.connection.as_str().to_owned()),
        uid: Set(new.uid),
        display_name: Set(new.display_name),
        destination_type: Set(new.destination_type),
        host: Set(new.host),
        sealed_secret: Set(new.sealed_secret),
        secret_version: Set(1),
        secret_set_time: Set(write.now.as_millis()),
        access: Set(to_json(&new.access)?),
        consent: Set(to_json(&new.consent)?),
        run_as: Set(new.run_as),
        state: Set(state_word(new.state)),
        generation: Set(1),
        version: Set(1),
        create_time: Set(write.now.as_millis()),
        update_time: Set(write.now.as_millis()),
    };
    connection::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
    request::note(transaction, tenant, CreateConnection::METHOD, &write, &name.to_string()).await?;
    to_domain(load(transaction, &name).await?)
}

async fn update(
    transaction: &DatabaseTransaction,
    name: ConnectionName,
    change: ConnectionChange,
    write: Write,
) -> Result<Connection> {
    let tenant = name.tenant.as_str();
    if request::earlier(transaction, tenant, UpdateConnection::METHOD, &write).await?.is_some() {
        return to_domain(load(transaction, &name).await?);
    }
    let found = load(transaction, &name).await?;
    if found.version != change.seen_version {
        return Err(Error::Aborted { name: name.to_string() });
    }
    let (version, generation, host) = (found.version, found.generation, found.host.clone());
    let mut row = found.into_active_model();
    row.version = Set(version + 1);
    row.update_time = Set(write.now.as_millis());
    if let Some(display_name) = change.display_name {
        row.display_name = Set(display_name);
    }
    if let Some(access) = change.access {
        row.access = Set(to_json(&access)?);
    }
    if let Some(consent) = change.consent {
        row.consent = Set(to_json(&consent)?);
    }
    if let Some(secret) = change.secret {
        row.sealed_secret = Set(secret.sealed);
        row.secret_version = Set(i64::from(secret.version));
        row.secret_set_time = Set(write.now.as_millis());
    }
    if let Some(state) = change.state {
        row.state = Set(state_word(state));
    }
    if let Some(new_host) = change.host.filter(|new_host| *new_host != host) {
        row.host = Set(new_host);
        row.generation = Set(generation + 1);
        stop_runs(transaction, &name, write.now).await?;
    }
    let updated = connection::Entity::update(row).exec(transaction).await.map_err(database)?;
    request::note(transaction, tenant, UpdateConnection::METHOD, &write, &name.to_string()).await?;
    to_domain(updated)
}

/// What was planned for the old host must not reach the new one.
async fn stop_runs(transaction: &DatabaseTransaction, name: &ConnectionName, now: Timestamp) -> Result<()> {
    let live = [RunState::Queued, RunState::Processing, RunState::AwaitingApproval, RunState::Paused];
    let rows = run::Entity::find()
        .filter(run::Column::Tenant.eq(name.tenant.as_str()))
        .filter(run::Column::Connection.eq(name.connection.as_str()))
        .filter(run::Column::State.is_in(live.map(RunState::as_str)))
        .all(transaction)
        .await
        .map_err(database)?;
    for row in rows {
        crate::run::ask_to_stop(transaction, row, now).await?;
    }
    Ok(())
}

async fn delete(transaction: &DatabaseTransaction, name: ConnectionName, seen: Option<i64>) -> Result<Connection> {
    let found = load(transaction, &name).await?;
    if seen.is_some_and(|seen| seen != found.version) {
        return Err(Error::Aborted { name: name.to_string() });
    }
    let dependants = export::Entity::find()
        .filter(export::Column::Tenant.eq(name.tenant.as_str()))
        .filter(export::Column::Connection.eq(name.connection.as_str()))
        .order_by_asc(export::Column::Id)
        .all(transaction)
        .await
        .map_err(database)?;
    let (removed, live): (Vec<_>, Vec<_>) = dependants.into_iter().partition(|export| export.delete_time.is_some());
    if !live.is_empty() {
        return Err(in_use(&name, &live));
    }
    for export in removed {
        let mut export = export.into_active_model();
        export.connection = Set(None);
        export::Entity::update(export).exec(transaction).await.map_err(database)?;
    }
    let key = (name.tenant.as_str().to_owned(), name.connection.as_str().to_owned());
    connection::Entity::delete_by_id(key).exec(transaction).await.map_err(database)?;
    to_domain(found)
}

fn in_use(name: &ConnectionName, exports: &[export::Model]) -> Error {
    let cause = |export: &export::Model| Precondition {
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

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    name: &ConnectionName,
) -> Result<Option<connection::Model>> {
    let key = (name.tenant.as_str().to_owned(), name.connection.as_str().to_owned());
    connection::Entity::find_by_id(key).one(connection).await.map_err(database)
}

pub(crate) async fn load(connection: &impl ConnectionTrait, name: &ConnectionName) -> Result<connection::Model> {
    find(connection, name).await?.ok_or_else(|| not_found(name))
}

pub(crate) fn not_found(name: &ConnectionName) -> Error {
    Error::NotFound { kind: "connection", name: name.to_string() }
}

pub(crate) fn access_of(row: &connection::Model) -> Result<ConnectionAccess> {
    from_json("connections", &row.access)
}

pub(crate) fn state_word(state: ConnectionState) -> String {
    match state {
        ConnectionState::Unverified => "unverified",
        ConnectionState::Ready => "ready",
        ConnectionState::NeedsAttention => "needs_attention",
    }
    .to_owned()
}

fn read_state(word: &str) -> Result<ConnectionState> {
    match word {
        "unverified" => Ok(ConnectionState::Unverified),
        "ready" => Ok(ConnectionState::Ready),
        "needs_attention" => Ok(ConnectionState::NeedsAttention),
        other => Err(corrupt("connections", format!("state `{other}`"))),
    }
}

pub(crate) fn to_domain(row: connection::Model) -> Result<Connection> {
    let bad_id = |error| corrupt("connections", error);
    Ok(Connection {
        name: ConnectionName {
            tenant: TenantId::parse(&row.tenant).map_err(bad_id)?,
            connection: ConnectionId::parse(&row.id).map_err(bad_id)?,
        },
        uid: row.uid,
        display_name: row.display_name,
        destination_type: row.destination_type,
        host: row.host,
        secret_version: u32::try_from(row.secret_version).map_err(|error| corrupt("connections", error))?,
        secret_set_time: Timestamp::from_millis(row.secret_set_time),
        access: from_json("connections", &row.access)?,
        consent: from_json("connections", &row.consent)?,
        run_as: row.run_as,
        state: read_state(&row.state)?,
        generation: row.generation,
        version: row.version,
        create_time: Timestamp::from_millis(row.create_time),
        update_time: Timestamp::from_millis(row.update_time),
    })
}

/// The name of an export, from a row's columns.
pub(crate) fn export_name(tenant: &str, export: &str) -> Result<ExportName> {
    let bad_id = |error| corrupt("exports", error);
    Ok(ExportName {
        tenant: TenantId::parse(tenant).map_err(bad_id)?,
        export: ExportId::parse(export).map_err(bad_id)?,
    })
}
