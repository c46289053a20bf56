//! What is done to one export or to many, all or none: another schedule, another connection, none.

use crate::audit::{Changed, Fact};
use crate::entity::{connection, export, export_state};
use crate::error::{corrupt, database, from_json, to_json};
use crate::request::{self, Write};
use crate::{
    Store, connection as connections, connection_retraction as retraction, export as exports, facts, run as runs,
    tenant as tenants, tick,
};
use ferry_domain::authz::action::{
    AttachExport, BatchAttachExports, BatchDetachExports, BatchUpdateSchedules, DetachExport, DuplicateExport,
};
use ferry_domain::authz::{Act, Action, ExportTarget, Permit, Spent};
use ferry_domain::{
    ConnectionAccess, ConnectionId, ConnectionName, Error, Export, ExportId, ExportName, ExportSettings, Reason,
    Result, Schedule, Timestamp,
};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter};

/// What becomes of the schedules of several exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSchedules {
    /// Each is switched off.
    Off,
    /// Each that is off gets the schedule back that it had when it was switched off.
    On,
    /// All get the same one.
    All(Schedule),
}

/// The connection that exports are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachTo {
    /// Which.
    pub connection: ConnectionId,
    /// Who may use it, as read: if that has changed, the write loses as ABORTED.
    pub access: ConnectionAccess,
}

/// A copy that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCopy {
    /// Its id.
    pub id: ExportId,
    /// Its uid.
    pub uid: String,
    /// For people; the original's if nothing.
    pub display_name: Option<String>,
}

enum Change {
    Schedules(NewSchedules),
    Attach(AttachTo),
    Detach,
}

struct Many {
    targets: Vec<ExportTarget>,
    acts: Vec<Act>,
    /// Who changes them.
    by: String,
    /// The version that the caller has seen, where one is named.
    seen: Option<i64>,
    method: &'static str,
    change: Change,
}

impl Many {
    fn of<A: Action<Target = ExportTarget>>(permits: Vec<Permit<A>>, seen: Option<i64>, change: Change) -> Self {
        let spent = |permit: Permit<A>| {
            let Spent { target, act, .. } = permit.spend();
            (target, act)
        };
        let (targets, acts): (_, Vec<Act>) = permits.into_iter().map(spent).unzip();
        let by = acts.first().map(|act| act.subject.clone()).unwrap_or_default();
        Self { targets, acts, by, seen, method: A::METHOD, change }
    }
}

impl Store {
    /// Changes the schedules of exports.
    pub fn exports_reschedule(
        &self,
        permits: Vec<Permit<BatchUpdateSchedules>>,
        schedules: NewSchedules,
        write: Write,
    ) -> impl Future<Output = Result<Vec<Export>>> + Send + use<> {
        self.many(Many::of(permits, None, Change::Schedules(schedules)), write)
    }

    /// Gives exports a connection.
    pub fn exports_attach(
        &self,
        permits: Vec<Permit<BatchAttachExports>>,
        to: AttachTo,
        write: Write,
    ) -> impl Future<Output = Result<Vec<Export>>> + Send + use<> {
        self.many(Many::of(permits, None, Change::Attach(to)), write)
    }

    /// Takes their connection from exports.
    pub fn exports_detach(
        &self,
        permits: Vec<Permit<BatchDetachExports>>,
        write: Write,
    ) -> impl Future<Output = Result<Vec<Export>>> + Send + use<> {
        self.many(Many::of(permits, None, Change::Detach), write)
    }

    /// Gives an export a connection.
    pub fn export_attach(
        &self,
        permit: Permit<AttachExport>,
        to: AttachTo,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<Vec<Export>>> + Send + use<> {
        self.many(Many::of(vec![permit], seen, Change::Attach(to)), write)
    }

    /// Takes its connection from an export.
    pub fn export_detach(
        &self,
        permit: Permit<DetachExport>,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<Vec<Export>>> + Send + use<> {
        self.many(Many::of(vec![permit], seen, Change::Detach), write)
    }

    fn many(&self, mut many: Many, write: Write) -> impl Future<Output = Result<Vec<Export>>> + Send + use<> {
        let store = self.clone();
        async move {
            let acts = std::mem::take(&mut many.acts);
            store.change_each(acts, write.now, move |transaction| Box::pin(change_all(transaction, many, write))).await
        }
    }

    /// Copies an export: the same settings, no runs, its schedule off.
    pub fn export_duplicate(
        &self,
        permit: Permit<DuplicateExport>,
        new: NewCopy,
        write: Write,
    ) -> impl Future<Output = Result<Export>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            store
                .change(act, write.now, move |transaction| {
                    Box::pin(async move { copy(transaction, target, by, new, write).await })
                })
                .await
        }
    }
}

