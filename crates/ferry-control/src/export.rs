//! Exports.

use crate::connection::mask;
use crate::control::call_failure;
use crate::page::{PageRequest, Query};
use crate::segment::blocking;
use crate::tenant::{display_name, parse_tenant};
use crate::{Control, etag, filter};
use ferry_destinations::activecampaign::CallError;
use ferry_domain::authz::action::{
    CreateExport, DeleteExport, GetExport, ListExports, PlanExport, RunExport, UpdateExport, ValidateExport,
};
use ferry_domain::authz::{Actor, ExportTarget, NewExport, Permit, permit};
use ferry_domain::export::DestinationField;
use ferry_domain::{
    ConnectionName, Error, Export, ExportId, ExportName, ExportSettings, FieldMapping, LeavePolicy, Reason, Result,
    Run, RunId, Schedule, SegmentId, SegmentName, TenantId, Trigger, Violations, limits,
};
use ferry_segments::Catalogue;
use ferry_store::{ExportChange, ExportView, Listed, NewExportRow, NewRun};
use serde::Serialize;
use std::time::Duration;

/// An export as a caller wrote it; what is missing was not set.
#[derive(Serialize, Default)]
pub struct ExportInput {
    /// For people.
    pub display_name: String,
    /// The connection's name.
    pub connection: String,
    /// The segments' names.
    pub segments: Vec<String>,
    /// The list's number, and whether automations are kept out.
    pub settings: Option<(String, Option<bool>)>,
    /// Destination field and column.
    pub field_mappings: Vec<(String, String)>,
    /// What happens to those who left.
    pub leave_policy: Option<LeavePolicy>,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
}

/// Stores an export.
#[derive(Serialize)]
pub struct CreateExportCommand {
    /// `tenants/{tenant}`.
    pub parent: String,
    /// Its id, or empty.
    pub export_id: String,
    /// What to store.
    pub export: ExportInput,
    /// The caller's request id.
    pub request_id: String,
    /// Store nothing.
    pub validate_only: bool,
}

/// Changes an export.
#[derive(Serialize)]
pub struct UpdateExportCommand {
    /// Which.
    pub name: String,
    /// The new values.
    pub export: ExportInput,
    /// The etag that was seen, if any.
    pub etag: String,
    /// Which values change; empty for those that are set.
    pub update_mask: Vec<String>,
    /// The caller's request id.
    pub request_id: String,
    /// Store nothing.
    pub validate_only: bool,
}

/// Queues a run.
#[derive(Serialize)]
pub struct RunExportCommand {
    /// Which export.
    pub name: String,
    /// The etag that was seen, if any.
    pub etag: String,
    /// The caller's request id.
    pub request_id: String,
    /// The dry run whose plan is meant.
    pub plan: String,
    /// As if nothing were known of the destination.
    pub full_resync: bool,
}

/// What the caller may do with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// Change and delete it.
    pub update: bool,
    /// Run, plan, validate and cancel it.
    pub run: bool,
}

/// What a run would meet.
#[derive(Debug, Clone, Default)]
pub struct Validation {
    /// The list's name.
    pub list_name: String,
    /// What may go wrong.
    pub warnings: Vec<String>,
    /// Members of all segments, where known.
    pub member_count: Option<u64>,
    /// At the documented limits.
    pub estimated_duration: Option<Duration>,
    /// What would make it fail.
    pub problems: Vec<(Reason, String)>,
}

const PATHS: [&str; 6] = ["display_name", "segments", "settings", "field_mappings", "leave_policy", "schedule"];

/// The checked parts of an input.
struct Checked {
    segments: Option<Vec<SegmentId>>,
    settings: Option<ExportSettings>,
    field_mappings: Option<Vec<FieldMapping>>,
    leave_policy: Option<LeavePolicy>,
    schedule: Option<Schedule>,
}

