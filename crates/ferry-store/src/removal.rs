//! The removal of a tenant, in steps that a crash can come between.
//!
//! ```text
//! tombstone (no role, no run, no intent any more) ─▶ keys destroyed ─▶ files and rows removed ─▶ purged
//! ```
//!
//! The tombstone is one transaction. Everything after it can be repeated, and is, at the next start, until the tenant is
//! purged. Its row stays, so that its id is never given to somebody else.
//!
//! So does the record of what was done: entries, chains and leaves of the tenant are never removed with it. They hold no
//! personal data of profiles and no secret, and prove that the tenant was removed, and what had left before.

use crate::audit::{self, Changed, Fact, Who};
use crate::entity::{
    attempt, batch, connection, connection_removal, export, export_state, plan, plan_index, principal, recipients,
    request_id, run, tenant,
};
use crate::error::{corrupt, database};
use crate::request::{self, Write};
use crate::{Store, anchor, delivery, export as exports, notification, run_change, tenant as tenants, tick, webhook};
use ferry_domain::authz::action::DeleteTenant;
use ferry_domain::authz::{Action, Permit, Spent};
use ferry_domain::{Result, TenantId, TenantName, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};

/// Runs whose rows go in one transaction; a run has up to some thousand batches and attempts.
const RUNS_AT_ONCE: u64 = 4;
/// Who owns the runs of a removed tenant: nobody who could claim them.
pub(crate) const NOBODY: &str = "removed";

/// A tenant that has its tombstone and is not purged yet. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedTenant(TenantId);

impl RemovedTenant {
    /// Which.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.0
    }
}

impl Store {
    /// Sets the tombstone: from its commit on the tenant does not exist for any caller, and no request is sent for it.
    pub fn tenant_delete(
        &self,
        permit: Permit<DeleteTenant>,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<RemovedTenant>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, id) = (self.clone(), target.0.tenant);
        async move {
            store.change(act, write.now, move |transaction| Box::pin(tombstone(transaction, id, seen, write))).await
        }
    }

    /// Tenants whose removal was begun and not finished.
    pub async fn tenants_to_purge(&self) -> Result<Vec<RemovedTenant>> {
        let rows = tenant::Entity::find()
            .filter(tenant::Column::DeleteTime.is_not_null().and(tenant::Column::PurgeTime.is_null()))
            .all(&self.readers)
            .await
            .map_err(database)?;
        let removed =
            |row: tenant::Model| Ok(RemovedTenant(TenantId::parse(&row.id).map_err(|e| corrupt("tenants", e))?));
        rows.into_iter().map(removed).collect()
    }

    /// Removes a removed tenant's rows, a few at a time, so that no other tenant waits for it.
    pub async fn tenant_purge(&self, removed: &RemovedTenant, now: Timestamp) -> Result<()> {
        loop {
            let id = removed.0.as_str().to_owned();
            let left = self.writer.run(move |transaction| Box::pin(purge_runs(transaction, id))).await?;
            if left == 0 {
                break;
            }
        }
        let id = removed.0.as_str().to_owned();
        self.writer.run(move |transaction| Box::pin(purge_rest(transaction, id, now))).await
    }
}

