//! What those who watch runs are told: a snapshot, the changes since, and what has moved.
//!
//! Each read is one short transaction, so that what it tells belongs together: the account of a run is never newer than
//! the changes that are told with it. Nobody holds a connection while they wait.

use crate::entity::{run, run_change, run_change_head};
use crate::error::{corrupt, database};
use crate::{Store, export as exports, run as runs, run_change as changes, tenant as tenants};
use ferry_domain::authz::Permit;
use ferry_domain::authz::action::WatchRuns;
use ferry_domain::name::RunParent;
use ferry_domain::{Error, Result, Run, RunId, RunName, RunState, TenantId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, TransactionTrait};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

/// Changes of one read of one who goes on.
const PAGE: u64 = 200;
/// Changes of a tenant that are told at once: about half of what may wait for a reader, so that one that reads has room.
const AT_ONCE: u64 = 32;

/// What somebody watches, and was allowed to when it began. Only the store makes one, for a permit; whoever holds it
/// asks again, while they go on, whether the right still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    parent: RunParent,
    run: Option<RunId>,
    tenant_uid: String,
}

impl Watched {
    /// Whose runs.
    #[must_use]
    pub fn parent(&self) -> &RunParent {
        &self.parent
    }

    /// The one run, if only that is watched.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// What tells the tenant from any other, whatever its id.
    #[must_use]
    pub fn tenant_uid(&self) -> &str {
        &self.tenant_uid
    }

    /// Whether a run is among those that are watched.
    #[must_use]
    pub fn covers(&self, name: &RunName) -> bool {
        let of_parent = match &self.parent {
            RunParent::Tenant(tenant) => *tenant == name.tenant,
            RunParent::Export(export) => *export == name.export_name(),
        };
        of_parent && self.run.as_ref().is_none_or(|run| *run == name.run)
    }
}

/// A change of a run's state.
#[derive(Debug, Clone)]
pub struct RunChange {
    /// Its number in the tenant's log.
    pub number: u64,
    /// The run as it was then.
    pub run: Run,
    /// How long its row is.
    pub bytes: usize,
}

/// How it stands.
#[derive(Debug, Clone)]
pub struct WatchSnapshot {
    /// The number of the tenant's last change that it has seen.
    pub through: u64,
    /// The runs that are not over, the oldest first; the one that is watched in any state.
    pub runs: Vec<Run>,
}

/// What became of what is watched since a number.
#[derive(Debug, Clone)]
pub enum WatchChanges {
    /// The log does not reach back so far.
    Cut,
    /// These, in order.
    These {
        /// The changes of watched runs.
        changes: Vec<RunChange>,
        /// All up to this number was looked at.
        through: u64,
        /// Whether there was more.
        more: bool,
    },
}

/// What became of a tenant's runs since a number.
#[derive(Debug, Clone)]
pub struct WatchNews {
    /// The tenant.
    pub tenant: TenantId,
    /// Its changes, in order.
    pub changes: Vec<RunChange>,
    /// All up to this number was looked at.
    pub through: u64,
    /// Whether there was more; then nothing is told of what has moved.
    pub more: bool,
    /// The runs that are carried, as they are after these changes.
    pub moving: Vec<Run>,
}

