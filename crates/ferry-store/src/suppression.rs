//! Whom erasures suppress: nobody of them is ever sent again. Rows are added and never removed, so their number tells
//! whether one has come since.

use crate::Store;
use crate::entity::suppression;
use crate::error::{corrupt, database};
use crate::lease::Lease;
use crate::run_work::Fenced;
use ferry_domain::Result;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use std::collections::HashSet;

impl Store {
    /// Whom the tenant of a run must not send, by the keyed digest of their identity.
    pub async fn suppressed(&self, lease: &Lease) -> Fenced<HashSet<[u8; 16]>> {
        let row = self.leased_row(lease).await?;
        let people: Vec<Vec<u8>> = suppression::Entity::find()
            .select_only()
            .column(suppression::Column::Person)
            .filter(suppression::Column::Tenant.eq(row.tenant))
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(database)?;
        let digest =
            |person: Vec<u8>| person.try_into().map_err(|_| corrupt("suppressions", "a digest of another length"));
        Ok(people.into_iter().map(digest).collect::<Result<_>>()?)
    }
}

/// How many are suppressed in a tenant.
pub(crate) async fn count(connection: &impl ConnectionTrait, tenant: &str) -> Result<u64> {
    let of_tenant = suppression::Entity::find().filter(suppression::Column::Tenant.eq(tenant));
    of_tenant.count(connection).await.map_err(database)
}