async fn tombstone(
    transaction: &DatabaseTransaction,
    id: TenantId,
    seen: Option<i64>,
    write: Write,
) -> Result<Changed<RemovedTenant>> {
    if request::earlier(transaction, "", DeleteTenant::METHOD, &write).await?.is_some() {
        return Ok(Changed::nothing(RemovedTenant(id)));
    }
    // A repeat finishes what an earlier call left undone.
    let begun = tenants::row_of(transaction, &id).await?;
    if begun.is_some_and(|row| row.delete_time.is_some() && row.purge_time.is_none()) {
        return Ok(Changed::nothing(RemovedTenant(id)));
    }
    let found = tenants::unchanged(transaction, &id, seen).await?;
    let mut row = found.clone().into_active_model();
    row.delete_time = Set(Some(write.now.as_millis()));
    row.update_time = Set(write.now.as_millis());
    let row = tenant::Entity::update(row).exec(transaction).await.map_err(database)?;
    // A higher epoch takes every lease back: whoever carries a run of this tenant records no intent any more, and
    // without one nothing is sent.
    let stopped = run::Entity::update_many()
        .col_expr(run::Column::Epoch, Expr::col(run::Column::Epoch).add(1))
        .col_expr(run::Column::Owner, Expr::value(NOBODY))
        .filter(run::Column::Tenant.eq(id.as_str()))
        .filter(run::Column::State.is_in(exports::live_states()))
        .exec(transaction)
        .await
        .map_err(database)?;
    // The rows of its runs go; what their chains say stays provable by these.
    anchor::anchor_runs(transaction, Some(id.as_str()), write.now).await?;
    let name = TenantName { tenant: id.clone() }.to_string();
    request::note(transaction, "", DeleteTenant::METHOD, &write, &name).await?;
    let fact = Fact::new("TENANT_REMOVED", id.as_str(), &name)
        .with("runs_stopped", stopped.rows_affected)
        .changing(Some(&found), Some(&row))?;
    Ok(Changed::one(RemovedTenant(id), fact))
}

/// Removes some runs with all that hangs on them; how many there were.
async fn purge_runs(transaction: &DatabaseTransaction, tenant: String) -> Result<usize> {
    let some: Vec<String> = run::Entity::find()
        .select_only()
        .column(run::Column::Id)
        .filter(run::Column::Tenant.eq(tenant))
        .limit(RUNS_AT_ONCE)
        .into_tuple()
        .all(transaction)
        .await
        .map_err(database)?;
    let these = || some.iter().map(String::as_str);
    attempt::Entity::delete_many()
        .filter(attempt::Column::Run.is_in(these()))
        .exec(transaction)
        .await
        .map_err(database)?;
    batch::Entity::delete_many().filter(batch::Column::Run.is_in(these())).exec(transaction).await.map_err(database)?;
    let indexes = plan_index::Entity::delete_many().filter(plan_index::Column::Run.is_in(these()));
    indexes.exec(transaction).await.map_err(database)?;
    plan::Entity::delete_many().filter(plan::Column::Run.is_in(these())).exec(transaction).await.map_err(database)?;
    run::Entity::delete_many().filter(run::Column::Id.is_in(these())).exec(transaction).await.map_err(database)?;
    Ok(some.len())
}

async fn purge_rest(transaction: &DatabaseTransaction, id: String, now: Timestamp) -> Result<()> {
    let of = id.as_str();
    export::Entity::delete_many().filter(export::Column::Tenant.eq(of)).exec(transaction).await.map_err(database)?;
    let states = export_state::Entity::delete_many().filter(export_state::Column::Tenant.eq(of));
    states.exec(transaction).await.map_err(database)?;
    let recipients = recipients::Entity::delete_many().filter(recipients::Column::Tenant.eq(of));
    recipients.exec(transaction).await.map_err(database)?;
    let connections = connection::Entity::delete_many().filter(connection::Column::Tenant.eq(of));
    connections.exec(transaction).await.map_err(database)?;
    let removals = connection_removal::Entity::delete_many().filter(connection_removal::Column::Tenant.eq(of));
    removals.exec(transaction).await.map_err(database)?;
    principal::Entity::delete_many()
        .filter(principal::Column::Tenant.eq(of))
        .exec(transaction)
        .await
        .map_err(database)?;
    let requests = request_id::Entity::delete_many().filter(request_id::Column::Tenant.eq(of));
    requests.exec(transaction).await.map_err(database)?;
    run_change::purge(transaction, of).await?;
    tick::purge(transaction, of).await?;
    delivery::purge(transaction, of).await?;
    notification::purge(transaction, of).await?;
    webhook::purge(transaction, of).await?;
    let purged = tenant::ActiveModel { id: Set(id), purge_time: Set(Some(now.as_millis())), ..Default::default() };
    let row = tenant::Entity::update(purged).exec(transaction).await.map_err(database)?;
    let id = TenantId::parse(&row.id).map_err(|error| corrupt("tenants", error))?;
    let fact = Fact::new("TENANT_PURGED", row.id.as_str(), TenantName { tenant: id });
    audit::append(transaction, &Who::ferry(), fact, now).await?;
    Ok(())
}
