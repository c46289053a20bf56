//! Tenants.

use crate::entity::tenant;
use crate::error::{corrupt, database};
use crate::request::{self, Write};
use crate::{Store, error};
use ferry_domain::authz::action::{CreateTenant, GetTenant};
use ferry_domain::authz::{Action, Permit};
use ferry_domain::{Error, Reason, Result, Tenant, TenantId, TenantKind, TenantName, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, EntityTrait};

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
                        if find(transaction, &new.id).await?.is_some() {
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
}

async fn find(connection: &impl ConnectionTrait, id: &TenantId) -> Result<Option<tenant::Model>> {
    tenant::Entity::find_by_id(id.as_str()).one(connection).await.map_err(database)
}

async fn load(connection: &impl ConnectionTrait, id: &TenantId) -> Result<Tenant> {
    let row = find(connection, id).await?.ok_or_else(|| not_found(id))?;
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

fn not_found(id: &TenantId) -> Error {
    Error::NotFound { kind: "tenant", name: TenantName { tenant: id.clone() }.to_string() }
}
