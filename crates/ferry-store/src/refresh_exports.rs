//! The end of a refresh: the exports that go with it are run, some in each transaction, or skipped with the cause.
//! `through` says how far they have come; whoever comes after a crash, or comes second, goes on from there.

use crate::audit::{self, Who};
use crate::entity::{export, refresh, segment_count};
use crate::error::{corrupt, database, from_json, to_json};
use crate::refresh::{OpenRefresh, not_found};
use crate::run_queue::{self, QueuedRuns, Unattended};
use crate::{Store, export as exports, run as runs, tenant as tenants, tick};
use ferry_domain::{
    Culprit, Reason, Result, RunError, RunId, Schedule, SegmentId, Severity, TenantId, Timestamp, Trigger,
};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Exports that are run in one transaction, so that no other tenant waits for them.
const EXPORTS_AT_ONCE: u64 = 20;

/// What came of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// So many members.
    Counted(u64),
    /// It failed, or cannot be counted.
    Failed(String),
    /// It is switched off.
    Inactive,
}

/// What came of the segments of a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// By segment.
    pub of: BTreeMap<SegmentId, Refreshed>,
    /// Of every other segment; nothing if the refresh is not about any other.
    pub all_else: Option<Refreshed>,
}

impl Counted {
    fn get(&self, id: &SegmentId) -> Option<&Refreshed> {
        self.of.get(id).or(self.all_else.as_ref())
    }
}

impl Store {
    /// Runs the exports that go with a refresh, or skips them, and ends it. Whoever comes second gets what the first
    /// has done.
    pub async fn refresh_finish(
        &self,
        open: &OpenRefresh,
        counted: Counted,
        new_run: fn() -> Result<RunId>,
        now: Timestamp,
    ) -> Result<QueuedRuns> {
        let counted = Arc::new(counted);
        loop {
            let (id, counted) = (open.id.clone(), Arc::clone(&counted));
            let step = self.run_and_wake(move |transaction| {
                Box::pin(async move { some(transaction, &id, &counted, new_run, now).await })
            });
            let row = step.await?;
            ferry_domain::failpoint!("refresh-some");
            if row.end_time.is_some() {
                let names: Vec<String> = from_json("refreshes", &row.runs)?;
                let already_running = from_json("refreshes", &row.already_running)?;
                return Ok(QueuedRuns { runs: run_queue::named(&self.readers, &names).await?, already_running });
            }
        }
    }
}

/// Runs some of the exports that are left, or ends the refresh.
async fn some(
    transaction: &DatabaseTransaction,
    id: &str,
    counted: &Counted,
    new_run: fn() -> Result<RunId>,
    now: Timestamp,
) -> Result<refresh::Model> {
    let found = refresh::Entity::find_by_id(id).lock_exclusive().one(transaction).await.map_err(database)?;
    let found = found.ok_or_else(|| not_found(id))?;
    let tenant = TenantId::parse(&found.tenant).map_err(|error| corrupt("refreshes", error))?;
    let alive = tenants::find(transaction, &tenant).await?.is_some();
    if found.end_time.is_some() {
        return Ok(found);
    }
    let exports = if alive { left(transaction, &found).await? } else { Vec::new() };
    let mut runs: Vec<String> = from_json("refreshes", &found.runs)?;
    let mut busy: Vec<String> = from_json("refreshes", &found.already_running)?;
    let mut row = found.clone().into_active_model();
    for export in &exports {
        match one(transaction, &found, export, counted, new_run, now).await? {
            Came::Ran(name) => runs.push(name),
            Came::Busy(name) => busy.push(name),
            Came::Nothing => {}
        }
        row.through = Set(Some(to_json(&(export.create_time, &export.id))?));
    }
    row.runs = Set(to_json(&runs)?);
    row.already_running = Set(to_json(&busy)?);
    if (exports.len() as u64) < EXPORTS_AT_ONCE {
        if alive {
            note_counts(transaction, &found.tenant, counted, now).await?;
        }
        row.end_time = Set(Some(now.as_millis()));
    }
    refresh::Entity::update(row).exec(transaction).await.map_err(database)
}

