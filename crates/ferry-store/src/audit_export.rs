//! The record for a verifier, part by part: entries ascending, and checkpoints with their proofs.
//!
//! Each part takes a permit of its own, so a right that is lost in between ends the export.

use crate::audit_read::{hashes_before, of_chain, to_record};
use crate::checkpoint::prove::{self, TenantLeaf};
use crate::checkpoint::{self, SignedCheckpoint};
use crate::entity::{audit_checkpoint, audit_entry, audit_leaf, run};
use crate::error::{corrupt, database};
use crate::{AuditRecord, Store, connection as connections, export as exports, run as runs, tenant as tenants};
use ferry_domain::authz::Permit;
use ferry_domain::authz::action::{ExportAuditLog, GetCheckpoint};
use ferry_domain::{Error, Result, RunName, TenantId, TenantName};
use ferry_ledger::{Entry, Hash};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::{BTreeMap, BTreeSet};

/// What an export of the record is made of, as it stands at its begin.
#[derive(Debug, Clone)]
pub struct ExportOutline {
    /// The tenant's id.
    pub tenant: TenantId,
    /// The tenant's uid.
    pub uid: String,
    /// The log's origin; empty before the log has begun.
    pub origin: String,
    /// Checkpoints that it must bring: those asked for, those that announce another key, and the newest. By size, each
    /// with the number of the tenant's entries that it covers.
    pub marks: BTreeMap<u64, u64>,
    /// Entries of the tenant's own chain that the newest checkpoint covers.
    pub covered: u64,
}

/// A chain that is exported.
#[derive(Debug, Clone)]
pub enum ExportChain {
    /// The tenant's own.
    Own,
    /// A run's.
    Run(RunName),
}

/// A checkpoint with what ties a tenant to it.
#[derive(Debug, Clone)]
pub struct ProvedCheckpoint {
    /// The checkpoint.
    pub signed: SignedCheckpoint,
    /// The place of the tenant's newest leaf in its tree; means something where `entries` is not 0.
    pub leaf_index: u64,
    /// Entries of the tenant's own chain that it covers.
    pub entries: u64,
    /// That the leaf is in the tree.
    pub inclusion: Vec<Hash>,
    /// That the tree goes on from an earlier one, if one was named.
    pub consistency: Vec<Hash>,
}

impl Store {
    /// The newest checkpoint, proved to hold the tenant's newest leaf.
    pub fn audit_checkpoint(
        &self,
        permit: Permit<GetCheckpoint>,
    ) -> impl Future<Output = Result<ProvedCheckpoint>> + Send + use<> {
        let name = permit.spend().target;
        let store = self.clone();
        async move {
            tenants::must_exist(&store.readers, &name.tenant).await?;
            let newest = match store.audit_log().await? {
                Some(log) => checkpoint::newest(&store.readers, &log.origin).await?,
                None => None,
            };
            let missing = || Error::NotFound { kind: "checkpoint", name: format!("{name}/checkpoints/-") };
            let newest = newest.ok_or_else(missing)?;
            proved(&store.readers, &name, newest, 0).await
        }
    }

    /// What an export is made of. A pinned size at which nothing was signed is refused.
    pub fn audit_export_outline(
        &self,
        permit: Permit<ExportAuditLog>,
        pinned: Vec<u64>,
    ) -> impl Future<Output = Result<ExportOutline>> + Send + use<> {
        let name = permit.spend().target;
        let store = self.clone();
        async move {
            let readers = &store.readers;
            let row = tenants::find(readers, &name.tenant).await?.ok_or_else(|| tenants::not_found(&name.tenant))?;
            let origin = store.audit_log().await?.map(|log| log.origin).unwrap_or_default();
            let mut sizes: BTreeSet<u64> = last_of_each_key(readers, &origin).await?;
            let newest = sizes.last().copied();
            for (at, size) in pinned.into_iter().enumerate() {
                if store.checkpoint_at(&origin, size).await?.is_none() {
                    let text = format!("nothing was signed at {size}; give sizes of checkpoints of {origin}");
                    return Err(Error::invalid(format!("pinned_sizes[{at}]"), text));
                }
                sizes.insert(size);
            }
            let mut marks = BTreeMap::new();
            for size in sizes {
                marks.insert(size, leaf(readers, &origin, &name, size).await?.map_or(0, |leaf| leaf.number));
            }
            let covered = newest.and_then(|newest| marks.get(&newest).copied()).unwrap_or(0);
            Ok(ExportOutline { tenant: name.tenant, uid: row.uid, origin, marks, covered })
        }
    }

