//! What is done to one export or to many: copies, other connections, other schedules.

use crate::export::parse;
use crate::export_check::check_schedule;
use crate::tenant::{display_name, parse_tenant};
use crate::{Control, etag};
use ferry_domain::authz::action::{
    AttachExport, BatchAttachExports, BatchDetachExports, BatchUpdateSchedules, DetachExport, DuplicateExport,
    GetExport, ListExports,
};
use ferry_domain::authz::{Action, Actor, ExportTarget, Permit, may_ask, permit};
use ferry_domain::{
    ConnectionAccess, ConnectionName, Error, Export, ExportId, ExportName, Result, Schedule, TenantId, Violations,
    limits,
};
use ferry_store::{AttachTo, ExportView, NewCopy, NewSchedules};
use serde::Serialize;

/// Copies an export.
#[derive(Serialize)]
pub struct DuplicateExportCommand {
    /// Which.
    pub name: String,
    /// The copy's id, or empty.
    pub export_id: String,
    /// The copy's display name, or empty.
    pub display_name: String,
    /// The caller's request id.
    pub request_id: String,
}

/// Gives an export a connection, or takes it.
#[derive(Serialize)]
pub struct AttachExportCommand {
    /// Which.
    pub name: String,
    /// The connection's name; empty to take it.
    pub connection: String,
    /// The etag that was seen, if any.
    pub etag: String,
    /// The caller's request id.
    pub request_id: String,
}

/// What becomes of the schedules of several exports, as a caller wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ScheduleMode {
    /// They keep what they have, on or off.
    KeepIndividual,
    /// All get the same.
    OverrideAll,
    /// Not said.
    Unknown,
}

/// Changes several exports.
#[derive(Serialize)]
pub struct BatchCommand {
    /// `tenants/{tenant}`.
    pub parent: String,
    /// Names of exports.
    pub names: Vec<String>,
    /// The connection's name, where they get one.
    pub connection: String,
    /// The caller's request id.
    pub request_id: String,
}

/// Changes the schedules of several exports.
#[derive(Serialize)]
pub struct BatchUpdateSchedulesCommand {
    /// `tenants/{tenant}`.
    pub parent: String,
    /// Names of exports.
    pub names: Vec<String>,
    /// Keep or override.
    pub mode: ScheduleMode,
    /// The new schedule of all.
    pub schedule: Option<Schedule>,
    /// On or off.
    pub active: Option<bool>,
    /// The caller's request id.
    pub request_id: String,
}

impl Control {
    /// Copies an export: the same settings, no runs, its schedule off.
    pub async fn duplicate_export(&self, actor: &Actor, command: DuplicateExportCommand) -> Result<ExportView> {
        let name = parse("name", &command.name)?;
        let target = self.target::<DuplicateExport>(actor, &name).await?;
        permit::<DuplicateExport>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        let made =
            if command.export_id.is_empty() { uuid::Uuid::new_v4().to_string() } else { command.export_id.clone() };
        let id = violations.check("export_id", ExportId::parse(&made));
        let given = !command.display_name.is_empty();
        if given {
            display_name("display_name", &command.display_name, &mut violations);
        }
        let Some(id) = id.filter(|_| violations.is_empty()) else { return Err(violations.into_error()) };
        let write = self.write(&command.request_id, &command)?;
        let display_name = given.then_some(command.display_name);
        let new = NewCopy { id, uid: uuid::Uuid::new_v4().to_string(), display_name };
        let copy = self
            .granted(|store| Ok(store.export_duplicate(permit::<DuplicateExport>(actor, target)?, new, write)))?
            .await?;
        self.view(actor, copy.name).await
    }

    /// Gives an export a connection.
    pub async fn attach_export(&self, actor: &Actor, command: AttachExportCommand) -> Result<ExportView> {
        let name = parse("name", &command.name)?;
        let target = self.target::<AttachExport>(actor, &name).await?;
        permit::<AttachExport>(actor, target.clone())?.spend();
        let seen = seen(&command.etag)?;
        let to = self.attach_to(actor, &name.tenant, &command.connection).await?;
        let write = self.write(&command.request_id, &command)?;
        self.granted(|store| Ok(store.export_attach(permit::<AttachExport>(actor, target)?, to, seen, write)))?.await?;
        self.view(actor, name).await
    }

    /// Takes its connection from an export.
    pub async fn detach_export(&self, actor: &Actor, command: AttachExportCommand) -> Result<ExportView> {
        let name = parse("name", &command.name)?;
        let target = self.target::<DetachExport>(actor, &name).await?;
        permit::<DetachExport>(actor, target.clone())?.spend();
        let seen = seen(&command.etag)?;
        let write = self.write(&command.request_id, &command)?;
        self.granted(|store| Ok(store.export_detach(permit::<DetachExport>(actor, target)?, seen, write)))?.await?;
        self.view(actor, name).await
    }

    /// Gives several exports a connection, all or none.
    pub async fn batch_attach_exports(&self, actor: &Actor, command: BatchCommand) -> Result<Vec<ExportView>> {
        let targets = self.targets::<BatchAttachExports>(actor, &command.parent, &command.names).await?;
        let tenant = parse_tenant("parent", &command.parent)?.tenant;
        let to = self.attach_to(actor, &tenant, &command.connection).await?;
        let write = self.write(&command.request_id, &command)?;
        let stored =
            self.granted(|store| Ok(store.exports_attach(permits::<BatchAttachExports>(actor, targets)?, to, write)))?;
        self.views(actor, stored.await?).await
    }