impl Control {
    /// Stores an export. Saving never runs it.
    pub async fn create_export(&self, actor: &Actor, command: CreateExportCommand) -> Result<ExportView> {
        let parent = parse_tenant("parent", &command.parent)?;
        let connection = ConnectionName::parse(&command.export.connection)
            .map_err(|error| Error::invalid("export.connection", error.to_string()))?;
        if connection.tenant != parent.tenant {
            return Err(Error::invalid("export.connection", "belongs to another tenant than `parent`"));
        }
        let id =
            if command.export_id.is_empty() { uuid::Uuid::new_v4().to_string() } else { command.export_id.clone() };
        let export = ExportId::parse(&id).map_err(|error| Error::invalid("export_id", error.to_string()))?;
        let name = ExportName { tenant: parent.tenant.clone(), export };
        let readable = permit::<ListExports>(actor, parent.clone())?;
        let access = self.store().connection_access_of(readable, connection.connection.clone()).await?;
        let target = NewExport { name, connection: connection.connection, access };
        permit::<CreateExport>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        display_name("export.display_name", &command.export.display_name, &mut violations);
        let catalogue = self.catalogue(&parent.tenant).await?;
        let checked = check(&command.export, &PATHS, &parent.tenant, catalogue, violations).await?;
        let write = self.write(&command.request_id, &command)?;
        let new = NewExportRow {
            uid: uuid::Uuid::new_v4().to_string(),
            display_name: command.export.display_name,
            segments: checked.segments.unwrap_or_default(),
            settings: checked.settings.ok_or_else(|| Error::invalid("export.settings", "is required"))?,
            field_mappings: checked.field_mappings.unwrap_or_default(),
            leave_policy: checked.leave_policy.unwrap_or(LeavePolicy::Keep),
            schedule: checked.schedule.unwrap_or(Schedule::WithRefresh),
        };
        if command.validate_only {
            let export = not_stored(target, new, actor, write.now);
            return Ok(ExportView { export, connection: None, latest_run: None });
        }
        let stored =
            self.granted(|store| Ok(store.export_create(permit::<CreateExport>(actor, target)?, new, write)))?.await?;
        self.granted(|store| Ok(store.export_get(permit::<GetExport>(actor, stored.name)?)))?.await
    }

    /// Reads an export.
    pub async fn get_export(&self, actor: &Actor, name: &str) -> Result<ExportView> {
        let name = parse("name", name)?;
        self.granted(|store| Ok(store.export_get(permit::<GetExport>(actor, name)?)))?.await
    }

    /// Reads a tenant's exports, with the token of the next page.
    pub async fn list_exports(
        &self,
        actor: &Actor,
        parent: &str,
        page: &PageRequest,
        filter: &str,
        order_by: &str,
    ) -> Result<(Listed<ExportView>, String)> {
        let name = parse_tenant("parent", parent)?;
        permit::<ListExports>(actor, name.clone())?.spend();
        if !matches!(order_by, "" | "create_time") {
            return Err(Error::invalid("order_by", "must be `create_time` or empty"));
        }
        let parsed = filter::parse(filter, &name.tenant)?;
        let query = Query { method: "ListExports", parent, arguments: &[filter] };
        let page = self.page(&query, page)?;
        let listed =
            self.granted(|store| Ok(store.export_list(permit::<ListExports>(actor, name)?, parsed, page)))?.await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }

    /// Changes an export. Saving never runs it.
    pub async fn update_export(&self, actor: &Actor, command: UpdateExportCommand) -> Result<ExportView> {
        let name = parse("export.name", &command.name)?;
        let target = self.target(actor, &name).await?;
        permit::<UpdateExport>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        let seen_version = etag::parse("export.etag", &command.etag, &mut violations);
        let paths = populated(&command, &mut violations);
        let renamed = paths.contains(&PATHS[0]);
        if renamed {
            display_name("export.display_name", &command.export.display_name, &mut violations);
        }
        let catalogue = self.catalogue(&name.tenant).await?;
        let checked = check(&command.export, &paths, &name.tenant, catalogue, violations).await?;
        let write = self.write(&command.request_id, &command)?;
        if !command.validate_only {
            let change = ExportChange {
                seen_version,
                display_name: renamed.then_some(command.export.display_name),
                segments: checked.segments,
                settings: checked.settings,
                field_mappings: checked.field_mappings,
                leave_policy: checked.leave_policy,
                schedule: checked.schedule,
            };
            self.granted(|store| Ok(store.export_update(permit::<UpdateExport>(actor, target)?, change, write)))?
                .await?;
        }
        self.granted(|store| Ok(store.export_get(permit::<GetExport>(actor, name)?)))?.await
    }

    /// Removes an export. What is at the destination stays there.
    pub async fn delete_export(&self, actor: &Actor, name: &str, seen: &str, request_id: &str) -> Result<()> {
        let name = parse("name", name)?;
        let target = self.target(actor, &name).await?;
        permit::<DeleteExport>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("etag", seen, &mut violations);
        violations.into_result()?;
        let write = self.write(request_id, &(name.to_string(), seen))?;
        self.granted(|store| Ok(store.export_delete(permit::<DeleteExport>(actor, target)?, seen, write)))?.await
    }