async fn change_all(transaction: &DatabaseTransaction, many: Many, write: Write) -> Result<Vec<Changed<Export>>> {
    let Many { targets, by, seen, method, change, .. } = many;
    let Some(tenant) = targets.first().map(|target| target.name.tenant.clone()) else { return Ok(Vec::new()) };
    tenants::must_exist(transaction, &tenant).await?;
    if request::earlier(transaction, tenant.as_str(), method, &write).await?.is_some() {
        return as_they_are(transaction, &targets).await;
    }
    let mut changes = Vec::with_capacity(targets.len());
    for target in targets {
        let found = exports::unchanged(transaction, &target, seen).await?;
        let done = match &change {
            Change::Schedules(schedules) => reschedule(transaction, &found, schedules, &by, write.now).await?,
            Change::Attach(to) => attach(transaction, (&target, &found), to, &by, write.now).await?,
            Change::Detach => detach(transaction, (&target, &found), &by, write.now).await?,
        };
        changes.push(match done {
            Some((row, fact)) => Changed::one(exports::to_domain(row)?, fact),
            None => Changed::nothing(exports::to_domain(found)?),
        });
    }
    request::note(transaction, tenant.as_str(), method, &write, tenant.as_str()).await?;
    Ok(changes)
}

/// What a repeat gets.
async fn as_they_are(transaction: &DatabaseTransaction, targets: &[ExportTarget]) -> Result<Vec<Changed<Export>>> {
    let mut found = Vec::with_capacity(targets.len());
    for target in targets {
        found.push(Changed::nothing(exports::to_domain(exports::load(transaction, &target.name).await?)?));
    }
    Ok(found)
}

/// What is done, and what goes on record of it; nothing where it is so already.
type Done = Option<(export::Model, Fact)>;

/// A row that somebody changes.
fn touched(found: &export::Model, by: &str, now: Timestamp) -> export::ActiveModel {
    let mut row = found.clone().into_active_model();
    row.updated_by = Set(by.to_owned());
    row.version = Set(found.version + 1);
    row.update_time = Set(now.as_millis());
    row
}

async fn reschedule(
    transaction: &DatabaseTransaction,
    found: &export::Model,
    schedules: &NewSchedules,
    by: &str,
    now: Timestamp,
) -> Result<Done> {
    let is: Schedule = from_json("exports", &found.schedule)?;
    let next = match schedules {
        NewSchedules::All(schedule) => schedule.clone(),
        NewSchedules::Off => Schedule::Off,
        NewSchedules::On if is != Schedule::Off => return Ok(None),
        NewSchedules::On => {
            let before = found.schedule_before.as_deref().map(|text| from_json("exports", text)).transpose()?;
            before.unwrap_or_default()
        }
    };
    if next == is {
        return Ok(None);
    }
    let mut row = touched(found, by, now);
    set_schedule(&mut row, found, &next)?;
    let row = export::Entity::update(row).exec(transaction).await.map_err(database)?;
    tick::follow_export(transaction, &row, now).await?;
    let fact = facts::of_export("EXPORT_UPDATED", Some(found), &row)?.with("fields", "schedule");
    Ok(Some((row, fact)))
}

/// Another schedule. The one that is switched off is remembered.
pub(crate) fn set_schedule(row: &mut export::ActiveModel, found: &export::Model, next: &Schedule) -> Result<()> {
    let is: Schedule = from_json("exports", &found.schedule)?;
    match next {
        Schedule::Off if is == Schedule::Off => {}
        Schedule::Off => row.schedule_before = Set(Some(found.schedule.clone())),
        Schedule::WithRefresh | Schedule::Own { .. } => row.schedule_before = Set(None),
    }
    row.schedule = Set(to_json(next)?);
    Ok(())
}

