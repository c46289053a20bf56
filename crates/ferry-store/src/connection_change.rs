//! Changes of a connection, and its secret as stored.

use crate::attention::needs_export_user;
use crate::audit::{Changed, Fact};
use crate::connection::{access_of, load, state_word, to_domain};
use crate::entity::connection;
use crate::error::{database, to_json};
use crate::facts::{self, Cause, Told};
use crate::request::{self, Write};
use crate::{Store, principal, run as runs, run_hold, tenant as tenants};
use ferry_domain::authz::action::UpdateConnection;
use ferry_domain::authz::{Action, Permit, Spent, may_run};
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionName, ConnectionState, Consent, Error, Result, RunState, Timestamp,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseTransaction, EntityTrait, IntoActiveModel};

/// A secret as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredSecret {
    /// The sealed bytes.
    Sealed(Vec<u8>),
    /// Where it lies instead.
    Reference(String),
}

impl StoredSecret {
    /// The field under which the vault seals a secret: whoever opens it names the same.
    pub const FIELD: &'static str = "api_key";

    pub(crate) fn columns(self) -> (Vec<u8>, Option<String>) {
        match self {
            Self::Sealed(bytes) => (bytes, None),
            Self::Reference(text) => (Vec::new(), Some(text)),
        }
    }

    pub(crate) fn of(row: &connection::Model) -> Self {
        match &row.secret_reference {
            Some(text) => Self::Reference(text.clone()),
            None => Self::Sealed(row.sealed_secret.clone()),
        }
    }
}

/// A new secret.
pub struct NewSecret {
    /// Its version, one above the last.
    pub version: u32,
    /// The secret.
    pub secret: StoredSecret,
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
    pub secret: Option<NewSecret>,
    /// A new state.
    pub state: Option<ConnectionState>,
}

impl Store {
    /// Changes a connection.
    pub fn connection_update(
        &self,
        permit: Permit<UpdateConnection>,
        change: ConnectionChange,
        write: Write,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store.change(act, write.now, move |transaction| Box::pin(update(transaction, target, change, write))).await
        }
    }
}

async fn update(
    transaction: &DatabaseTransaction,
    name: ConnectionName,
    change: ConnectionChange,
    write: Write,
) -> Result<Changed<Connection>> {
    let tenant = name.tenant.as_str();
    if request::earlier(transaction, tenant, UpdateConnection::METHOD, &write).await?.is_some() {
        return Ok(Changed::nothing(to_domain(load(transaction, &name).await?)?));
    }
    tenants::must_exist(transaction, &name.tenant).await?;
    let found = load(transaction, &name).await?;
    if found.version != change.seen_version {
        return Err(Error::Aborted { name: name.to_string() });
    }
    let fields = change.fields();
    let (access, mended) = (change.access, change.secret.is_some());
    let moved = change.host.as_ref().is_some_and(|host| *host != found.host);
    let row = change.applied(&found, write.now)?;
    let mut facts = Vec::new();
    if moved {
        facts.extend(stop_runs(transaction, &name, write.now).await?);
    }
    let mut updated = connection::Entity::update(row).exec(transaction).await.map_err(database)?;
    let changed = told(&fields, &found, &updated)?;
    // Paused runs try the new secret. Those that a new host has stopped are paused no more.
    if mended {
        facts.extend(run_hold::resume(transaction, (tenant, name.connection.as_str()), write.now).await?);
    }
    // Unshared: an export user who is no administrator may no longer run exports on it. What has begun goes on.
    if access.is_some() {
        let role = principal::role_of(transaction, tenant, &updated.run_as).await?;
        if !may_run(role, access_of(&updated)?) {
            let lost: Told<_> = needs_export_user(transaction, updated, write.now).await?;
            facts.extend(lost.facts);
            updated = lost.row;
        }
    }
    request::note(transaction, tenant, UpdateConnection::METHOD, &write, &name.to_string()).await?;
    Ok(Changed::with(to_domain(updated)?, changed, facts))
}

/// What was changed. A new secret is named by its version alone.
fn told(fields: &str, found: &connection::Model, row: &connection::Model) -> Result<Fact> {
    let mut fact = facts::of_connection("CONNECTION_UPDATED", Some(found), row)?.with("fields", fields);
    if row.consent != found.consent {
        fact = facts::consent(fact, row)?;
    }
    if row.secret_version != found.secret_version {
        fact = fact.with("secret_version", row.secret_version);
    }
    if row.host != found.host {
        fact = fact.with("host", &row.host).with("host_before", &found.host).with("generation", row.generation);
    }
    if row.access != found.access {
        fact = fact.with("access", facts::word(&access_of(row)?)?);
    }
    Ok(fact)
}

impl ConnectionChange {
    /// The fields that it names, for the record.
    fn fields(&self) -> String {
        facts::named(&[
            ("display_name", self.display_name.is_some()),
            ("access", self.access.is_some()),
            ("consent", self.consent.is_some()),
            ("host", self.host.is_some()),
            ("secret", self.secret.is_some()),
        ])
    }

    fn applied(self, found: &connection::Model, now: Timestamp) -> Result<connection::ActiveModel> {
        let change = self;
        let mut row = found.clone().into_active_model();
        row.version = Set(found.version + 1);
        row.update_time = Set(now.as_millis());
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
            let (sealed_secret, secret_reference) = secret.secret.columns();
            row.sealed_secret = Set(sealed_secret);
            row.secret_reference = Set(secret_reference);
            row.secret_version = Set(i64::from(secret.version));
            row.secret_set_time = Set(now.as_millis());
        }
        if let Some(state) = change.state {
            row.state = Set(state_word(state));
            row.attention = Set(None);
        }
        if let Some(new_host) = change.host.filter(|new_host| *new_host != found.host) {
            row.host = Set(new_host);
            row.generation = Set(found.generation + 1);
        }
        Ok(row)
    }
}

/// What was planned for the old host must not reach the new one.
async fn stop_runs(transaction: &DatabaseTransaction, name: &ConnectionName, now: Timestamp) -> Result<Vec<Fact>> {
    let live = [RunState::Queued, RunState::Processing, RunState::AwaitingApproval, RunState::Paused];
    let on = (name.tenant.as_str(), name.connection.as_str());
    let mut facts = Vec::new();
    for row in runs::on_connection(transaction, on, &live).await? {
        facts.extend(runs::ask_to_stop(transaction, row, Cause::HostChanged, now).await?.facts);
    }
    Ok(facts)
}