impl Store {
    /// Wakes after each commit, whatever it was. Carries nothing: read what there is.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.writer.committed()
    }

    /// Begins to watch the runs of a parent, or one of them, which must be there. Tells too whether that one has ended.
    pub fn watch_begin(
        &self,
        permit: Permit<WatchRuns>,
        one: Option<RunName>,
    ) -> impl Future<Output = Result<(Watched, bool)>> + Send + use<> {
        let parent = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let tenant = parent.tenant();
            let row = tenants::find(&readers, tenant).await?.ok_or_else(|| tenants::not_found(tenant))?;
            if let RunParent::Export(export) = &parent {
                exports::load(&readers, export).await?;
            }
            let mut watched = Watched { parent, run: None, tenant_uid: row.uid };
            let Some(name) = one else { return Ok((watched, false)) };
            if !watched.covers(&name) {
                return Err(Error::invalid("run", "must be a run of the parent"));
            }
            let row = runs::load(&readers, &name).await?;
            watched.run = Some(name.run);
            Ok((watched, runs::read_state(&row)?.is_terminal()))
        }
    }

    /// How what is watched stands.
    pub async fn watch_snapshot(&self, watched: &Watched) -> Result<WatchSnapshot> {
        let transaction = self.readers.begin().await.map_err(database)?;
        let tenant = watched.parent.tenant().as_str();
        let mut query = run::Entity::find().filter(run::Column::Tenant.eq(tenant));
        query = match &watched.run {
            Some(run) => query.filter(run::Column::Id.eq(run.as_str())),
            None => query.filter(run::Column::State.is_in(exports::live_states())),
        };
        if let RunParent::Export(export) = &watched.parent {
            query = query.filter(run::Column::Export.eq(export.export.as_str()));
        }
        let query = query.order_by_asc(run::Column::CreateTime).order_by_asc(run::Column::Id);
        let rows = query.all(&transaction).await.map_err(database)?;
        let (through, _) = head(&transaction, tenant).await?;
        transaction.commit().await.map_err(database)?;
        let runs = rows.into_iter().map(runs::to_domain).collect::<Result<Vec<_>>>()?;
        Ok(WatchSnapshot { through, runs })
    }

    /// Some of the changes of what is watched after a number.
    pub async fn watch_changes(&self, watched: &Watched, after: u64) -> Result<WatchChanges> {
        let transaction = self.readers.begin().await.map_err(database)?;
        let tenant = watched.parent.tenant().as_str();
        let (last, removed) = head(&transaction, tenant).await?;
        let rows = some(&transaction, tenant, after, PAGE).await?;
        transaction.commit().await.map_err(database)?;
        // One from the future is of another history: the database was put back.
        if after < removed || after > last {
            return Ok(WatchChanges::Cut);
        }
        let more = rows.len() as u64 == PAGE;
        let mut found = rows.into_iter().map(to_change).collect::<Result<Vec<_>>>()?;
        let through = found.last().filter(|_| more).map_or(last, |change| change.number);
        found.retain(|change| watched.covers(&change.run.name));
        Ok(WatchChanges::These { changes: found, through, more })
    }

    /// What became of the runs of those tenants that are watched, each since a number. One read for all who watch.
    pub async fn watch_news(&self, since: &[(&Watched, u64)]) -> Result<Vec<WatchNews>> {
        let since: BTreeMap<&TenantId, u64> =
            since.iter().map(|(watched, number)| (watched.parent.tenant(), *number)).collect();
        let tenants: BTreeSet<&str> = since.keys().map(|tenant| tenant.as_str()).collect();
        let transaction = self.readers.begin().await.map_err(database)?;
        let heads = run_change_head::Entity::find()
            .filter(run_change_head::Column::Tenant.is_in(tenants.iter().copied()))
            .all(&transaction)
            .await
            .map_err(database)?;
        let heads: BTreeMap<&str, i64> = heads.iter().map(|head| (head.tenant.as_str(), head.number)).collect();
        let mut news = BTreeMap::new();
        for (tenant, after) in since {
            let last = to_number(heads.get(tenant.as_str()).copied().unwrap_or(0))?;
            let rows =
                if last > after { some(&transaction, tenant.as_str(), after, AT_ONCE).await? } else { Vec::new() };
            let more = rows.len() as u64 == AT_ONCE;
            let changes = rows.into_iter().map(to_change).collect::<Result<Vec<_>>>()?;
            let through = changes.last().filter(|_| more).map_or(last, |change| change.number);
            let told = WatchNews { tenant: tenant.clone(), changes, through, more, moving: Vec::new() };
            news.insert(tenant.as_str().to_owned(), told);
        }
        // The account of a run moves while somebody carries it.
        let moving = run::Entity::find()
            .filter(run::Column::State.is_in([RunState::Processing, RunState::Cancelling].map(RunState::as_str)))
            .filter(run::Column::Tenant.is_in(tenants))
            .all(&transaction)
            .await
            .map_err(database)?;
        transaction.commit().await.map_err(database)?;
        for row in moving {
            if let Some(told) = news.get_mut(&row.tenant).filter(|told| !told.more) {
                told.moving.push(runs::to_domain(row)?);
            }
        }
        Ok(news.into_values().collect())
    }
}

/// The number of a tenant's last change, and up to where its log was cut.
async fn head(connection: &impl ConnectionTrait, tenant: &str) -> Result<(u64, u64)> {
    let row = run_change_head::Entity::find_by_id(tenant).one(connection).await.map_err(database)?;
    let Some(row) = row else { return Ok((0, 0)) };
    Ok((to_number(row.number)?, to_number(row.removed_through)?))
}

async fn some(
    connection: &impl ConnectionTrait,
    tenant: &str,
    after: u64,
    most: u64,
) -> Result<Vec<run_change::Model>> {
    run_change::Entity::find()
        .filter(run_change::Column::Tenant.eq(tenant))
        .filter(run_change::Column::Number.gt(i64::try_from(after).unwrap_or(i64::MAX)))
        .order_by_asc(run_change::Column::Number)
        .limit(most)
        .all(connection)
        .await
        .map_err(database)
}

fn to_change(row: run_change::Model) -> Result<RunChange> {
    Ok(RunChange { number: to_number(row.number)?, run: changes::read(&row)?, bytes: row.body.len() })
}

fn to_number(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|error| corrupt("run_changes", error))
}