    /// Takes their connection from several exports, all or none.
    pub async fn batch_detach_exports(&self, actor: &Actor, command: BatchCommand) -> Result<Vec<ExportView>> {
        let targets = self.targets::<BatchDetachExports>(actor, &command.parent, &command.names).await?;
        let write = self.write(&command.request_id, &command)?;
        let stored =
            self.granted(|store| Ok(store.exports_detach(permits::<BatchDetachExports>(actor, targets)?, write)))?;
        self.views(actor, stored.await?).await
    }

    /// Changes the schedules of several exports, all or none.
    pub async fn batch_update_schedules(
        &self,
        actor: &Actor,
        command: BatchUpdateSchedulesCommand,
    ) -> Result<Vec<ExportView>> {
        let targets = self.targets::<BatchUpdateSchedules>(actor, &command.parent, &command.names).await?;
        let schedules = new_schedules(&command)?;
        let write = self.write(&command.request_id, &command)?;
        let stored = self.granted(|store| {
            Ok(store.exports_reschedule(permits::<BatchUpdateSchedules>(actor, targets)?, schedules, write))
        })?;
        self.views(actor, stored.await?).await
    }

    /// What the named exports are, each of which the caller must be allowed to change. Who may do so with none of a
    /// tenant learns nothing of what is there.
    async fn targets<A: Action<Target = ExportTarget>>(
        &self,
        actor: &Actor,
        parent: &str,
        names: &[String],
    ) -> Result<Vec<ExportTarget>> {
        let parent = parse_tenant("parent", parent)?;
        may_ask::<A>(actor, &parent.tenant, &parent)?;
        if names.is_empty() || names.len() > limits::NAMES_PER_BATCH {
            return Err(Error::invalid("names", format!("must name 1 to {} exports", limits::NAMES_PER_BATCH)));
        }
        let mut violations = Violations::new();
        let mut parsed: Vec<ExportName> = Vec::with_capacity(names.len());
        for (position, text) in names.iter().enumerate() {
            let field = format!("names[{position}]");
            match violations.check(&field, ExportName::parse(text)) {
                Some(name) if name.tenant != parent.tenant => {
                    violations.add(field, "is of another tenant than `parent`")
                }
                Some(name) if parsed.contains(&name) => violations.add(field, "is named twice"),
                Some(name) => parsed.push(name),
                None => {}
            }
        }
        violations.into_result()?;
        let mut targets = Vec::with_capacity(parsed.len());
        for name in parsed {
            let target = self.target::<A>(actor, &name).await?;
            permit::<A>(actor, target.clone())?.spend();
            targets.push(target);
        }
        Ok(targets)
    }

    /// A connection of the tenant that this caller may see.
    async fn attach_to(&self, actor: &Actor, tenant: &TenantId, name: &str) -> Result<AttachTo> {
        let name = ConnectionName::parse(name).map_err(|error| Error::invalid("connection", error.to_string()))?;
        if name.tenant != *tenant {
            return Err(Error::invalid("connection", "belongs to another tenant than the export"));
        }
        let parent = ferry_domain::TenantName { tenant: name.tenant.clone() };
        let readable = permit::<ListExports>(actor, parent)?;
        let access: ConnectionAccess = self.store().connection_access_of(readable, name.connection.clone()).await?;
        Ok(AttachTo { connection: name.connection, access })
    }

    async fn view(&self, actor: &Actor, name: ExportName) -> Result<ExportView> {
        self.granted(|store| Ok(store.export_get(permit::<GetExport>(actor, name)?)))?.await
    }

    async fn views(&self, actor: &Actor, stored: Vec<Export>) -> Result<Vec<ExportView>> {
        let mut views = Vec::with_capacity(stored.len());
        for export in stored {
            views.push(self.view(actor, export.name).await?);
        }
        Ok(views)
    }
}

fn permits<A: Action<Target = ExportTarget>>(actor: &Actor, targets: Vec<ExportTarget>) -> Result<Vec<Permit<A>>> {
    targets.into_iter().map(|target| permit::<A>(actor, target)).collect()
}

fn seen(etag: &str) -> Result<Option<i64>> {
    let mut violations = Violations::new();
    let seen = etag::parse("etag", etag, &mut violations);
    violations.into_result()?;
    Ok(seen)
}

fn new_schedules(command: &BatchUpdateSchedulesCommand) -> Result<NewSchedules> {
    let mut violations = Violations::new();
    let schedules = match (command.mode, &command.schedule, command.active) {
        (ScheduleMode::KeepIndividual, None, Some(true)) => Some(NewSchedules::On),
        (ScheduleMode::KeepIndividual, None, Some(false)) => Some(NewSchedules::Off),
        (ScheduleMode::OverrideAll, Some(schedule), None) => {
            check_schedule("schedule", schedule, &mut violations);
            Some(NewSchedules::All(schedule.clone()))
        }
        (ScheduleMode::Unknown, ..) => {
            violations.add("mode", "must be MODE_KEEP_INDIVIDUAL or MODE_OVERRIDE_ALL");
            None
        }
        (ScheduleMode::KeepIndividual, schedule, active) => {
            if schedule.is_some() {
                violations.add("schedule", "must not be set with MODE_KEEP_INDIVIDUAL");
            }
            if active.is_none() {
                violations.add("active", "is required with MODE_KEEP_INDIVIDUAL");
            }
            None
        }
        (ScheduleMode::OverrideAll, schedule, active) => {
            if schedule.is_none() {
                violations.add("schedule", "is required with MODE_OVERRIDE_ALL");
            }
            if active.is_some() {
                violations.add("active", "must not be set with MODE_OVERRIDE_ALL");
            }
            None
        }
    };
    match schedules {
        Some(schedules) if violations.is_empty() => Ok(schedules),
        _ => Err(violations.into_error()),
    }
}
