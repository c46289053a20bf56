//! Retention: bodies of entries go after the time that their tenant's policy names. Hashes stay, so each chain can still
//! be verified, and an entry RETENTION_APPLIED says which policy took the bodies, and up to where.
//!
//! A few rows go in one transaction, with the entry that speaks of them, so that nobody waits for it and a crash leaves
//! nothing that is not accounted for. Entries RETENTION_APPLIED themselves keep their bodies: they hold nothing of
//! anybody, and without them a missing body would look like an altered one.

use crate::audit::{self, Fact, Who};
use crate::audit_read::of_chain;
use crate::entity::{audit_entry, run, tenant};
use crate::error::{corrupt, database};
use crate::{Store, connection as connections, tenant as tenants};
use ferry_domain::{Result, TenantId, TenantName, Timestamp};
use ferry_ledger::Entry;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect};

/// Entries of one transaction.
const ROWS: u64 = 500;
const KIND: &str = "RETENTION_APPLIED";

/// What one step took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Bodies that went.
    pub bodies: u64,
    /// Whether another step would find something.
    pub more: bool,
}

/// The policy of one tenant.
#[derive(Clone)]
struct Policy {
    tenant: TenantId,
    number: i64,
    days: u32,
    /// What is older has had its time.
    before: i64,
}

impl Store {
    /// Tenants that do not keep their entries for ever. Also those that were removed: their log is what is left of them.
    pub async fn tenants_with_retention(&self) -> Result<Vec<TenantId>> {
        let ids: Vec<String> = tenant::Entity::find()
            .select_only()
            .column(tenant::Column::Id)
            .filter(tenant::Column::AuditRetentionMs.is_not_null())
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(database)?;
        ids.iter().map(|id| TenantId::parse(id).map_err(|error| corrupt("tenants", error))).collect()
    }

    /// One step for a tenant: some bodies of its own chain, or of one run that has ended.
    pub async fn retention_step(&self, tenant: &TenantId, now: Timestamp) -> Result<Swept> {
        let tenant = tenant.clone();
        self.writer
            .run(move |transaction| {
                Box::pin(async move {
                    // Read anew in each transaction: a policy that was just made longer takes nothing more.
                    let Some(policy) = policy(transaction, tenant, now).await? else {
                        return Ok(Swept { bodies: 0, more: false });
                    };
                    let own = own_chain(transaction, &policy, now).await?;
                    if own.more || own.bodies > 0 {
                        return Ok(Swept { more: true, ..own });
                    }
                    one_run(transaction, &policy, now).await
                })
            })
            .await
    }
}

async fn policy(transaction: &DatabaseTransaction, tenant: TenantId, now: Timestamp) -> Result<Option<Policy>> {
    let row = tenants::row_of(transaction, &tenant).await?;
    Ok(row.and_then(|row| {
        let kept = row.audit_retention_ms?;
        let (days, before) = (tenants::days_of(kept), now.as_millis().saturating_sub(kept));
        Some(Policy { tenant, number: row.audit_policy, days, before })
    }))
}

async fn own_chain(transaction: &DatabaseTransaction, policy: &Policy, now: Timestamp) -> Result<Swept> {
    let name = TenantName { tenant: policy.tenant.clone() }.to_string();
    let done = applied_through(transaction, policy, &name).await?;
    let next: Vec<(i64, i64)> = audit_entry::Entity::find()
        .select_only()
        .columns([audit_entry::Column::Number, audit_entry::Column::Time])
        .filter(audit_entry::Column::Tenant.eq(policy.tenant.as_str()))
        .filter(of_chain(""))
        .filter(audit_entry::Column::Number.gt(done))
        .filter(audit_entry::Column::Kind.ne(KIND))
        .order_by_asc(audit_entry::Column::Number)
        .limit(ROWS)
        .into_tuple()
        .all(transaction)
        .await
        .map_err(database)?;
    // The first that has to stay ends it, whatever the clock said of those behind it.
    let old: Vec<i64> = next.iter().take_while(|(_, time)| *time < policy.before).map(|(number, _)| *number).collect();
    let Some(through) = old.last().copied() else { return Ok(Swept { bodies: 0, more: false }) };
    let bodies = take(transaction, policy, "", (done, through)).await?;
    note(transaction, policy, (&name, through), now).await?;
    Ok(Swept { bodies, more: old.len() as u64 == ROWS })
}

