//! Ticks as they are looked for: what is due, what waits and may be queued, and when each is due next.

use crate::entity::{export, run, tick};
use crate::error::database;
use crate::refresh::OpenRefresh;
use crate::tick::{DueTick, WaitingTick};
use crate::{Store, export as exports};
use ferry_domain::{Result, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use std::collections::{HashMap, HashSet};

/// Ticks that are read at once.
const AT_ONCE: u64 = 256;

impl Store {
    /// The ticks that are due, the oldest first, some at a time.
    pub async fn ticks_due(&self, now: Timestamp) -> Result<Vec<DueTick>> {
        self.ticks_due_after(now, None).await
    }

    /// The same, those that come after one that was read before: what cannot be claimed holds up nothing behind it.
    pub async fn ticks_due_after(&self, now: Timestamp, after: Option<&DueTick>) -> Result<Vec<DueTick>> {
        let mut query = tick::Entity::find().filter(tick::Column::DueTime.lte(now.as_millis()));
        if let Some(DueTick { tenant, export, due, .. }) = after {
            let same_time = Condition::all().add(tick::Column::DueTime.eq(*due));
            let same_tenant = same_time.clone().add(tick::Column::Tenant.eq(tenant.as_str()));
            let behind = Condition::any()
                .add(tick::Column::DueTime.gt(*due))
                .add(same_time.add(tick::Column::Tenant.gt(tenant.as_str())))
                .add(same_tenant.add(tick::Column::Export.gt(export.as_str())));
            query = query.filter(behind);
        }
        let rows = query
            .order_by_asc(tick::Column::DueTime)
            .order_by_asc(tick::Column::Tenant)
            .order_by_asc(tick::Column::Export)
            .limit(AT_ONCE)
            .all(&self.readers)
            .await
            .map_err(database)?;
        let due = |row: tick::Model| {
            let tick::Model { tenant, export, due_time, version, .. } = row;
            due_time.map(|due| DueTick { tenant, export, due, version })
        };
        Ok(rows.into_iter().filter_map(due).collect())
    }

    /// Runs that wait and that nothing that is seen here keeps from being queued.
    pub async fn ticks_waiting(&self) -> Result<Vec<WaitingTick>> {
        let rows = tick::Entity::find()
            .filter(tick::Column::Pending.is_not_null())
            .filter(Expr::not_exists(live_runs()))
            .all(&self.readers)
            .await
            .map_err(database)?;
        let held = held_by_refreshes(&self.readers, &self.refreshes_open().await?).await?;
        let free = rows.into_iter().filter(|row| !held.contains(&(row.tenant.clone(), row.export.clone())));
        Ok(free.map(|row| WaitingTick { tenant: row.tenant, export: row.export, version: row.version }).collect())
    }
}

/// The runs that go on of the export of a tick.
fn live_runs() -> SelectStatement {
    let of_tick = |run, tick| Expr::col((run::Entity, run)).equals((tick::Entity, tick));
    Query::select()
        .expr(Expr::value(1))
        .from(run::Entity)
        .and_where(of_tick(run::Column::Tenant, tick::Column::Tenant))
        .and_where(of_tick(run::Column::Export, tick::Column::Export))
        .and_where(Expr::col((run::Entity, run::Column::EndTime)).is_null())
        .and_where(Expr::col((run::Entity, run::Column::DryRun)).eq(false))
        .and_where(Expr::col((run::Entity, run::Column::State)).is_in(exports::live_states()))
        .take()
}

/// Tenant and id of each export that waits while a refresh of its segments goes on. What is gone is let go of.
async fn held_by_refreshes(readers: &DatabaseConnection, open: &[OpenRefresh]) -> Result<HashSet<(String, String)>> {
    if open.is_empty() {
        return Ok(HashSet::new());
    }
    let of_export = |tick, export| Expr::col((tick::Entity, tick)).equals((export::Entity, export));
    let waits = Query::select()
        .expr(Expr::value(1))
        .from(tick::Entity)
        .and_where(of_export(tick::Column::Tenant, export::Column::Tenant))
        .and_where(of_export(tick::Column::Export, export::Column::Id))
        .and_where(Expr::col((tick::Entity, tick::Column::Pending)).is_not_null())
        .take();
    let rows = export::Entity::find()
        .filter(export::Column::Tenant.is_in(open.iter().map(|refresh| refresh.tenant.as_str())))
        .filter(export::Column::DeleteTime.is_null())
        .filter(Expr::exists(waits))
        .all(readers)
        .await
        .map_err(database)?;
    let mut held = HashSet::new();
    for row in rows {
        let key = (row.tenant.clone(), row.id.clone());
        let export = exports::to_domain(row)?;
        if open.iter().any(|refresh| refresh.tenant == export.name.tenant && refresh.concerns(&export.segments)) {
            held.insert(key);
        }
    }
    Ok(held)
}

/// When each tick of a tenant is due, by its export.
pub(crate) async fn due_times(connection: &impl ConnectionTrait, tenant: &str) -> Result<HashMap<String, Timestamp>> {
    let rows = tick::Entity::find()
        .filter(tick::Column::Tenant.eq(tenant))
        .filter(tick::Column::DueTime.is_not_null())
        .all(connection)
        .await
        .map_err(database)?;
    let due = |row: tick::Model| row.due_time.map(|due| (row.export, Timestamp::from_millis(due)));
    Ok(rows.into_iter().filter_map(due).collect())
}
