//! Connections, with their sealed secrets.

use crate::attention::{Verdict, put, seen};
use crate::audit::Changed;
use crate::connection_change::StoredSecret;
use crate::entity::connection;
use crate::error::{corrupt, database, from_json, to_json};
use crate::facts;
use crate::page::{Cursor, Listed, Page};
use crate::request::{self, Write};
use crate::{Store, connection_retraction as retraction, principal, run_hold, tenant};
use ferry_domain::authz::action::{BindExportUser, CreateConnection, GetConnection, ListConnections, VerifyConnection};
use ferry_domain::authz::{Action, Permit, Spent, Visibility, may_run};
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionId, ConnectionName, ConnectionState, Consent, Error, ExportId, ExportName,
    Reason, Result, TenantId, Timestamp,
};
use ferry_ledger::EntryResult;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
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
    /// The API key.
    pub secret: StoredSecret,
    /// Who may use it.
    pub access: ConnectionAccess,
    /// Who agreed to the transfer.
    pub consent: Consent,
    /// The export user.
    pub run_as: String,
    /// Verified or not.
    pub state: ConnectionState,
}

impl Store {
    /// Stores a connection.
    pub fn connection_create(
        &self,
        permit: Permit<CreateConnection>,
        new: NewConnection,
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store.change(act, write.now, move |transaction| Box::pin(create(transaction, target, new, write))).await
        }
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
            if visible(&found, visibility) { retraction::shown(&readers, found).await } else { Err(not_found(&target)) }
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
                query = query.filter(after.after(connection::Column::CreateTime, connection::Column::Id));
            }
            let query = query.order_by_asc(connection::Column::CreateTime).order_by_asc(connection::Column::Id);
            let rows = query.limit(page.limit()).all(&readers).await.map_err(database)?;
            let mut items = Vec::with_capacity(rows.len());
            for row in rows {
                items.push(retraction::shown(&readers, to_domain(row)?).await?);
            }
            Ok(page.cut(items, |c| Cursor { time: c.create_time, id: c.name.connection.as_str().to_owned() }))
        }
    }

    /// Makes the caller the export user.
    pub fn connection_bind(
        &self,
        permit: Permit<BindExportUser>,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, subject) = (self.clone(), act.subject.clone());
        async move {
            store
                .change(act, write.now, move |transaction| Box::pin(bind(transaction, target, subject, seen, write)))
                .await
        }
    }

    /// Notes what the destination said of the credentials of one version of the secret. If it took them, the runs that
    /// were paused for them go on.
    pub fn connection_verified(
        &self,
        permit: Permit<VerifyConnection>,
        (verdict, of_version): (Verdict, u32),
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(verified(transaction, target, (verdict, of_version), write.now))
                })
                .await
        }
    }

    /// Reads a connection with its sealed secret, to try it.
    pub fn connection_credentials(
        &self,
        permit: Permit<VerifyConnection>,
    ) -> impl Future<Output = Result<(Connection, StoredSecret)>> + Send + use<> {
        let target = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let row = load(&readers, &target).await?;
            let secret = StoredSecret::of(&row);
            Ok((to_domain(row)?, secret))
        }
    }
}

/// The caller must still be somebody for whom unattended runs may act: their rights may have ended since the permit.
async fn bind(
    transaction: &DatabaseTransaction,
    name: ConnectionName,
    subject: String,
    seen: Option<i64>,
    write: Write,
) -> Result<Changed<Connection>> {
    let found = load(transaction, &name).await?;
    if seen.is_some_and(|seen| seen != found.version) {
        return Err(Error::Aborted { name: name.to_string() });
    }
    must_be_export_user::<BindExportUser>(transaction, &name, &subject, access_of(&found)?).await?;
    let mut row = found.clone().into_active_model();
    row.run_as = Set(subject);
    row.export_user_lost_time = Set(None);
    let row = put(transaction, row, &found, write.now).await?;
    let fact = facts::of_connection("EXPORT_USER_BOUND", Some(&found), &row)?;
    let fact = fact.with("run_as", &row.run_as).with("run_as_before", &found.run_as);
    Ok(Changed::one(to_domain(row)?, fact))
}