    /// Entries of a chain after a number and up to another one, ascending; at most so many.
    pub fn audit_export_entries(
        &self,
        permit: Permit<ExportAuditLog>,
        chain: ExportChain,
        (after, through): (u64, u64),
        most: u64,
    ) -> impl Future<Output = Result<Vec<AuditRecord>>> + Send + use<> {
        let name = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let tenant = name.tenant.as_str();
            let (id, chain_name) = match &chain {
                ExportChain::Own => (String::new(), name.to_string()),
                ExportChain::Run(run) => {
                    let row = runs::load(&readers, run).await?;
                    if row.tenant != tenant {
                        return Err(Error::NotFound { kind: "run", name: run.to_string() });
                    }
                    (row.id, run.to_string())
                }
            };
            let rows = audit_entry::Entity::find()
                .filter(audit_entry::Column::Tenant.eq(tenant))
                .filter(of_chain(&id))
                .filter(audit_entry::Column::Number.gt(checkpoint::number(after)?))
                .filter(audit_entry::Column::Number.lte(i64::try_from(through).unwrap_or(i64::MAX)))
                .order_by_asc(audit_entry::Column::Number)
                .limit(most)
                .all(&readers)
                .await
                .map_err(database)?;
            let before = hashes_before(&readers, tenant, &id, &rows).await?;
            let with_previous = |row: audit_entry::Model| {
                let previous = before.get(&(row.number - 1)).copied().unwrap_or(ferry_ledger::GENESIS);
                to_record(row, &chain_name, previous)
            };
            rows.into_iter().map(with_previous).collect()
        }
    }

    /// Runs that had entries and had not ended at an entry of the tenant's own chain, with how many of each an anchor
    /// names.
    pub fn audit_export_open_runs(
        &self,
        permit: Permit<ExportAuditLog>,
        at: u64,
    ) -> impl Future<Output = Result<Vec<(RunName, u64)>>> + Send + use<> {
        let name = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            // Live ones first: a run that ends in between is found again by its end.
            let live = run::Entity::find()
                .filter(run::Column::Tenant.eq(name.tenant.as_str()))
                .filter(run::Column::State.is_in(exports::live_states()))
                .filter(run::Column::EntriesAnchored.gt(0))
                .all(&readers)
                .await
                .map_err(database)?;
            let mut open = BTreeMap::new();
            for row in live {
                let export = connections::export_name(&row.tenant, &row.export)?;
                open.insert(format!("{export}/runs/{}", row.id), row.entries_anchored);
            }
            for ended in ended_after(&readers, &name, at).await? {
                let Ok(run) = RunName::parse(&ended) else { continue };
                let row = runs::load(&readers, &run).await?;
                open.insert(ended, row.entries);
            }
            let to_run = |(name, entries): (String, i64)| {
                let run = RunName::parse(&name).map_err(|error| corrupt("runs", error))?;
                Ok((run, u64::try_from(entries).map_err(|error| corrupt("runs", error))?))
            };
            open.into_iter().map(to_run).collect()
        }
    }

    /// The smallest checkpoint that covers as many of the tenant's entries as any that covers no more than `entries`.
    pub fn audit_export_mark(
        &self,
        permit: Permit<ExportAuditLog>,
        origin: &str,
        entries: u64,
    ) -> impl Future<Output = Result<Option<u64>>> + Send + use<> {
        let name = permit.spend().target;
        let (store, origin) = (self.clone(), origin.to_owned());
        async move {
            let leaf: Option<i64> = audit_leaf::Entity::find()
                .select_only()
                .column(audit_leaf::Column::Position)
                .filter(audit_leaf::Column::Log.eq(origin.as_str()))
                .filter(audit_leaf::Column::Tenant.eq(name.tenant.as_str()))
                .filter(audit_leaf::Column::Number.lte(checkpoint::number(entries)?))
                .order_by_desc(audit_leaf::Column::Number)
                .limit(1)
                .into_tuple()
                .one(&store.readers)
                .await
                .map_err(database)?;
            let Some(position) = leaf else { return Ok(None) };
            let position = u64::try_from(position).map_err(|error| corrupt("audit_leaves", error))?;
            let first = store.checkpoints_after(&origin, position, 1).await?;
            Ok(first.first().map(|signed| signed.size))
        }
    }

    /// A checkpoint, proved to hold the tenant's newest leaf in it, and to go on from the tree of size `before`.
    pub fn audit_export_checkpoint(
        &self,
        permit: Permit<ExportAuditLog>,
        origin: &str,
        (before, size): (u64, u64),
    ) -> impl Future<Output = Result<ProvedCheckpoint>> + Send + use<> {
        let name = permit.spend().target;
        let (store, origin) = (self.clone(), origin.to_owned());
        async move {
            let readers = &store.readers;
            let signed = store.checkpoint_at(&origin, size).await?;
            let signed = signed.ok_or_else(|| corrupt("audit_checkpoints", format!("none at {size}")))?;
            proved(readers, &name, signed, before).await
        }
    }
}

