//! Runs, as the control plane sees them.

use crate::audit::Changed;
use crate::entity::{connection, export, run};
use crate::error::{corrupt, database, from_json, to_json};
use crate::facts::{self, Cause, Told};
use crate::page::{Cursor, Listed, Page};
use crate::request::{self, Write};
use crate::{
    Store, attention, connection as connections, connection_removal, connection_retraction, export as exports,
    run_change, run_hold, standing, tenant as tenants,
};
use ferry_domain::authz::action::{CancelRun, GetRun, ListRejectedProfiles, ListRuns, PlanExport, RunExport};
use ferry_domain::authz::{Act, Action, ExportTarget, Permit, Spent};
use ferry_domain::name::RunParent;
use ferry_domain::{
    ConnectionAccess, ConnectionId, ConnectionName, Counts, Error, ExportName, Reason, Result, Run, RunError, RunId,
    RunName, RunState, Timestamp, Trigger,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::time::Duration;

/// A run that is to be queued.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id, ordered by time.
    pub id: RunId,
    /// What starts it.
    pub trigger: Trigger,
    /// As if nothing were known of the destination.
    pub full_resync: bool,
    /// The dry run whose plan it carries out, if it does not make its own. A plan that no longer stands is refused.
    pub plan_of: Option<AskedPlan>,
}

/// The plan of a dry run that is to be carried out.
#[derive(Debug, Clone)]
pub struct AskedPlan {
    /// The dry run.
    pub run: RunId,
    /// What the source of each segment of the export is now, in order; nothing where that cannot be told.
    pub fingerprints: Vec<(String, Option<[u8; 32]>)>,
}

/// What it takes to find a run's sealed files.
#[derive(Debug, Clone)]
pub struct RunFiles {
    /// The run.
    pub run: Run,
    /// The uid of the connection it used, which the files' key is bound to; nothing if that is gone.
    pub connection_uid: Option<String>,
}

/// Whether a run sends what it plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Export,
    Plan,
}

impl Store {
    /// Queues a run. One at a time for an export.
    pub fn run_create(
        &self,
        permit: Permit<RunExport>,
        new: NewRun,
        write: Write,
    ) -> impl Future<Output = Result<Run>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        self.queue(target, act, new, write, (RunExport::METHOD, Kind::Export))
    }

    /// Queues a run that ends once planned.
    pub fn run_create_plan(
        &self,
        permit: Permit<PlanExport>,
        new: NewRun,
        write: Write,
    ) -> impl Future<Output = Result<Run>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        self.queue(target, act, new, write, (PlanExport::METHOD, Kind::Plan))
    }

    fn queue(
        &self,
        target: ExportTarget,
        act: Act,
        new: NewRun,
        write: Write,
        how: (&'static str, Kind),
    ) -> impl Future<Output = Result<Run>> + Send + use<> {
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            ferry_domain::failpoint!("run-asked");
            let queued = store
                .change(act, write.now, move |transaction| Box::pin(create(transaction, target, by, new, write, how)));
            let run = queued.await;
            ferry_domain::failpoint!("run-queued");
            run
        }
    }

    /// Reads a run.
    pub fn run_get(&self, permit: Permit<GetRun>) -> impl Future<Output = Result<Run>> + Send + use<> {
        let name = permit.spend().target;
        let readers = self.readers.clone();
        async move { to_domain(load(&readers, &name).await?) }
    }

    /// Who may use the connection of a run's export.
    pub fn run_access(&self, permit: Permit<GetRun>) -> impl Future<Output = Result<ConnectionAccess>> + Send + use<> {
        let name = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let run = to_domain(load(&readers, &name).await?)?;
            let on = ConnectionName { tenant: name.tenant, connection: run.connection.clone() };
            match used(&readers, &run, &on).await? {
                Some(row) => connections::access_of(&row),
                None => Ok(ConnectionAccess::Administrators),
            }
        }
    }

    /// Reads runs, the newest first.
    pub fn run_list(
        &self,
        permit: Permit<ListRuns>,
        page: Page,
    ) -> impl Future<Output = Result<Listed<Run>>> + Send + use<> {
        let parent = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let mut query = run::Entity::find().filter(run::Column::Tenant.eq(parent.tenant().as_str()));
            if let RunParent::Export(export) = &parent {
                exports::load(&readers, export).await?;
                query = query.filter(run::Column::Export.eq(export.export.as_str()));
            }
            if let Some(after) = page.cursor()? {
                query = query.filter(after.before(run::Column::CreateTime, run::Column::Id));
            }
            let query = query.order_by_desc(run::Column::CreateTime).order_by_desc(run::Column::Id);
            let rows = query.limit(page.limit()).all(&readers).await.map_err(database)?;
            let items = rows.into_iter().map(to_domain).collect::<Result<Vec<_>>>()?;
            Ok(page.cut(items, |run| Cursor { time: run.create_time, id: run.id().as_str().to_owned() }))
        }
    }

    /// Stops a run: at once if it has not begun, else before its next request.
    pub fn run_cancel(
        &self,
        permit: Permit<CancelRun>,
        write: Write,
    ) -> impl Future<Output = Result<Run>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(async move {
                        let row = load(transaction, &target.name).await?;
                        let Told { row, facts } = ask_to_stop(transaction, row, Cause::Cancelled, write.now).await?;
                        let mut facts = facts.into_iter();
                        match facts.next() {
                            Some(asked) => Ok(Changed::with(to_domain(row)?, asked, facts)),
                            // It was asked before.
                            None => Ok(Changed::nothing(to_domain(row)?)),
                        }
                    })
                })
                .await
        }
    }

    /// Reads what it takes to find a run's sealed files.
    pub fn run_files(
        &self,
        permit: Permit<ListRejectedProfiles>,
    ) -> impl Future<Output = Result<RunFiles>> + Send + use<> {
        let name = permit.spend().target.name;
        let readers = self.readers.clone();
        async move {
            let run = to_domain(load(&readers, &name).await?)?;
            let on = ConnectionName { tenant: name.tenant, connection: run.connection.clone() };
            let connection_uid = used(&readers, &run, &on).await?.map(|row| row.uid);
            Ok(RunFiles { run, connection_uid })
        }
    }
}

