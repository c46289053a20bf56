//! Where to look for a person, and the record that somebody did.

use super::unfolded::{Unfolded, of_tenant};
use super::{RecipientsRecord, to_domain};
use crate::audit::{Changed, Fact};
use crate::entity::recipients;
use crate::error::database;
use crate::{OpenErasure, Store};
use ferry_domain::authz::action::FindRecipients;
use ferry_domain::authz::{Permit, Spent};
use ferry_domain::{Result, TenantId, Timestamp};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

/// All that knows of a tenant's people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientsFiles {
    /// What ended runs have sent.
    pub adopted: Vec<RecipientsRecord>,
    /// Runs that are in none of these yet, in the order in which they will be; some may be in one all the same.
    pub unfolded: Vec<Unfolded>,
}

impl Store {
    /// Where to look. The answer is shown to nobody before [`Store::recipients_read`].
    pub fn recipients_files(
        &self,
        permit: Permit<FindRecipients>,
    ) -> impl Future<Output = Result<RecipientsFiles>> + Send + use<> {
        let tenant = permit.spend().target.tenant;
        let readers = self.readers.clone();
        async move { files(&readers, &tenant).await }
    }

    /// As `recipients_files`, for the end of an erasure.
    pub async fn recipients_of_erasure(&self, open: &OpenErasure) -> Result<RecipientsFiles> {
        files(&self.readers, open.tenant()).await
    }

    /// Puts on record that somebody looked where a person's data has gone, and in how many places it was found. Not who
    /// the person is, and nothing that could be compared with it.
    pub fn recipients_read(
        &self,
        permit: Permit<FindRecipients>,
        found: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            let fact = Fact::new("RECIPIENTS_READ", target.tenant.as_str(), &target).with("recipients", found);
            store.change(act, now, move |_| Box::pin(async move { Ok(Changed::one((), fact)) })).await
        }
    }
}

async fn files(readers: &impl ConnectionTrait, tenant: &TenantId) -> Result<RecipientsFiles> {
    // In this order: a run that is folded in between is in the file that is read after.
    let unfolded = of_tenant(readers, tenant).await?;
    let rows = recipients::Entity::find().filter(recipients::Column::Tenant.eq(tenant.as_str()));
    let rows = rows.all(readers).await.map_err(database)?;
    let adopted = rows.into_iter().map(to_domain).collect::<Result<_>>()?;
    Ok(RecipientsFiles { adopted, unfolded })
}
