//! Ticks: when something is due by itself. Each is a row, and no timer: it holds the next instant, and whoever claims
//! it writes the one after that and queues what is due in one transaction. So a tick that two processes see is claimed
//! by one of them, and a crash leaves it either unclaimed or done.
//!
//! ```text
//! due ─▶ claimed: next instant written, and ─▶ queued
//!                                           ├▶ waits (`pending`): its run or a refresh of its segments goes on ─▶ queued
//!                                           └▶ nothing: detached, or missed and to be skipped
//! ```
//!
//! What waits is a word on the row and no run, so one export has at most one run that goes on and one that waits.
//! However many instants were missed while nobody looked, one is claimed: the next is after now.

use crate::audit::{self, Who};
use crate::entity::{export, refresh_schedule, tick};
use crate::error::{corrupt, database, from_json, to_json};
use crate::refresh::{self, Opened};
use crate::run_queue::{self, Unattended};
use crate::{Store, export as exports, run as runs, tenant as tenants};
use ferry_domain::{Export, ExportId, ExportName, Result, RunId, Schedule, TenantId, Timestamp, Trigger};
use ferry_schedule::Recurrence;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use std::time::Duration;

/// The refresh of a tenant has no export.
const REFRESH: &str = "";
/// What is due for longer was missed: nobody looked. A restart is no miss.
const LATE: Duration = Duration::from_secs(5 * 60);

/// What becomes of instants at which nobody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// It takes place once, however many there were.
    #[default]
    RunOnce,
    /// It does not take place.
    Skip,
}

/// A tick that was due when it was looked for. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTick {
    pub(crate) tenant: String,
    pub(crate) export: String,
    pub(crate) due: i64,
    pub(crate) version: i64,
}

/// A run that waits for another to end, or for a refresh. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingTick {
    pub(crate) tenant: String,
    pub(crate) export: String,
    pub(crate) version: i64,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticked {
    /// Somebody else has claimed it, or it was changed since.
    Gone,
    /// A run was queued.
    Queued,
    /// A refresh of the tenant has begun.
    RefreshBegun,
    /// It waits until it may be queued.
    Waits,
    /// There is nothing to be run.
    Nothing,
    /// It was missed, and is left out.
    Missed,
}

impl DueTick {
    /// What it is for: an export's name, or the tenant's.
    #[must_use]
    pub fn of(&self) -> String {
        named(&self.tenant, &self.export)
    }
}

impl WaitingTick {
    /// The export's name.
    #[must_use]
    pub fn of(&self) -> String {
        named(&self.tenant, &self.export)
    }
}

fn named(tenant: &str, export: &str) -> String {
    if export == REFRESH { format!("tenants/{tenant}") } else { format!("tenants/{tenant}/exports/{export}") }
}

impl Store {
    /// Claims a due tick: the next instant is written and what is due is queued in one transaction, or nothing of it.
    pub async fn tick_claim(
        &self,
        tick: DueTick,
        missed: Missed,
        new_run: fn() -> Result<RunId>,
        now: Timestamp,
    ) -> Result<Ticked> {
        self.run_and_wake(move |transaction| Box::pin(claim(transaction, tick, missed, new_run, now))).await
    }

    /// Queues a run that has waited, if nothing keeps it any more.
    pub async fn tick_serve(
        &self,
        waiting: WaitingTick,
        new_run: fn() -> Result<RunId>,
        now: Timestamp,
    ) -> Result<Ticked> {
        self.run_and_wake(move |transaction| Box::pin(serve(transaction, waiting, new_run, now))).await
    }
}

async fn claim(
    transaction: &DatabaseTransaction,
    due: DueTick,
    missed: Missed,
    new_run: fn() -> Result<RunId>,
    now: Timestamp,
) -> Result<Ticked> {
    let Some(row) = find(transaction, (&due.tenant, &due.export)).await? else { return Ok(Ticked::Gone) };
    if row.version != due.version || row.due_time != Some(due.due) || due.due > now.as_millis() {
        return Ok(Ticked::Gone);
    }
    let tenant = TenantId::parse(&due.tenant).map_err(|error| corrupt("ticks", error))?;
    let alive = tenants::find(transaction, &tenant).await?.is_some();
    let after = now.as_millis();
    let what = if !alive {
        What::Nothing
    } else if due.export == REFRESH {
        What::refresh(transaction, &due.tenant).await?
    } else {
        What::export(transaction, &export_name(&row)?).await?
    };
    // Before anything is queued: whoever comes second changes no row, and does nothing.
    let next = match &what {
        What::Nothing => None,
        What::Refresh(schedule) => next_refresh(schedule, after)?,
        What::Export(found) => next_own(&from_json("exports", &found.schedule)?, after)?,
    };
    if !advance(transaction, &due, next).await? {
        return Ok(Ticked::Gone);
    }
    ferry_domain::failpoint!("tick-advanced");
    if matches!(what, What::Nothing) {
        return Ok(Ticked::Nothing);
    }
    if missed == Missed::Skip && now.since(Timestamp::from_millis(due.due)) > LATE {
        return Ok(Ticked::Missed);
    }
    let ticked = match what {
        What::Nothing => Ticked::Nothing,
        What::Refresh(_) => {
            let id = new_run()?.as_str().to_owned();
            refresh::open(transaction, Opened::by_itself(id, &tenant), now).await?;
            Ticked::RefreshBegun
        }
        What::Export(found) => begin(transaction, &found, Trigger::Schedule, new_run, now).await?,
    };
    ferry_domain::failpoint!("tick-queued");
    Ok(ticked)
}

