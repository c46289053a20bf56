//! Runs that nobody asks for one by one: by a schedule, by a refresh, or all at once.

use crate::audit::{Changed, Fact};
use crate::entity::{connection, export};
use crate::error::{corrupt, database, from_json, to_json};
use crate::facts::{self, Told};
use crate::request::{self, Write};
use crate::run::{self as runs, NewRun};
use crate::{
    Store, connection as connections, connection_retraction as retraction, export as exports, run_change, run_claim,
    tenant as tenants,
};
use ferry_domain::authz::action::RunAllExports;
use ferry_domain::authz::{Action, Permit, Spent, Visibility};
use ferry_domain::{
    ConnectionAccess, Error, Result, Run, RunError, RunId, RunName, RunState, Schedule, TenantName, Timestamp, Trigger,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

/// A run that is to be queued, or that is skipped before it begins.
pub(crate) struct Unattended {
    pub(crate) id: RunId,
    pub(crate) trigger: Trigger,
    /// Who started it, or for whom it acts.
    pub(crate) started_by: String,
    /// Why it is not carried out.
    pub(crate) skipped: Option<RunError>,
}

/// Runs that were queued, and exports that were left out since a run of theirs goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuedRuns {
    /// In the order of their exports.
    pub runs: Vec<Run>,
    /// Names of exports.
    pub already_running: Vec<String>,
}

/// Queues a run of an export that has none going on. What its connection has against it is asked when it is claimed, so
/// that the cause stands on record.
pub(crate) async fn unattended(
    transaction: &DatabaseTransaction,
    (export, on): (&export::Model, &connection::Model),
    new: Unattended,
    now: Timestamp,
) -> Result<Told<crate::entity::run::Model>> {
    let Unattended { id, trigger, started_by, skipped } = new;
    let id_text = id.as_str().to_owned();
    let new = NewRun { id, trigger, full_resync: false, plan_of: None };
    let row = runs::new_row(&new, (export, on), started_by, now)?;
    let row = run_change::insert(transaction, row, now).await?;
    let mut facts = vec![facts::queued("RUN_QUEUED", &row)?];
    let row = match skipped {
        None => row,
        Some(error) => {
            let (row, fact) = run_claim::ended_as(transaction, row, (RunState::Skipped, error), now).await?;
            facts.push(fact);
            row
        }
    };
    // Not a change of the export's settings: its version, and so its etag, stays.
    let mut export = export.clone().into_active_model();
    export.latest_run = Set(Some(id_text));
    export::Entity::update(export).exec(transaction).await.map_err(database)?;
    Ok(Told { row, facts })
}

/// The tenant's exports that are there, in the order of their lists.
pub(crate) async fn exports_of(transaction: &DatabaseTransaction, tenant: &str) -> Result<Vec<export::Model>> {
    export::Entity::find()
        .filter(export::Column::Tenant.eq(tenant))
        .filter(export::Column::DeleteTime.is_null())
        .filter(export::Column::Connection.is_not_null())
        .order_by_asc(export::Column::CreateTime)
        .order_by_asc(export::Column::Id)
        .all(transaction)
        .await
        .map_err(database)
}

/// The connection of an export, unless it is detached or being removed.
pub(crate) async fn usable(
    transaction: &DatabaseTransaction,
    row: &export::Model,
) -> Result<Option<connection::Model>> {
    let export = exports::to_domain(row.clone())?;
    if export.connection.is_none() {
        return Ok(None);
    }
    let on = exports::attached(transaction, &export).await?;
    match retraction::must_stay(transaction, &on).await {
        Ok(()) => Ok(Some(on)),
        Err(Error::FailedPrecondition { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs by their names, as they are now.
pub(crate) async fn named(connection: &impl sea_orm::ConnectionTrait, names: &[String]) -> Result<Vec<Run>> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let name = RunName::parse(name).map_err(|error| corrupt("runs", error))?;
        found.push(runs::to_domain(runs::load(connection, &name).await?)?);
    }
    Ok(found)
}

impl Store {
    /// Queues a run of each attached export whose schedule is not off and that the caller may run: all of an
    /// administrator's, those on shared connections of a contributor's.
    pub fn run_all(
        &self,
        permit: Permit<RunAllExports>,
        new_run: fn() -> Result<RunId>,
        write: Write,
    ) -> impl Future<Output = Result<QueuedRuns>> + Send + use<> {
        let Spent { target, visibility, act, .. } = permit.spend();
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(all(transaction, target, (by, visibility), new_run, write))
                })
                .await
        }
    }
}

async fn all(
    transaction: &DatabaseTransaction,
    target: TenantName,
    (by, visibility): (String, Visibility),
    new_run: fn() -> Result<RunId>,
    write: Write,
) -> Result<Changed<QueuedRuns>> {
    let tenant = target.tenant.as_str();
    if let Some(first) = request::earlier(transaction, tenant, RunAllExports::METHOD, &write).await? {
        let (names, already_running): (Vec<String>, Vec<String>) = from_json("request_ids", &first)?;
        return Ok(Changed::nothing(QueuedRuns { runs: named(transaction, &names).await?, already_running }));
    }
    tenants::must_exist(transaction, &target.tenant).await?;
    let (mut queued, mut facts) = (QueuedRuns::default(), Vec::new());
    for row in exports_of(transaction, tenant).await? {
        let schedule: Schedule = from_json("exports", &row.schedule)?;
        let Some(on) = usable(transaction, &row).await?.filter(|_| schedule != Schedule::Off) else { continue };
        let shared = connections::access_of(&on)? == ConnectionAccess::AdministratorsAndContributors;
        if !(visibility == Visibility::All || (visibility == Visibility::SharedOnly && shared)) {
            continue;
        }
        let name = exports::to_domain(row.clone())?.name;
        if runs::live_run(transaction, &name).await?.is_some() {
            queued.already_running.push(name.to_string());
            continue;
        }
        let new = Unattended { id: new_run()?, trigger: Trigger::OnDemand, started_by: by.clone(), skipped: None };
        let told = unattended(transaction, (&row, &on), new, write.now).await?;
        facts.extend(told.facts);
        queued.runs.push(runs::to_domain(told.row)?);
    }
    let names: Vec<String> = queued.runs.iter().map(|run| run.name.to_string()).collect();
    let answer = to_json(&(&names, &queued.already_running))?;
    request::note(transaction, tenant, RunAllExports::METHOD, &write, &answer).await?;
    let fact = Fact::new("EXPORTS_RUN", tenant, &target)
        .with("runs", queued.runs.len())
        .with("already_running", queued.already_running.len());
    Ok(Changed::with(queued, fact, facts))
}
