//! Tenants.

use crate::audit::{Changed, Fact};
use crate::entity::tenant;
use crate::error::{corrupt, database};
use crate::page::{Cursor, Listed, Page};
use crate::request::{self, Write};
use crate::{Store, error};
use ferry_domain::authz::action::{CreateTenant, GetTenant, ListTenants, UpdateTenant};
use ferry_domain::authz::{Action, Permit, Spent};
use ferry_domain::{Error, Reason, Result, Tenant, TenantId, TenantKind, TenantName, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

/// A tenant that is to be stored.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its id.
    pub id: TenantId,
    /// Its uid.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// Production or sandbox.
    pub kind: TenantKind,
    /// For how many days bodies of its audit entries are kept; for ever if nothing.
    pub audit_retention: Option<u32>,
}

/// What of a tenant changes.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// A new display name.
    pub display_name: Option<String>,
    /// Another retention: days, or for ever.
    pub audit_retention: Option<Option<u32>>,
}

impl Store {
    /// Stores a tenant.
    pub fn tenant_create(
        &self,
        permit: Permit<CreateTenant>,
        new: NewTenant,
        write: Write,
    ) -> impl Future<Output = Result<Tenant>> + Send + use<> {
        let act = permit.spend().act;
        let store = self.clone();
        async move {
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(async move {
                        let name = TenantName { tenant: new.id.clone() }.to_string();
                        if request::earlier(transaction, "", CreateTenant::METHOD, &write).await?.is_some() {
                            return Ok(Changed::nothing(load(transaction, &new.id).await?));
                        }
                        // Nor is the id of a removed tenant given again: tokens name tenants by it.
                        if row_of(transaction, &new.id).await?.is_some() {
                            return Err(Error::AlreadyExists { reason: Reason::ResourceExists, kind: "tenant", name });
                        }
                        let row = tenant::ActiveModel {
                            id: Set(new.id.as_str().to_owned()),
                            uid: Set(new.uid),
                            display_name: Set(new.display_name),
                            kind: Set(error::to_json(&new.kind)?),
                            version: Set(1),
                            create_time: Set(write.now.as_millis()),
                            update_time: Set(write.now.as_millis()),
                            delete_time: Set(None),
                            purge_time: Set(None),
                            audit_retention_ms: Set(new.audit_retention.map(to_millis)),
                            audit_policy: Set(i64::from(new.audit_retention.is_some())),
                        };
                        let row =
                            tenant::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)?;
                        request::note(transaction, "", CreateTenant::METHOD, &write, &name).await?;
                        let fact = Fact::new("TENANT_CREATED", new.id.as_str(), &name).changing(None, Some(&row))?;
                        let fact = if row.audit_policy > 0 { told_retention(fact, None, &row) } else { fact };
                        Ok(Changed::one(to_domain(row)?, fact))
                    })
                })
                .await
        }
    }

    /// Reads a tenant.
    pub fn tenant_get(&self, permit: Permit<GetTenant>) -> impl Future<Output = Result<Tenant>> + Send + use<> {
        let tenant = permit.spend().target.0.tenant;
        let readers = self.readers.clone();
        async move { load(&readers, &tenant).await }
    }

    /// Reads all tenants.
    pub fn tenant_list(
        &self,
        permit: Permit<ListTenants>,
        page: Page,
    ) -> impl Future<Output = Result<Listed<Tenant>>> + Send + use<> {
        drop(permit.spend());
        let readers = self.readers.clone();
        async move {
            let mut query = tenant::Entity::find().filter(tenant::Column::DeleteTime.is_null());
            if let Some(after) = page.cursor()? {
                query = query.filter(after.after(tenant::Column::CreateTime, tenant::Column::Id));
            }
            let query = query.order_by_asc(tenant::Column::CreateTime).order_by_asc(tenant::Column::Id);
            let rows = query.limit(page.limit()).all(&readers).await.map_err(database)?;
            let items = rows.into_iter().map(to_domain).collect::<Result<Vec<_>>>()?;
            Ok(page.cut(items, |tenant| Cursor { time: tenant.create_time, id: tenant.id.as_str().to_owned() }))
        }
    }

    /// Changes a tenant. Another retention is another policy, with a number of its own.
    pub fn tenant_update(
        &self,
        permit: Permit<UpdateTenant>,
        seen: Option<i64>,
        change: TenantChange,
        write: Write,
    ) -> impl Future<Output = Result<Tenant>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (tenant, store) = (target.0.tenant, self.clone());
        async move {
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(async move {
                        if request::earlier(transaction, "", UpdateTenant::METHOD, &write).await?.is_some() {
                            return Ok(Changed::nothing(load(transaction, &tenant).await?));
                        }
                        let found = unchanged(transaction, &tenant, seen).await?;
                        let version = found.version + 1;
                        let mut row = found.clone().into_active_model();
                        if let Some(display_name) = change.display_name {
                            row.display_name = Set(display_name);
                        }
                        let retention = change.audit_retention.map(|days| days.map(to_millis));
                        let retention = retention.filter(|new| *new != found.audit_retention_ms);
                        if let Some(retention) = retention {
                            row.audit_retention_ms = Set(retention);
                            row.audit_policy = Set(found.audit_policy + 1);
                        }
                        row.version = Set(version);
                        row.update_time = Set(write.now.as_millis());
                        let row = tenant::Entity::update(row).exec(transaction).await.map_err(database)?;
                        let name = TenantName { tenant: tenant.clone() }.to_string();
                        request::note(transaction, "", UpdateTenant::METHOD, &write, &name).await?;
                        let fact = Fact::new("TENANT_UPDATED", tenant.as_str(), &name);
                        let mut fact = fact.changing(Some(&found), Some(&row))?;
                        if retention.is_some() {
                            fact = told_retention(fact, Some(&found), &row);
                        }
                        Ok(Changed::one(to_domain(row)?, fact))
                    })
                })
                .await
        }
    }
}