    /// Asks the destination and the segments what a run would meet.
    pub async fn validate_export(&self, actor: &Actor, name: &str) -> Result<Validation> {
        let name = parse("name", name)?;
        let target = self.target(actor, &name).await?;
        let found =
            self.granted(|store| Ok(store.export_credentials(permit::<ValidateExport>(actor, target)?)))?.await?;
        let destination = self.destination(&found.connection, &found.sealed_secret)?;
        let mut validation = Validation::default();
        let host = &found.connection.host;
        let ExportSettings::Activecampaign { list_id, .. } = found.export.settings;
        match destination.list(list_id).await {
            Ok(Some(list_name)) => validation.list_name = list_name,
            Ok(None) => {
                validation.problems.push((Reason::ListNotFound, format!("list {list_id} does not exist at `{host}`")));
            }
            Err(error) => validation.problems.push(call_failure(&error, host)),
        }
        let custom = custom_fields(&found.export);
        if !custom.is_empty() && validation.problems.is_empty() {
            check_fields(destination.fields().await, &custom, host, &mut validation);
        }
        let catalogue = self.catalogue(&name.tenant).await?;
        let export = found.export;
        blocking(move || {
            check_segments(&catalogue, &export, &mut validation);
            validation
        })
        .await
    }

    /// Queues a run that ends once planned.
    pub async fn plan_export(&self, actor: &Actor, name: &str, request_id: &str) -> Result<Run> {
        let name = parse("name", name)?;
        let target = self.target(actor, &name).await?;
        let permit: Permit<PlanExport> = permit(actor, target)?;
        let write = self.write(request_id, &name.to_string())?;
        let new = NewRun { id: new_run_id()?, trigger: Trigger::OnDemand, full_resync: false };
        self.store().run_create_plan(permit, new, write).await
    }

    /// Queues a run.
    pub async fn run_export(&self, actor: &Actor, command: RunExportCommand) -> Result<Run> {
        let name = parse("name", &command.name)?;
        let target = self.target(actor, &name).await?;
        permit::<RunExport>(actor, target.clone())?.spend();
        if !command.plan.is_empty() {
            return Err(Error::Unimplemented("ExportService/RunExport with plan"));
        }
        let mut violations = Violations::new();
        let seen = etag::parse("etag", &command.etag, &mut violations);
        violations.into_result()?;
        if seen.is_some_and(|seen| seen != target.version) {
            return Err(Error::Aborted { name: name.to_string() });
        }
        let write = self.write(&command.request_id, &command)?;
        let new = NewRun { id: new_run_id()?, trigger: Trigger::OnDemand, full_resync: command.full_resync };
        self.granted(|store| Ok(store.run_create(permit::<RunExport>(actor, target)?, new, write)))?.await
    }

    /// What this caller may do with an export.
    #[must_use]
    pub fn export_permissions(&self, actor: &Actor, view: &ExportView) -> Permissions {
        let target =
            || ExportTarget { name: view.export.name.clone(), access: view.access(), version: view.export.version };
        Permissions {
            update: permit::<UpdateExport>(actor, target()).is_ok(),
            run: permit::<RunExport>(actor, target()).is_ok(),
        }
    }

    /// The export with what its permissions depend on.
    async fn target(&self, actor: &Actor, name: &ExportName) -> Result<ExportTarget> {
        let view = self.granted(|store| Ok(store.export_get(permit::<GetExport>(actor, name.clone())?)))?.await?;
        Ok(ExportTarget { name: name.clone(), access: view.access(), version: view.export.version })
    }
}

fn parse(field: &str, text: &str) -> Result<ExportName> {
    ExportName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
}

fn new_run_id() -> Result<RunId> {
    RunId::parse(&uuid::Uuid::now_v7().to_string()).map_err(|error| Error::internal("a run's id", error))
}

fn populated(command: &UpdateExportCommand, violations: &mut Violations) -> Vec<&'static str> {
    let input = &command.export;
    if !command.update_mask.is_empty() {
        return mask(&command.update_mask, &PATHS, violations);
    }
    let set = [
        !input.display_name.is_empty(),
        !input.segments.is_empty(),
        input.settings.is_some(),
        !input.field_mappings.is_empty(),
        input.leave_policy.is_some(),
        input.schedule.is_some(),
    ];
    PATHS.into_iter().zip(set).filter(|(_, set)| *set).map(|(path, _)| path).collect()
}