/// The connection that a run used; nothing if that was removed, whoever has its id by now.
async fn used(readers: &impl ConnectionTrait, run: &Run, on: &ConnectionName) -> Result<Option<connection::Model>> {
    if connection_removal::removed_since(readers, on, run.create_time).await? {
        return Ok(None);
    }
    connections::find(readers, on).await
}

async fn create(
    transaction: &DatabaseTransaction,
    target: ExportTarget,
    by: String,
    new: NewRun,
    write: Write,
    (method, kind): (&'static str, Kind),
) -> Result<Changed<Run>> {
    let tenant = target.name.tenant.as_str().to_owned();
    if let Some(first) = request::earlier(transaction, &tenant, method, &write).await? {
        let first = RunName::parse(&first).map_err(|error| corrupt("request_ids", error))?;
        return Ok(Changed::nothing(to_domain(load(transaction, &first).await?)?));
    }
    tenants::must_exist(transaction, &target.name.tenant).await?;
    let export_row = exports::unchanged(transaction, &target, None).await?;
    let export = exports::to_domain(export_row.clone())?;
    let connection = exports::attached(transaction, &export).await?;
    connection_retraction::must_stay(transaction, &connection).await?;
    // What starts by itself is skipped when it is claimed instead, so that the cause stands on record.
    if kind == Kind::Export && new.trigger == Trigger::OnDemand {
        attention::must_be_ready(&connection)?;
    }
    if kind == Kind::Export
        && let Some(live) = live_run(transaction, &target.name).await?
    {
        let name = to_domain(live)?.name.to_string();
        return Err(Error::AlreadyExists { reason: Reason::RunInProgress, kind: "run", name });
    }
    if let Some(asked) = &new.plan_of {
        let mut moved = standing::moved(transaction, (&export, &connection), &asked.run, write.now).await?;
        moved.extend(standing::changed_segments(transaction, asked).await?);
        if !moved.is_empty() {
            return Err(standing::expired(&target.name, &asked.run, &moved));
        }
    }
    let mut row = new_row(&new, (&export_row, &connection), by, write.now)?;
    row.dry_run = Set(kind == Kind::Plan);
    let row = run_change::insert(transaction, row, write.now).await?;
    if kind == Kind::Export {
        // Not a change of the export's settings: its version, and so its etag, stays.
        let mut export_row = export_row.into_active_model();
        export_row.latest_run = Set(Some(new.id.as_str().to_owned()));
        export::Entity::update(export_row).exec(transaction).await.map_err(database)?;
    }
    let name = RunName { tenant: target.name.tenant, export: target.name.export, run: new.id };
    request::note(transaction, &tenant, method, &write, &name.to_string()).await?;
    let fact = facts::queued(if kind == Kind::Plan { "RUN_PLAN_QUEUED" } else { "RUN_QUEUED" }, &row)?;
    Ok(Changed::one(to_domain(row)?, fact))
}

pub(crate) fn new_row(
    new: &NewRun,
    (export, on): (&export::Model, &connection::Model),
    by: String,
    now: Timestamp,
) -> Result<run::ActiveModel> {
    Ok(run::ActiveModel {
        id: Set(new.id.as_str().to_owned()),
        tenant: Set(export.tenant.clone()),
        export: Set(export.id.clone()),
        connection: Set(on.id.clone()),
        state: Set(RunState::Queued.as_str().to_owned()),
        phase: Set(None),
        trigger: Set(to_json(&new.trigger)?),
        started_by: Set(by),
        counts: Set(to_json(&Counts::default())?),
        batches_total: Set(0),
        batches_settled: Set(0),
        dry_run: Set(false),
        full_resync: Set(new.full_resync),
        warnings: Set("[]".to_owned()),
        error: Set(None),
        estimated_end_time: Set(None),
        create_time: Set(now.as_millis()),
        start_time: Set(None),
        end_time: Set(None),
        version: Set(1),
        owner: Set(None),
        epoch: Set(0),
        plan_of: Set(new.plan_of.as_ref().map(|asked| asked.run.as_str().to_owned())),
        plan_summary: Set(None),
        approval: Set(None),
        wait_time: Set(None),
        waited_ms: Set(0),
        pause_reason: Set(None),
        resume_time: Set(None),
        entries: Set(0),
        entries_head: Set(None),
        entries_anchored: Set(0),
        erasure: Set(None),
        list: Set(None),
    })
}

/// A run that takes people off a list and reads no segment.
pub(crate) struct NewTakingOff {
    pub(crate) id: RunId,
    /// `Retraction` for all whom the export put there, `Erasure` for one.
    pub(crate) trigger: Trigger,
    /// The list, which need not be the one that the export is for by now.
    pub(crate) list: u32,
    /// The erasure that it is for.
    pub(crate) erasure: Option<String>,
}

/// Queues such a run. It is carried out once no older run of the export goes on, and is not the export's latest run.
pub(crate) async fn queue_taking_off(
    transaction: &DatabaseTransaction,
    of: (&export::Model, &connection::Model),
    NewTakingOff { id, trigger, list, erasure }: NewTakingOff,
    by: String,
    now: Timestamp,
) -> Result<Told<run::Model>> {
    let new = NewRun { id, trigger, full_resync: false, plan_of: None };
    let row = new_row(&new, of, by, now)?;
    let row = run::ActiveModel { erasure: Set(erasure), list: Set(Some(i64::from(list))), ..row };
    let row = run_change::insert(transaction, row, now).await?;
    let fact = facts::queued("RUN_QUEUED", &row)?;
    Ok(Told { row, facts: vec![fact] })
}

/// Moves a run that is not over towards CANCELLED. There is nothing to tell of one that was asked before.
pub(crate) async fn ask_to_stop(
    transaction: &DatabaseTransaction,
    row: run::Model,
    cause: Cause,
    now: Timestamp,
) -> Result<Told<run::Model>> {
    match read_state(&row)? {
        RunState::Queued | RunState::Processing | RunState::Paused | RunState::AwaitingApproval => {
            stop(transaction, row, (cause, None), now).await
        }
        RunState::Cancelling | RunState::Cancelled => Ok(Told { row, facts: Vec::new() }),
        state @ (RunState::Succeeded | RunState::Failed | RunState::Skipped | RunState::TimedOut) => {
            let name = to_domain(row)?.name.to_string();
            let message = format!("`{name}` has ended as {}; only a run that goes on can be cancelled", state.as_str());
            Err(Error::precondition(Reason::RunNotCancellable, "RUN_STATE", name, message))
        }
    }
}

/// Stops a run that is not over: at once if nobody carries it and nothing of it was sent, else by way of its worker, who
/// settles what was sent. `why` is nothing where a person asked for it.
pub(crate) async fn stop(
    transaction: &DatabaseTransaction,
    row: run::Model,
    (cause, why): (Cause, Option<RunError>),
    now: Timestamp,
) -> Result<Told<run::Model>> {
    let at_once = match read_state(&row)? {
        RunState::Queued | RunState::AwaitingApproval => true,
        RunState::Paused => !run_hold::has_sent(transaction, &row).await?,
        _ => false,
    };
    let (found, mut row) = (row.clone(), row.into_active_model());
    run_hold::waits_no_longer(&mut row, &found, now);
    change_state(&mut row, if at_once { RunState::Cancelled } else { RunState::Cancelling });
    row.error = Set(why.as_ref().map(to_json).transpose()?);
    row.end_time = Set(at_once.then_some(now.as_millis()));
    row.phase = if at_once { Set(None) } else { row.phase };
    row.version = Set(found.version + 1);
    if at_once {
        facts::anchored(&mut row, &found);
    }
    let row = run_change::update(transaction, &found, row, now).await?;
    let facts = facts::stopped(cause, &found, &row)?;
    Ok(Told { row, facts })
}

/// The runs on a connection that are in one of these states.
pub(crate) async fn on_connection(
    connection: &impl ConnectionTrait,
    (tenant, id): (&str, &str),
    states: &[RunState],
) -> Result<Vec<run::Model>> {
    run::Entity::find()
        .filter(run::Column::Tenant.eq(tenant))
        .filter(run::Column::Connection.eq(id))
        .filter(run::Column::State.is_in(states.iter().map(|state| state.as_str())))
        .all(connection)
        .await
        .map_err(database)
}

/// The run of an export that is not over, dry runs aside.
pub(crate) async fn live_run(connection: &impl ConnectionTrait, export: &ExportName) -> Result<Option<run::Model>> {
    run::Entity::find()
        .filter(run::Column::Tenant.eq(export.tenant.as_str()))
        .filter(run::Column::Export.eq(export.export.as_str()))
        .filter(run::Column::DryRun.eq(false))
        // An index holds these alone.
        .filter(run::Column::EndTime.is_null())
        .filter(run::Column::State.is_in(exports::live_states()))
        .one(connection)
        .await
        .map_err(database)
}

pub(crate) async fn load(connection: &impl ConnectionTrait, name: &RunName) -> Result<run::Model> {
    let row = run::Entity::find_by_id(name.run.as_str()).one(connection).await.map_err(database)?;
    let fits = |row: &run::Model| row.tenant == name.tenant.as_str() && row.export == name.export.as_str();
    row.filter(fits).ok_or_else(|| Error::NotFound { kind: "run", name: name.to_string() })
}

pub(crate) fn read_state(row: &run::Model) -> Result<RunState> {
    RunState::parse(&row.state).ok_or_else(|| corrupt("runs", format!("state `{}`", row.state)))
}

/// Says what comes next. Whether it may is asked where the row is written ([`run_change::update`]).
pub(crate) fn change_state(row: &mut run::ActiveModel, next: RunState) {
    row.state = Set(next.as_str().to_owned());
}

pub(crate) fn trigger_of(row: &run::Model) -> Result<Trigger> {
    from_json("runs", &row.trigger)
}

pub(crate) fn to_domain(row: run::Model) -> Result<Run> {
    let state = read_state(&row)?;
    let export = connections::export_name(&row.tenant, &row.export)?;
    let count = |number: i64| u64::try_from(number).map_err(|error| corrupt("runs", error));
    let pause_reason = run_hold::pause_reason(&row)?;
    let (approval, waited) = (run_hold::approval(&row, state)?, Duration::from_millis(count(row.waited_ms)?));
    let bad_id = |error| corrupt("runs", error);
    Ok(Run {
        name: RunName { tenant: export.tenant, export: export.export, run: RunId::parse(&row.id).map_err(bad_id)? },
        state,
        phase: row.phase.as_deref().map(|phase| from_json("runs", phase)).transpose()?,
        trigger: trigger_of(&row)?,
        started_by: row.started_by,
        connection: ConnectionId::parse(&row.connection).map_err(bad_id)?,
        counts: from_json("runs", &row.counts)?,
        batches_total: count(row.batches_total)?,
        batches_settled: count(row.batches_settled)?,
        dry_run: row.dry_run,
        plan_summary: row.plan_summary.as_deref().map(|summary| from_json("runs", summary)).transpose()?,
        plan_of: row.plan_of.as_deref().map(RunId::parse).transpose().map_err(bad_id)?,
        approval,
        pause_reason,
        resume_time: row.resume_time.map(Timestamp::from_millis),
        waited,
        warnings: from_json("runs", &row.warnings)?,
        error: row.error.as_deref().map(|error| from_json("runs", error)).transpose()?,
        estimated_end_time: row.estimated_end_time.map(Timestamp::from_millis),
        create_time: Timestamp::from_millis(row.create_time),
        start_time: row.start_time.map(Timestamp::from_millis),
        end_time: row.end_time.map(Timestamp::from_millis),
        version: row.version,
    })
}