/// What a tick is for, if it is still there and is to take place.
enum What {
    Nothing,
    Refresh(refresh_schedule::Model),
    Export(Box<export::Model>),
}

impl What {
    async fn refresh(transaction: &DatabaseTransaction, tenant: &str) -> Result<Self> {
        let found = refresh_schedule::Entity::find_by_id(tenant).one(transaction).await.map_err(database)?;
        Ok(found.filter(|schedule| schedule.active != 0).map_or(Self::Nothing, Self::Refresh))
    }

    async fn export(transaction: &DatabaseTransaction, name: &ExportName) -> Result<Self> {
        let found = exports::find(transaction, name).await?.filter(|row| row.delete_time.is_none());
        Ok(found.map_or(Self::Nothing, |row| Self::Export(Box::new(row))))
    }
}

/// Queues a run of an export, or lets it wait. A detached export runs nowhere, and is skipped by nobody.
async fn begin(
    transaction: &DatabaseTransaction,
    found: &export::Model,
    trigger: Trigger,
    new_run: fn() -> Result<RunId>,
    now: Timestamp,
) -> Result<Ticked> {
    let export = exports::to_domain(found.clone())?;
    let Some(connection) = run_queue::usable(transaction, found).await? else { return Ok(Ticked::Nothing) };
    let busy = runs::live_run(transaction, &export.name).await?.is_some()
        || refresh::goes_on(transaction, &found.tenant, &export.segments).await?;
    if busy {
        wait(transaction, (&found.tenant, &found.id), trigger).await?;
        return Ok(Ticked::Waits);
    }
    let new = Unattended { id: new_run()?, trigger, started_by: connection.run_as.clone(), skipped: None };
    let queued = run_queue::unattended(transaction, (found, &connection), new, now).await?;
    for fact in queued.facts {
        audit::append(transaction, &Who::ferry(), fact, now).await?;
    }
    Ok(Ticked::Queued)
}

async fn serve(
    transaction: &DatabaseTransaction,
    waiting: WaitingTick,
    new_run: fn() -> Result<RunId>,
    now: Timestamp,
) -> Result<Ticked> {
    let key = (waiting.tenant.as_str(), waiting.export.as_str());
    let Some(row) = find(transaction, key).await?.filter(|row| row.version == waiting.version) else {
        return Ok(Ticked::Gone);
    };
    let Some(pending) = &row.pending else { return Ok(Ticked::Gone) };
    let trigger: Trigger = from_json("ticks", pending)?;
    let name = export_name(&row)?;
    let alive = tenants::find(transaction, &name.tenant).await?.is_some();
    let found = exports::find(transaction, &name).await?.filter(|row| alive && row.delete_time.is_none());
    // It is put back if it has to wait on.
    let taken = tick::Entity::update_many()
        .col_expr(tick::Column::Pending, Expr::value(Option::<String>::None))
        .col_expr(tick::Column::Version, Expr::col(tick::Column::Version).add(1))
        .filter(tick::Column::Tenant.eq(key.0))
        .filter(tick::Column::Export.eq(key.1))
        .filter(tick::Column::Version.eq(waiting.version))
        .exec(transaction)
        .await
        .map_err(database)?;
    match found {
        _ if taken.rows_affected != 1 => Ok(Ticked::Gone),
        None => Ok(Ticked::Nothing),
        Some(found) => begin(transaction, &found, trigger, new_run, now).await,
    }
}