/// What retention was and is, in days; `forever` where there is none.
fn told_retention(fact: Fact, before: Option<&tenant::Model>, after: &tenant::Model) -> Fact {
    let told = |row: &tenant::Model| row.audit_retention_ms.map_or("forever".to_owned(), |ms| days_of(ms).to_string());
    let fact = fact.with("retention_days", told(after)).with("policy", after.audit_policy);
    match before {
        Some(before) => fact.with("retention_days_before", told(before)),
        None => fact,
    }
}

const DAY_MS: i64 = 86_400_000;

fn to_millis(days: u32) -> i64 {
    i64::from(days) * DAY_MS
}

/// The days of a stored retention.
pub(crate) fn days_of(millis: i64) -> u32 {
    u32::try_from(millis / DAY_MS).unwrap_or(u32::MAX)
}

/// The row, of a removed tenant too.
pub(crate) async fn row_of(connection: &impl ConnectionTrait, id: &TenantId) -> Result<Option<tenant::Model>> {
    tenant::Entity::find_by_id(id.as_str()).one(connection).await.map_err(database)
}

pub(crate) async fn find(connection: &impl ConnectionTrait, id: &TenantId) -> Result<Option<tenant::Model>> {
    Ok(row_of(connection, id).await?.filter(|row| row.delete_time.is_none()))
}

/// The row, if it is still the version that the caller has seen.
pub(crate) async fn unchanged(
    connection: &impl ConnectionTrait,
    id: &TenantId,
    seen: Option<i64>,
) -> Result<tenant::Model> {
    let row = find(connection, id).await?.ok_or_else(|| not_found(id))?;
    if seen.is_some_and(|seen| seen != row.version) {
        return Err(Error::Aborted { name: TenantName { tenant: id.clone() }.to_string() });
    }
    Ok(row)
}

async fn load(connection: &impl ConnectionTrait, id: &TenantId) -> Result<Tenant> {
    to_domain(find(connection, id).await?.ok_or_else(|| not_found(id))?)
}

fn to_domain(row: tenant::Model) -> Result<Tenant> {
    Ok(Tenant {
        id: TenantId::parse(&row.id).map_err(|error| corrupt("tenants", error))?,
        uid: row.uid,
        display_name: row.display_name,
        kind: error::from_json("tenants", &row.kind)?,
        audit_retention: row.audit_retention_ms.map(days_of),
        version: row.version,
        create_time: Timestamp::from_millis(row.create_time),
        update_time: Timestamp::from_millis(row.update_time),
    })
}

/// Every child's create asks this first.
pub(crate) async fn must_exist(connection: &impl ConnectionTrait, id: &TenantId) -> Result<()> {
    find(connection, id).await?.map(|_| ()).ok_or_else(|| not_found(id))
}

pub(crate) fn not_found(id: &TenantId) -> Error {
    Error::NotFound { kind: "tenant", name: TenantName { tenant: id.clone() }.to_string() }
}