/// The next exports, in the order of their lists.
async fn left(transaction: &DatabaseTransaction, of: &refresh::Model) -> Result<Vec<export::Model>> {
    let mut query = export::Entity::find()
        .filter(export::Column::Tenant.eq(of.tenant.as_str()))
        .filter(export::Column::DeleteTime.is_null());
    if let Some(through) = &of.through {
        let (time, id): (i64, String) = from_json("refreshes", through)?;
        let same = export::Column::CreateTime.eq(time).and(export::Column::Id.gt(id));
        query = query.filter(Condition::any().add(export::Column::CreateTime.gt(time)).add(same));
    }
    let query = query.order_by_asc(export::Column::CreateTime).order_by_asc(export::Column::Id);
    query.limit(EXPORTS_AT_ONCE).all(transaction).await.map_err(database)
}

enum Came {
    Ran(String),
    Busy(String),
    Nothing,
}

/// What a refresh means for one export. Skipped is only whose segment failed or is switched off.
async fn one(
    transaction: &DatabaseTransaction,
    of: &refresh::Model,
    row: &export::Model,
    counted: &Counted,
    new_run: fn() -> Result<RunId>,
    now: Timestamp,
) -> Result<Came> {
    let export = exports::to_domain(row.clone())?;
    let concerned = export.segments.iter().any(|id| counted.get(id).is_some());
    if export.schedule != Schedule::WithRefresh || !concerned {
        return Ok(Came::Nothing);
    }
    let Some(on) = run_queue::usable(transaction, row).await? else { return Ok(Came::Nothing) };
    if runs::live_run(transaction, &export.name).await?.is_some() {
        if of.asked_by.is_empty() {
            tick::wait(transaction, (&row.tenant, &row.id), Trigger::Refresh).await?;
        }
        return Ok(Came::Busy(export.name.to_string()));
    }
    let skipped = export.segments.iter().find_map(|id| why_skipped(id, counted.get(id)?));
    let started_by = if of.asked_by.is_empty() { on.run_as.clone() } else { of.asked_by.clone() };
    let new = Unattended { id: new_run()?, trigger: Trigger::Refresh, started_by, skipped };
    let told = run_queue::unattended(transaction, (row, &on), new, now).await?;
    for fact in told.facts {
        audit::append(transaction, &Who::ferry(), fact, now).await?;
    }
    Ok(Came::Ran(runs::to_domain(told.row)?.name.to_string()))
}

fn why_skipped(id: &SegmentId, came: &Refreshed) -> Option<RunError> {
    let (reason, message) = match came {
        Refreshed::Counted(_) => return None,
        Refreshed::Failed(cause) if cause.is_empty() => {
            (Reason::SegmentFailed, format!("the refresh of segment `{id}` failed"))
        }
        Refreshed::Failed(cause) => (Reason::SegmentFailed, format!("the refresh of segment `{id}` failed: {cause}")),
        Refreshed::Inactive => {
            (Reason::SegmentInactive, format!("segment `{id}` is inactive; activate it or take it out of the export"))
        }
    };
    Some(RunError { reason, message, severity: Severity::Temporary, culprit: Culprit::User })
}

async fn note_counts(transaction: &DatabaseTransaction, tenant: &str, counted: &Counted, now: Timestamp) -> Result<()> {
    for (id, came) in &counted.of {
        let Refreshed::Counted(members) = came else { continue };
        let row = segment_count::ActiveModel {
            tenant: Set(tenant.to_owned()),
            segment: Set(id.as_str().to_owned()),
            members: Set(i64::try_from(*members).unwrap_or(i64::MAX)),
            time: Set(now.as_millis()),
        };
        let replace = OnConflict::columns([segment_count::Column::Tenant, segment_count::Column::Segment])
            .update_columns([segment_count::Column::Members, segment_count::Column::Time])
            .to_owned();
        let insert = segment_count::Entity::insert(row).on_conflict(replace);
        insert.exec_without_returning(transaction).await.map_err(database)?;
    }
    Ok(())
}