/// Checks what `paths` name; all that is wrong comes back at once.
async fn check(
    input: &ExportInput,
    paths: &[&str],
    tenant: &TenantId,
    catalogue: Catalogue,
    mut violations: Violations,
) -> Result<Checked> {
    let has = |path: &str| paths.contains(&path);
    let segments = has(PATHS[1]).then(|| check_names(&input.segments, tenant, &catalogue, &mut violations));
    let settings = has(PATHS[2]).then(|| check_settings(input.settings.as_ref(), &mut violations)).flatten();
    let mappings = has(PATHS[3]).then(|| check_mappings(&input.field_mappings, &mut violations));
    let leave_policy = input.leave_policy.clone().filter(|_| has(PATHS[4]));
    if leave_policy.as_ref().is_some_and(|policy| *policy != LeavePolicy::Keep) {
        violations.add_because(Reason::NotImplemented, "export.leave_policy", "only `keep` is supported yet");
    }
    let schedule = input.schedule.clone().filter(|_| has(PATHS[5]));
    if matches!(schedule, Some(Schedule::Own { .. })) {
        let text = "a recurrence is not supported yet; take with_refresh or off";
        violations.add_because(Reason::NotImplemented, "export.schedule", text);
    }
    if let (Some(segments), Some(mappings)) = (&segments, &mappings) {
        for problem in missing_columns(catalogue, segments.clone(), mappings.clone()).await? {
            violations.add_because(Reason::ColumnNotFound, "export.field_mappings", problem);
        }
    }
    violations.into_result()?;
    Ok(Checked { segments, settings, field_mappings: mappings, leave_policy, schedule })
}

fn check_names(
    names: &[String],
    tenant: &TenantId,
    catalogue: &Catalogue,
    violations: &mut Violations,
) -> Vec<SegmentId> {
    if names.is_empty() || names.len() > limits::SEGMENTS_PER_EXPORT {
        violations.add("export.segments", format!("must name 1 to {} segments", limits::SEGMENTS_PER_EXPORT));
    }
    let mut ids: Vec<SegmentId> = Vec::with_capacity(names.len());
    for (position, text) in names.iter().enumerate() {
        let field = format!("export.segments[{position}]");
        let Some(name) = violations.check(&field, SegmentName::parse(text)) else { continue };
        let entry = catalogue.segment(name.segment.as_str()).filter(|_| name.tenant == *tenant);
        match entry.map(ferry_segments::SegmentEntry::kind) {
            None => violations.add_because(Reason::SegmentNotFound, field, "is no segment of this tenant"),
            Some(ferry_segments::SegmentKind::Account) => {
                violations.add(field, "is a segment of accounts; only people have an e-mail address");
            }
            Some(ferry_segments::SegmentKind::Profile) if ids.contains(&name.segment) => {
                violations.add(field, "is named twice");
            }
            Some(ferry_segments::SegmentKind::Profile) => ids.push(name.segment),
        }
    }
    ids
}

fn check_settings(settings: Option<&(String, Option<bool>)>, violations: &mut Violations) -> Option<ExportSettings> {
    let Some((list, exclude)) = settings else {
        violations.add("export.settings.activecampaign", "is required");
        return None;
    };
    match list.parse::<u32>() {
        Ok(list_id) if list_id > 0 => {
            Some(ExportSettings::Activecampaign { list_id, exclude_automations: exclude.unwrap_or(true) })
        }
        _ => {
            violations.add("export.settings.activecampaign.list_id", "must be the number of a list, like 3");
            None
        }
    }
}

