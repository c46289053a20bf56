//! Exports.

use crate::connection::mask;
use crate::export_check::check;
use crate::page::{PageRequest, Query};
use crate::tenant::{display_name, parse_tenant};
use crate::{Control, etag, filter};
use ferry_domain::authz::action::{CreateExport, DeleteExport, GetExport, ListExports, RunExport, UpdateExport};
use ferry_domain::authz::{Action, Actor, ExportTarget, NewExport, may_ask, permit};
use ferry_domain::{ConnectionName, Error, Export, ExportId, ExportName, LeavePolicy, Result, Schedule, Violations};
use ferry_store::{ExportChange, ExportView, Listed, NewExportRow};
use serde::Serialize;

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
    pub leave_policy: Option<LeavePolicyInput>,
    /// Percent and number that a run may remove without approval; what is missing has its default.
    pub removal_guard: Option<(Option<i32>, Option<i64>)>,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
}

/// A leave policy as a caller wrote it.
#[derive(Debug, Clone, Serialize)]
pub enum LeavePolicyInput {
    /// Nothing happens.
    Keep,
    /// A custom field says who is a member.
    SetField {
        /// The field's number.
        field: i32,
        /// Its value for members.
        member_value: String,
        /// Its value for those who left.
        left_value: String,
    },
    /// They are unsubscribed.
    Unsubscribe {
        /// Whether the caller knows that it is for good.
        acknowledged: bool,
    },
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

/// What the caller may do with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// Change and delete it.
    pub update: bool,
    /// Run, plan, validate and cancel it.
    pub run: bool,
}

/// Values of an export that can change.
pub(crate) const PATHS: [&str; 7] =
    ["display_name", "segments", "settings", "field_mappings", "leave_policy", "schedule", "removal_guard"];

impl Control {
    /// Stores an export. Saving never runs it.
    pub async fn create_export(&self, actor: &Actor, command: CreateExportCommand) -> Result<ExportView> {
        let parent = parse_tenant("parent", &command.parent)?;
        may_ask::<CreateExport>(actor, &parent.tenant, &parent)?;
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
        let checked = check(&command.export, &PATHS, (&parent.tenant, None), catalogue, violations).await?;
        let write = self.write(&command.request_id, &command)?;
        let new = NewExportRow {
            uid: uuid::Uuid::new_v4().to_string(),
            display_name: command.export.display_name,
            segments: checked.segments.unwrap_or_default(),
            settings: checked.settings.ok_or_else(|| Error::invalid("export.settings", "is required"))?,
            field_mappings: checked.field_mappings.unwrap_or_default(),
            leave_policy: checked.leave_policy.unwrap_or(LeavePolicy::Keep),
            removal_guard: checked.removal_guard.unwrap_or_default(),
            schedule: checked.schedule.unwrap_or(Schedule::WithRefresh),
        };
        if command.validate_only {
            let export = not_stored(target, new, actor, write.now);
            return Ok(ExportView { export, connection: None, latest_run: None, next_run: None });
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
        let order = filter::order(order_by)?;
        let parsed = filter::parse(filter, &name.tenant)?;
        let query = Query { method: "ListExports", parent, arguments: &[filter, order_by] };
        let page = self.page(&query, page)?;
        let listed = self
            .granted(|store| Ok(store.export_list(permit::<ListExports>(actor, name)?, parsed, order, page)))?
            .await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }

    /// Changes an export. Saving never runs it.
    pub async fn update_export(&self, actor: &Actor, command: UpdateExportCommand) -> Result<ExportView> {
        let name = parse("export.name", &command.name)?;
        let (target, found) = self.viewed::<UpdateExport>(actor, &name).await?;
        permit::<UpdateExport>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        let seen_version = etag::parse("export.etag", &command.etag, &mut violations);
        let paths = populated(&command, &mut violations);
        let renamed = paths.contains(&PATHS[0]);
        if renamed {
            display_name("export.display_name", &command.export.display_name, &mut violations);
        }
        let catalogue = self.catalogue(&name.tenant).await?;
        let checked = check(&command.export, &paths, (&name.tenant, Some(&found)), catalogue, violations).await?;
        let write = self.write(&command.request_id, &command)?;
        if !command.validate_only {
            let change = ExportChange {
                seen_version,
                display_name: renamed.then_some(command.export.display_name),
                segments: checked.segments,
                settings: checked.settings,
                field_mappings: checked.field_mappings,
                leave_policy: checked.leave_policy,
                removal_guard: checked.removal_guard,
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
        let target = self.target::<DeleteExport>(actor, &name).await?;
        permit::<DeleteExport>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("etag", seen, &mut violations);
        violations.into_result()?;
        let write = self.write(request_id, &(name.to_string(), seen))?;
        self.granted(|store| Ok(store.export_delete(permit::<DeleteExport>(actor, target)?, seen, write)))?.await
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
    pub(crate) async fn target<A: Action>(&self, actor: &Actor, name: &ExportName) -> Result<ExportTarget> {
        Ok(self.viewed::<A>(actor, name).await?.0)
    }

    /// The same, with the export as it is in that version.
    pub(crate) async fn viewed<A: Action>(&self, actor: &Actor, name: &ExportName) -> Result<(ExportTarget, Export)> {
        may_ask::<A>(actor, &name.tenant, name)?;
        let view = self.granted(|store| Ok(store.export_get(permit::<GetExport>(actor, name.clone())?)))?.await?;
        let target = ExportTarget { name: name.clone(), access: view.access(), version: view.export.version };
        Ok((target, view.export))
    }
}

pub(crate) fn parse(field: &str, text: &str) -> Result<ExportName> {
    ExportName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
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
        input.removal_guard.is_some(),
    ];
    PATHS.into_iter().zip(set).filter(|(_, set)| *set).map(|(path, _)| path).collect()
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
        removal_guard: new.removal_guard,
        schedule: new.schedule,
        latest_run: None,
        updated_by: actor.subject().to_owned(),
        version: 0,
        create_time: now,
        update_time: now,
    }
}