/// Goes on from the tree of size `before`, if that is not 0.
async fn proved(
    readers: &impl ConnectionTrait,
    name: &TenantName,
    signed: SignedCheckpoint,
    before: u64,
) -> Result<ProvedCheckpoint> {
    let leaf = leaf(readers, &signed.origin, name, signed.size).await?;
    let inclusion = match &leaf {
        Some(leaf) => prove::inclusion(readers, &signed.origin, (leaf.index, signed.size)).await?,
        None => Vec::new(),
    };
    let consistency = match before {
        0 => Vec::new(),
        before => prove::consistency(readers, &signed.origin, (before, signed.size)).await?,
    };
    let (leaf_index, entries) = leaf.map_or((0, 0), |leaf| (leaf.index, leaf.number));
    Ok(ProvedCheckpoint { signed, leaf_index, entries, inclusion, consistency })
}

async fn leaf(
    connection: &impl ConnectionTrait,
    origin: &str,
    name: &TenantName,
    size: u64,
) -> Result<Option<TenantLeaf>> {
    prove::newest_leaf(connection, (origin, name.tenant.as_str()), size).await
}

/// The last checkpoint that each key has signed; the last of all is the newest.
async fn last_of_each_key(connection: &impl ConnectionTrait, origin: &str) -> Result<BTreeSet<u64>> {
    let sizes: Vec<i64> = audit_checkpoint::Entity::find()
        .select_only()
        .column_as(audit_checkpoint::Column::Size.max(), "size")
        .filter(audit_checkpoint::Column::Log.eq(origin))
        .group_by(audit_checkpoint::Column::KeyGeneration)
        .into_tuple()
        .all(connection)
        .await
        .map_err(database)?;
    sizes.into_iter().map(|size| u64::try_from(size).map_err(|error| corrupt("audit_checkpoints", error))).collect()
}

/// Runs whose end is recorded after an entry.
async fn ended_after(connection: &impl ConnectionTrait, name: &TenantName, at: u64) -> Result<Vec<String>> {
    let rows = audit_entry::Entity::find()
        .filter(audit_entry::Column::Tenant.eq(name.tenant.as_str()))
        .filter(of_chain(""))
        .filter(audit_entry::Column::Kind.eq("RUN_ENDED"))
        .filter(audit_entry::Column::Number.gt(checkpoint::number(at)?))
        .all(connection)
        .await
        .map_err(database)?;
    let named = |row: audit_entry::Model| Entry::decode(row.body.as_deref()?).ok().map(|entry| entry.object);
    Ok(rows.into_iter().filter_map(named).collect())
}