/// Lets a run of an export wait; one that waits already is enough.
pub(crate) async fn wait(
    transaction: &DatabaseTransaction,
    (tenant, export): (&str, &str),
    trigger: Trigger,
) -> Result<()> {
    let row = tick::ActiveModel {
        tenant: Set(tenant.to_owned()),
        export: Set(export.to_owned()),
        due_time: Set(None),
        pending: Set(Some(to_json(&trigger)?)),
        version: Set(1),
    };
    let key = [tick::Column::Tenant, tick::Column::Export];
    let also = OnConflict::columns(key)
        .update_column(tick::Column::Pending)
        .value(tick::Column::Version, Expr::col((tick::Entity, tick::Column::Version)).add(1))
        .to_owned();
    tick::Entity::insert(row).on_conflict(also).exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

/// Writes the next instant, unless somebody was there before.
async fn advance(transaction: &DatabaseTransaction, due: &DueTick, next: Option<i64>) -> Result<bool> {
    let advanced = tick::Entity::update_many()
        .col_expr(tick::Column::DueTime, Expr::value(next))
        .col_expr(tick::Column::Version, Expr::value(due.version + 1))
        .filter(tick::Column::Tenant.eq(due.tenant.as_str()))
        .filter(tick::Column::Export.eq(due.export.as_str()))
        .filter(tick::Column::DueTime.eq(due.due))
        .filter(tick::Column::Version.eq(due.version))
        .exec(transaction)
        .await
        .map_err(database)?;
    Ok(advanced.rows_affected == 1)
}

/// The tick of an export whose schedule is another one now, or that was made, or removed. What waits by the old schedule
/// waits no more.
pub(crate) async fn follow_export(
    transaction: &DatabaseTransaction,
    row: &export::Model,
    now: Timestamp,
) -> Result<()> {
    let schedule = if row.delete_time.is_some() { Schedule::Off } else { from_json("exports", &row.schedule)? };
    set(transaction, (&row.tenant, &row.id), next_own(&schedule, now.as_millis())?).await
}

/// The tick of a tenant's refresh, whose schedule is another one now.
pub(crate) async fn follow_refresh(
    transaction: &DatabaseTransaction,
    row: &refresh_schedule::Model,
    now: Timestamp,
) -> Result<Option<i64>> {
    let next = if row.active == 0 { None } else { next_refresh(row, now.as_millis())? };
    set(transaction, (&row.tenant, REFRESH), next).await?;
    Ok(next)
}

/// When a tenant's refresh is due.
pub(crate) async fn next_refresh_of(connection: &impl ConnectionTrait, tenant: &str) -> Result<Option<i64>> {
    due_time(connection, (tenant, REFRESH)).await
}

/// The key of the tick that an export runs by: its own, or the one of the refresh; none where it never runs by itself.
pub(crate) fn of_export(export: &Export) -> Option<(&str, &str)> {
    let own = match export.schedule {
        Schedule::Off => None,
        Schedule::WithRefresh => Some(REFRESH),
        Schedule::Own { .. } => Some(export.name.export.as_str()),
    };
    own.filter(|_| export.connection.is_some()).map(|own| (export.name.tenant.as_str(), own))
}

/// When a tick is due.
pub(crate) async fn due_time(connection: &impl ConnectionTrait, key: (&str, &str)) -> Result<Option<i64>> {
    Ok(find(connection, key).await?.and_then(|row| row.due_time))
}

async fn set(transaction: &DatabaseTransaction, (tenant, export): (&str, &str), next: Option<i64>) -> Result<()> {
    let found = find(transaction, (tenant, export)).await?;
    if found.is_none() && next.is_none() {
        return Ok(());
    }
    let row = tick::ActiveModel {
        tenant: Set(tenant.to_owned()),
        export: Set(export.to_owned()),
        due_time: Set(next),
        pending: Set(None),
        version: Set(found.map_or(1, |found| found.version + 1)),
    };
    let replace = OnConflict::columns([tick::Column::Tenant, tick::Column::Export])
        .update_columns([tick::Column::DueTime, tick::Column::Pending, tick::Column::Version])
        .to_owned();
    tick::Entity::insert(row).on_conflict(replace).exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

async fn find(connection: &impl ConnectionTrait, (tenant, export): (&str, &str)) -> Result<Option<tick::Model>> {
    let key = (tenant.to_owned(), export.to_owned());
    tick::Entity::find_by_id(key).one(connection).await.map_err(database)
}

/// When an export is due by a schedule of its own.
fn next_own(schedule: &Schedule, after: i64) -> Result<Option<i64>> {
    let Schedule::Own { cron, time_zone } = schedule else { return Ok(None) };
    let recurrence = Recurrence::parse(cron, time_zone).map_err(|error| corrupt("exports", error))?;
    Ok(recurrence.next_after(after))
}

fn next_refresh(row: &refresh_schedule::Model, after: i64) -> Result<Option<i64>> {
    Ok(crate::refresh_schedule::times_of(row)?.next_after(after))
}

fn export_name(row: &tick::Model) -> Result<ExportName> {
    let bad_id = |error| corrupt("ticks", error);
    Ok(ExportName {
        tenant: TenantId::parse(&row.tenant).map_err(bad_id)?,
        export: ExportId::parse(&row.export).map_err(bad_id)?,
    })
}

/// What a removed tenant had scheduled goes with it.
pub(crate) async fn purge(transaction: &DatabaseTransaction, tenant: &str) -> Result<()> {
    let ticks = tick::Entity::delete_many().filter(tick::Column::Tenant.eq(tenant));
    ticks.exec(transaction).await.map_err(database)?;
    refresh_schedule::Entity::delete_by_id(tenant).exec(transaction).await.map_err(database)?;
    refresh::purge(transaction, tenant).await
}