async fn attach(
    transaction: &DatabaseTransaction,
    (target, found): (&ExportTarget, &export::Model),
    to: &AttachTo,
    by: &str,
    now: Timestamp,
) -> Result<Done> {
    let name = ConnectionName { tenant: target.name.tenant.clone(), connection: to.connection.clone() };
    let on = connections::load(transaction, &name).await?;
    if connections::access_of(&on)? != to.access {
        return Err(Error::Aborted { name: name.to_string() });
    }
    retraction::must_stay(transaction, &on).await?;
    let ExportSettings::Activecampaign { .. } = from_json("exports", &found.settings)?;
    if on.destination_type != "activecampaign" {
        let what = format!(
            "is of the type `{}`, and the settings of the export are for `activecampaign`",
            on.destination_type
        );
        return Err(Error::invalid("connection", what));
    }
    if found.connection.as_deref() == Some(to.connection.as_str()) {
        return Ok(None);
    }
    must_rest(transaction, &target.name).await?;
    let mut row = touched(found, by, now);
    row.connection = Set(Some(on.id.clone()));
    let row = export::Entity::update(row).exec(transaction).await.map_err(database)?;
    // Others may have been at the list meanwhile. Who was unsubscribed is believed all the same.
    export_state::Entity::update_many()
        .col_expr(export_state::Column::Untrusted, Expr::value(1))
        .filter(export_state::Column::ExportUid.eq(row.uid.as_str()))
        .exec(transaction)
        .await
        .map_err(database)?;
    let fact = facts::of_export("EXPORT_ATTACHED", Some(found), &row)?.with("connection_uid", &on.uid);
    Ok(Some((row, fact)))
}

async fn detach(
    transaction: &DatabaseTransaction,
    (target, found): (&ExportTarget, &export::Model),
    by: &str,
    now: Timestamp,
) -> Result<Done> {
    let Some(from) = found.connection.clone() else { return Ok(None) };
    must_rest(transaction, &target.name).await?;
    let on = connection::Entity::find_by_id((found.tenant.clone(), from.clone())).one(transaction).await;
    let uid = on.map_err(database)?.map(|on| on.uid).unwrap_or_default();
    let mut row = touched(found, by, now);
    row.connection = Set(None);
    let row = export::Entity::update(row).exec(transaction).await.map_err(database)?;
    let fact = facts::of_export("EXPORT_DETACHED", Some(found), &row)?;
    Ok(Some((row, fact.with("connection", from).with("connection_uid", uid))))
}

/// Refuses while a run goes on.
async fn must_rest(transaction: &DatabaseTransaction, name: &ExportName) -> Result<()> {
    let Some(live) = runs::live_run(transaction, name).await? else { return Ok(()) };
    let name = runs::to_domain(live)?.name.to_string();
    let message = format!("`{name}` is going on; cancel it first");
    Err(Error::precondition(Reason::RunInProgress, "RUN", name, message))
}

async fn copy(
    transaction: &DatabaseTransaction,
    target: ExportTarget,
    by: String,
    new: NewCopy,
    write: Write,
) -> Result<Changed<Export>> {
    let tenant = target.name.tenant.as_str();
    if let Some(first) = request::earlier(transaction, tenant, DuplicateExport::METHOD, &write).await? {
        let first = ExportName::parse(&first).map_err(|error| corrupt("request_ids", error))?;
        return Ok(Changed::nothing(exports::to_domain(exports::load(transaction, &first).await?)?));
    }
    tenants::must_exist(transaction, &target.name.tenant).await?;
    let found = exports::unchanged(transaction, &target, None).await?;
    let name = ExportName { tenant: target.name.tenant.clone(), export: new.id };
    if exports::find(transaction, &name).await?.is_some() {
        let name = name.to_string();
        return Err(Error::AlreadyExists { reason: Reason::ResourceExists, kind: "export", name });
    }
    // What is switched on later is what the original has, or had.
    let is: Schedule = from_json("exports", &found.schedule)?;
    let before = if is == Schedule::Off { found.schedule_before.clone() } else { Some(found.schedule.clone()) };
    let row = export::Model {
        id: name.export.as_str().to_owned(),
        uid: new.uid,
        display_name: new.display_name.unwrap_or_else(|| found.display_name.clone()),
        schedule: to_json(&Schedule::Off)?,
        schedule_before: before,
        latest_run: None,
        updated_by: by,
        version: 1,
        create_time: write.now.as_millis(),
        update_time: write.now.as_millis(),
        ..found
    };
    let row = export::Entity::insert(row.into_active_model().reset_all()).exec_with_returning(transaction);
    let row = row.await.map_err(database)?;
    request::note(transaction, tenant, DuplicateExport::METHOD, &write, &name.to_string()).await?;
    let fact = facts::of_export("EXPORT_CREATED", None, &row)?.with("copy_of", &target.name);
    Ok(Changed::one(exports::to_domain(row)?, fact))
}