async fn verified(
    transaction: &DatabaseTransaction,
    name: ConnectionName,
    (verdict, of_version): (Verdict, u32),
    now: Timestamp,
) -> Result<Changed<Connection>> {
    let found = load(transaction, &name).await?;
    let mut row = found.clone().into_active_model();
    let noted = verdict.note(of_version, &mut row, &found)?;
    let mut resumed = Vec::new();
    if noted && verdict == Verdict::Taken {
        resumed = run_hold::resume(transaction, (&found.tenant, &found.id), now).await?;
    }
    let row = put(transaction, row, &found, now).await?;
    let fact = facts::of_connection("CONNECTION_VERIFIED", Some(&found), &row)?;
    let fact = fact.with("verdict", verdict.word()).with("secret_version", of_version).with("state", &row.state);
    let fact = match verdict {
        Verdict::Refused(reason) => fact.because(EntryResult::Failed, reason),
        Verdict::Taken | Verdict::Nothing => fact,
    };
    Ok(Changed::with(to_domain(row)?, fact, resumed))
}

async fn must_be_export_user<A: Action>(
    transaction: &DatabaseTransaction,
    name: &ConnectionName,
    subject: &str,
    access: ConnectionAccess,
) -> Result<()> {
    let role = principal::role_of(transaction, name.tenant.as_str(), subject).await?;
    if may_run(role, access) {
        return Ok(());
    }
    Err(Error::PermissionDenied { permission: A::METHOD, resource: name.to_string() })
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
) -> Result<Changed<Connection>> {
    let tenant = name.tenant.as_str();
    tenant::must_exist(transaction, &name.tenant).await?;
    if let Some(first) = request::earlier(transaction, tenant, CreateConnection::METHOD, &write).await? {
        // Its own name, which the server may have made: the repeat brings another.
        let first = ConnectionName::parse(&first).map_err(|error| corrupt("request_ids", error))?;
        return Ok(Changed::nothing(to_domain(load(transaction, &first).await?)?));
    }
    if find(transaction, &name).await?.is_some() {
        let name = name.to_string();
        return Err(Error::AlreadyExists { reason: Reason::ResourceExists, kind: "connection", name });
    }
    must_be_export_user::<CreateConnection>(transaction, &name, &new.run_as, new.access).await?;
    let (sealed_secret, secret_reference) = new.secret.columns();
    let row = connection::ActiveModel {
        tenant: Set(tenant.to_owned()),
        id: Set(name.connection.as_str().to_owned()),
        uid: Set(new.uid),
        display_name: Set(new.display_name),
        destination_type: Set(new.destination_type),
        host: Set(new.host),
        sealed_secret: Set(sealed_secret),
        secret_reference: Set(secret_reference),
        attention: Set(None),
        export_user_lost_time: Set(None),
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
    let row = connection::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)?;
    request::note(transaction, tenant, CreateConnection::METHOD, &write, &name.to_string()).await?;
    let fact = facts::consent(facts::of_connection("CONNECTION_CREATED", None, &row)?, &row)?
        .with("destination_type", &row.destination_type)
        .with("host", &row.host)
        .with("access", facts::word(&new.access)?)
        .with("run_as", &row.run_as)
        .with("secret", if row.secret_reference.is_some() { "reference" } else { "sealed" });
    Ok(Changed::one(to_domain(row)?, fact))
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

pub(crate) fn read_state(word: &str) -> Result<ConnectionState> {
    match word {
        "unverified" => Ok(ConnectionState::Unverified),
        "ready" => Ok(ConnectionState::Ready),
        "needs_attention" => Ok(ConnectionState::NeedsAttention),
        other => Err(corrupt("connections", format!("state `{other}`"))),
    }
}

pub(crate) fn to_domain(row: connection::Model) -> Result<Connection> {
    let bad_id = |error| corrupt("connections", error);
    let (state, attention) = seen(&row)?;
    Ok(Connection {
        name: ConnectionName {
            tenant: TenantId::parse(&row.tenant).map_err(bad_id)?,
            connection: ConnectionId::parse(&row.id).map_err(bad_id)?,
        },
        uid: row.uid,
        display_name: row.display_name,
        destination_type: row.destination_type,
        host: row.host,
        secret_reference: row.secret_reference,
        secret_version: u32::try_from(row.secret_version).map_err(|error| corrupt("connections", error))?,
        secret_set_time: Timestamp::from_millis(row.secret_set_time),
        access: from_json("connections", &row.access)?,
        consent: from_json("connections", &row.consent)?,
        run_as: row.run_as,
        state,
        attention,
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
