//! Reading the record: entries in pages, and what hangs on each.

use crate::audit::to_hash;
use crate::entity::audit_entry;
use crate::error::{corrupt, database};
use crate::page::{Listed, Page};
use crate::{Store, run as runs, tenant as tenants};
use ferry_domain::authz::action::ListAuditEntries;
use ferry_domain::authz::{AuditParent, Permit};
use ferry_domain::{Error, Result, Timestamp};
use ferry_ledger::{Entry, GENESIS, Hash};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

/// Which entries of a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// By this `sub`.
    pub actor: Option<String>,
    /// What happened to this resource.
    pub object: Option<String>,
    /// Since then.
    pub from: Option<Timestamp>,
    /// Before then.
    pub before: Option<Timestamp>,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// The name of the chain's tenant or run.
    pub chain: String,
    /// Its place in its chain.
    pub number: u64,
    /// When.
    pub time: Timestamp,
    /// What happened.
    pub kind: String,
    /// What it says; nothing once the tenant's retention is over.
    pub entry: Option<Entry>,
    /// Its canonical bytes, likewise.
    pub encoded: Option<Vec<u8>>,
    /// The hash of the bytes.
    pub body_hash: Hash,
    /// Its hash in the chain.
    pub hash: Hash,
    /// The hash of the entry before.
    pub previous_hash: Hash,
}

impl Store {
    /// Reads entries of a chain, the newest first.
    pub fn audit_list(
        &self,
        permit: Permit<ListAuditEntries>,
        filter: AuditFilter,
        page: Page,
    ) -> impl Future<Output = Result<Listed<AuditRecord>>> + Send + use<> {
        let parent = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let chain = match &parent {
                AuditParent::Tenant(name) => {
                    tenants::must_exist(&readers, &name.tenant).await?;
                    ""
                }
                AuditParent::Run(name) => {
                    runs::load(&readers, name).await?;
                    name.run.as_str()
                }
            };
            let tenant = parent.tenant().as_str();
            let query = filtered(tenant, chain, &filter, page.after.as_deref())?;
            let rows = query.order_by_desc(audit_entry::Column::Number).limit(page.limit()).all(&readers);
            let mut rows = rows.await.map_err(database)?;
            let more = rows.len() > page.size as usize;
            rows.truncate(page.size as usize);
            let next = rows.last().filter(|_| more).map(|row| row.number.to_string());
            let before = hashes_before(&readers, tenant, chain, &rows).await?;
            let name = match &parent {
                AuditParent::Tenant(name) => name.to_string(),
                AuditParent::Run(name) => name.to_string(),
            };
            let items = rows.into_iter().map(|row| {
                let previous = before.get(&(row.number - 1)).copied().unwrap_or(GENESIS);
                to_record(row, &name, previous)
            });
            Ok(Listed { items: items.collect::<Result<_>>()?, next })
        }
    }
}

/// The entries of one chain that the filter lets through, before a number.
fn filtered(
    tenant: &str,
    chain: &str,
    filter: &AuditFilter,
    after: Option<&str>,
) -> Result<sea_orm::Select<audit_entry::Entity>> {
    use audit_entry::Column;
    let mut query = audit_entry::Entity::find().filter(Column::Tenant.eq(tenant)).filter(of_chain(chain));
    let texts = [(Column::Kind, &filter.kind), (Column::Actor, &filter.actor), (Column::Object, &filter.object)];
    for (column, wanted) in texts {
        if let Some(wanted) = wanted {
            query = query.filter(column.eq(wanted.as_str()));
        }
    }
    if let Some(from) = filter.from {
        query = query.filter(Column::Time.gte(from.as_millis()));
    }
    if let Some(before) = filter.before {
        query = query.filter(Column::Time.lt(before.as_millis()));
    }
    if let Some(after) = after {
        let number: i64 = after.parse().map_err(|_| Error::invalid("page_token", "is not a token of this list"))?;
        query = query.filter(Column::Number.lt(number));
    }
    Ok(query)
}

/// A tenant's own chain is named by a literal: the indexes of the filters are for it alone, and are only used where the
/// statement itself shows that it is meant.
pub(crate) fn of_chain(chain: &str) -> Expr {
    match chain {
        "" => Expr::col(audit_entry::Column::Chain).eq(Expr::cust("''")),
        run => Expr::col(audit_entry::Column::Chain).eq(run),
    }
}

/// The hash of the entry before each of these, by its number.
pub(crate) async fn hashes_before(
    connection: &impl ConnectionTrait,
    tenant: &str,
    chain: &str,
    rows: &[audit_entry::Model],
) -> Result<HashMap<i64, Hash>> {
    let mut known = HashMap::with_capacity(rows.len());
    for row in rows {
        known.insert(row.number, to_hash("audit_entries", &row.hash)?);
    }
    let missing = rows.iter().map(|row| row.number - 1).filter(|number| *number > 0 && !known.contains_key(number));
    let missing: Vec<i64> = missing.collect();
    if missing.is_empty() {
        return Ok(known);
    }
    let found: Vec<(i64, Vec<u8>)> = audit_entry::Entity::find()
        .select_only()
        .columns([audit_entry::Column::Number, audit_entry::Column::Hash])
        .filter(audit_entry::Column::Tenant.eq(tenant))
        .filter(of_chain(chain))
        .filter(audit_entry::Column::Number.is_in(missing))
        .into_tuple()
        .all(connection)
        .await
        .map_err(database)?;
    for (number, hash) in found {
        known.insert(number, to_hash("audit_entries", &hash)?);
    }
    Ok(known)
}

pub(crate) fn to_record(row: audit_entry::Model, chain: &str, previous_hash: Hash) -> Result<AuditRecord> {
    // What somebody has altered by hand is still shown: whoever verifies sees it, and who reads needs the rest.
    let entry = row.body.as_deref().and_then(|body| Entry::decode(body).ok());
    Ok(AuditRecord {
        chain: chain.to_owned(),
        number: u64::try_from(row.number).map_err(|error| corrupt("audit_entries", error))?,
        time: Timestamp::from_millis(row.time),
        kind: row.kind,
        entry,
        encoded: row.body,
        body_hash: to_hash("audit_entries", &row.body_hash)?,
        hash: to_hash("audit_entries", &row.hash)?,
        previous_hash,
    })
}