fn check_mappings(mappings: &[(String, String)], violations: &mut Violations) -> Vec<FieldMapping> {
    let mut checked: Vec<FieldMapping> = Vec::with_capacity(mappings.len());
    if mappings.len() > limits::FIELD_MAPPINGS_PER_EXPORT {
        let text = format!("must have at most {} entries", limits::FIELD_MAPPINGS_PER_EXPORT);
        violations.add("export.field_mappings", text);
    }
    for (position, (field, column)) in mappings.iter().enumerate() {
        let path = format!("export.field_mappings[{position}]");
        let Some(destination_field) = DestinationField::parse(field) else {
            let text = "must be email, first_name, last_name, phone, or the number of a custom field";
            violations.add(format!("{path}.destination_field"), text);
            continue;
        };
        if column.is_empty() || column.len() > limits::COLUMN_NAME_BYTES {
            let text = format!("must have 1 to {} bytes", limits::COLUMN_NAME_BYTES);
            violations.add(format!("{path}.profile_column"), text);
        }
        if checked.iter().any(|other| other.destination_field == destination_field) {
            violations.add(format!("{path}.destination_field"), "is mapped twice");
        }
        checked.push(FieldMapping { destination_field, profile_column: column.clone() });
    }
    if !checked.iter().any(|mapping| mapping.destination_field == DestinationField::Email) {
        violations.add("export.field_mappings", "must map `email`");
    }
    checked
}

/// Mapped columns that a segment lacks. A segment that cannot be read now is left to the run.
async fn missing_columns(
    catalogue: Catalogue,
    segments: Vec<SegmentId>,
    mappings: Vec<FieldMapping>,
) -> Result<Vec<String>> {
    blocking(move || {
        let mut problems = Vec::new();
        for id in &segments {
            let Some(Ok(columns)) = catalogue.segment(id.as_str()).map(ferry_segments::SegmentEntry::columns) else {
                continue;
            };
            for mapping in &mappings {
                let found = columns.iter().any(|column| column.mappable && column.name == mapping.profile_column);
                if !found {
                    problems
                        .push(format!("segment `{id}` has no column `{}` that can be mapped", mapping.profile_column));
                }
            }
        }
        problems
    })
    .await
}

fn custom_fields(export: &Export) -> Vec<u32> {
    let number = |mapping: &FieldMapping| match mapping.destination_field {
        DestinationField::Custom(number) => Some(number),
        DestinationField::Email
        | DestinationField::FirstName
        | DestinationField::LastName
        | DestinationField::Phone => None,
    };
    export.field_mappings.iter().filter_map(number).collect()
}

fn check_fields(
    found: std::result::Result<Vec<(u32, String)>, CallError>,
    custom: &[u32],
    host: &str,
    validation: &mut Validation,
) {
    match found {
        Ok(fields) => {
            for number in custom.iter().filter(|number| !fields.iter().any(|(id, _)| id == *number)) {
                let text = format!("custom field {number} does not exist at `{host}`");
                validation.problems.push((Reason::FieldNotFound, text));
            }
        }
        Err(error) => validation.problems.push(call_failure(&error, host)),
    }
}

fn check_segments(catalogue: &Catalogue, export: &Export, validation: &mut Validation) {
    let mut members = Some(0);
    for id in &export.segments {
        let Some(entry) = catalogue.segment(id.as_str()) else {
            validation.problems.push((Reason::SegmentNotFound, format!("segment `{id}` is not in the catalogue")));
            continue;
        };
        members = members.zip(entry.member_count()).map(|(sum, count)| sum + count);
        let columns = match entry.columns() {
            Ok(columns) => columns,
            Err(error) => {
                validation.problems.push((Reason::SegmentUnreadable, format!("segment `{id}`: {error}")));
                continue;
            }
        };
        for mapping in &export.field_mappings {
            if !columns.iter().any(|column| column.mappable && column.name == mapping.profile_column) {
                let text = format!("segment `{id}` has no column `{}`", mapping.profile_column);
                validation.problems.push((Reason::ColumnNotFound, text));
            }
        }
    }
    validation.member_count = members;
    if let Some(members) = members {
        let minutes = members.div_ceil(250) as f64 / 98.5;
        validation.estimated_duration = Some(Duration::from_secs_f64(minutes * 60.0));
        if members > limits::PROFILES_PER_RUN {
            let text =
                format!("{members} members; a run carries at most {} and would be skipped", limits::PROFILES_PER_RUN);
            validation.warnings.push(text);
        }
    }
}

/// What a valid request would have stored.
fn not_stored(target: NewExport, new: NewExportRow, actor: &Actor, now: ferry_domain::Timestamp) -> Export {
    Export {
        name: target.name,
        uid: String::new(),
        display_name: new.display_name,
        connection: Some(target.connection),
        segments: new.segments,
        settings: new.settings,
        field_mappings: new.field_mappings,
        leave_policy: new.leave_policy,
        schedule: new.schedule,
        latest_run: None,
        updated_by: actor.subject().to_owned(),
        version: 0,
        create_time: now,
        update_time: now,
    }
}
