//! Tenants.

use crate::entity::tenant;
use crate::error::{corrupt, database};
use crate::page::{Cursor, Listed, Page};
use crate::request::{self, Write};
use crate::{Store, error};
use ferry_domain::authz::action::{CreateTenant, GetTenant, ListTenants, UpdateTenant};
use ferry_domain::authz::{Action, Permit};
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
}

impl Store {
    /// Stores a tenant.
    pub fn tenant_create(
        &self,
        permit: Permit<CreateTenant>,
        new: NewTenant,
        write: Write,
    ) -> impl Future<Output = Result<Tenant>> + Send + use<> {
        drop(permit.spend());
        let writer = self.writer.clone();
        async move {
            writer
                .run(move |transaction| {
                    Box::pin(async move {
                        let name = TenantName { tenant: new.id.clone() }.to_string();
                        if request::earlier(transaction, "", CreateTenant::METHOD, &write).await?.is_some() {
                            return load(transaction, &new.id).await;
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
                        };
                        tenant::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
                        request::note(transaction, "", CreateTenant::METHOD, &write, &name).await?;
                        load(transaction, &new.id).await
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

    /// Changes a tenant's display name.
    pub fn tenant_update(
        &self,
        permit: Permit<UpdateTenant>,
        seen: Option<i64>,
        display_name: Option<String>,
        write: Write,
    ) -> impl Future<Output = Result<Tenant>> + Send + use<> {
        let tenant = permit.spend().target.0.tenant;
        let writer = self.writer.clone();
        async move {
            writer
                .run(move |transaction| {
                    Box::pin(async move {
                        if request::earlier(transaction, "", UpdateTenant::METHOD, &write).await?.is_some() {
                            return load(transaction, &tenant).await;
                        }
                        let found = unchanged(transaction, &tenant, seen).await?;
                        let version = found.version + 1;
                        let mut row = found.into_active_model();
                        if let Some(display_name) = display_name {
                            row.display_name = Set(display_name);
                        }
                        row.version = Set(version);
                        row.update_time = Set(write.now.as_millis());
                        tenant::Entity::update(row).exec(transaction).await.map_err(database)?;
                        let name = TenantName { tenant: tenant.clone() }.to_string();
                        request::note(transaction, "", UpdateTenant::METHOD, &write, &name).await?;
                        load(transaction, &tenant).await
                    })
                })
                .await
        }
    }
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