/// A run's chain goes as a whole, once the run has ended before the time; its last entry goes last.
async fn one_run(transaction: &DatabaseTransaction, policy: &Policy, now: Timestamp) -> Result<Swept> {
    let to_last = run::Entity::belongs_to(audit_entry::Entity)
        .from((run::Column::Tenant, run::Column::Id, run::Column::Entries))
        .to((audit_entry::Column::Tenant, audit_entry::Column::Chain, audit_entry::Column::Number));
    let found = run::Entity::find()
        .join(JoinType::InnerJoin, to_last.into())
        .filter(run::Column::Tenant.eq(policy.tenant.as_str()))
        .filter(run::Column::EndTime.lt(policy.before))
        .filter(audit_entry::Column::Body.is_not_null())
        .order_by_asc(run::Column::Id)
        .one(transaction)
        .await
        .map_err(database)?;
    let Some(found) = found else { return Ok(Swept { bodies: 0, more: false }) };
    let export = connections::export_name(&found.tenant, &found.export)?;
    let name = format!("{export}/runs/{}", found.id);
    if applied_through(transaction, policy, &name).await? < found.entries {
        note(transaction, policy, (&name, found.entries), now).await?;
    }
    let first: Option<i64> = audit_entry::Entity::find()
        .select_only()
        .column(audit_entry::Column::Number)
        .filter(audit_entry::Column::Tenant.eq(policy.tenant.as_str()))
        .filter(of_chain(&found.id))
        .filter(audit_entry::Column::Body.is_not_null())
        .order_by_asc(audit_entry::Column::Number)
        .limit(1)
        .into_tuple()
        .one(transaction)
        .await
        .map_err(database)?;
    let after = first.unwrap_or(1) - 1;
    let through = found.entries.min(after.saturating_add(ROWS.cast_signed()));
    let bodies = take(transaction, policy, &found.id, (after, through)).await?;
    Ok(Swept { bodies, more: true })
}

/// Takes the bodies of entries after one number and through another, and what of them stands in columns of its own.
async fn take(
    transaction: &DatabaseTransaction,
    policy: &Policy,
    chain: &str,
    (after, through): (i64, i64),
) -> Result<u64> {
    let taken = audit_entry::Entity::update_many()
        .col_expr(audit_entry::Column::Body, Expr::value(None::<Vec<u8>>))
        .col_expr(audit_entry::Column::Actor, Expr::value(""))
        .col_expr(audit_entry::Column::Object, Expr::value(""))
        .filter(audit_entry::Column::Tenant.eq(policy.tenant.as_str()))
        .filter(of_chain(chain))
        .filter(audit_entry::Column::Number.gt(after))
        .filter(audit_entry::Column::Number.lte(through))
        .filter(audit_entry::Column::Kind.ne(KIND))
        .filter(audit_entry::Column::Body.is_not_null())
        .exec(transaction)
        .await
        .map_err(database)?;
    Ok(taken.rows_affected)
}

async fn note(
    transaction: &DatabaseTransaction,
    policy: &Policy,
    (chain, through): (&str, i64),
    now: Timestamp,
) -> Result<()> {
    let fact = Fact::new(KIND, policy.tenant.as_str(), chain)
        .with("chain", chain)
        .with("through", through)
        .with("policy", policy.number)
        .with("days", policy.days);
    audit::append(transaction, &Who::ferry(), fact, now).await.map(|_number| ())
}

/// Up to where the newest entry says that a policy has taken the bodies of a chain.
async fn applied_through(transaction: &DatabaseTransaction, policy: &Policy, chain: &str) -> Result<i64> {
    let newest = audit_entry::Entity::find()
        .filter(audit_entry::Column::Tenant.eq(policy.tenant.as_str()))
        .filter(of_chain(""))
        .filter(audit_entry::Column::Object.eq(chain))
        .filter(audit_entry::Column::Kind.eq(KIND))
        .order_by_desc(audit_entry::Column::Number)
        .one(transaction)
        .await
        .map_err(database)?;
    let through = newest.and_then(|row| Entry::decode(row.body.as_deref()?).ok()?.details.get("through")?.parse().ok());
    Ok(through.unwrap_or(0))
}
