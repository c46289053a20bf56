//! Exports.

use super::{count, duration, run, time};
use ferry_control::etag;
use ferry_control::export::{ExportInput, LeavePolicyInput, Permissions};
use ferry_control::export_many::{BatchUpdateSchedulesCommand, ScheduleMode};
use ferry_control::export_validate::Validation;
use ferry_domain::{Export, ExportSettings, LeavePolicy, Schedule};
use ferry_proto::v1 as pb;
use ferry_proto::v1::batch_update_schedules_request::Mode;
use ferry_proto::v1::export_schedule::Schedule as PbSchedule;
use ferry_proto::v1::export_settings::Settings;
use ferry_proto::v1::leave_policy::Policy;
use ferry_store::ExportView;

/// An export with what this caller may do.
pub(crate) fn export(view: ExportView, permissions: Permissions) -> pb::Export {
    let Export { name, connection, .. } = &view.export;
    let tenant = &name.tenant;
    let shown = pb::Export {
        name: name.to_string(),
        connection: connection.as_ref().map(|id| format!("tenants/{tenant}/connections/{id}")).unwrap_or_default(),
        segments: view.export.segments.iter().map(|id| format!("tenants/{tenant}/segments/{id}")).collect(),
        latest_run: view.latest_run.as_ref().map(|run| run.name.to_string()).unwrap_or_default(),
        ..pb::Export::default()
    };
    let export = view.export;
    let ExportSettings::Activecampaign { list_id, exclude_automations } = export.settings;
    let settings =
        pb::ActiveCampaignExport { list_id: list_id.to_string(), exclude_automations: Some(exclude_automations) };
    let mapping = |mapping: ferry_domain::FieldMapping| pb::FieldMapping {
        destination_field: mapping.destination_field.to_string(),
        profile_column: mapping.profile_column,
    };
    pb::Export {
        uid: export.uid,
        display_name: export.display_name,
        settings: Some(pb::ExportSettings { settings: Some(Settings::Activecampaign(settings)) }),
        field_mappings: export.field_mappings.into_iter().map(mapping).collect(),
        leave_policy: Some(pb::LeavePolicy { policy: Some(leave_policy(export.leave_policy)) }),
        removal_guard: Some(pb::RemovalGuard {
            max_percent: i32::try_from(export.removal_guard.max_percent).ok(),
            max_number: Some(count(export.removal_guard.max_number)),
        }),
        schedule: Some(pb::ExportSchedule { schedule: Some(schedule(export.schedule)) }),
        permissions: Some(pb::ExportPermissions {
            can_update: permissions.update,
            can_delete: permissions.update,
            can_run: permissions.run,
            can_view_rejected: permissions.run,
        }),
        latest_run_summary: view.latest_run.map(run),
        updated_by: export.updated_by,
        etag: etag::of(export.version),
        create_time: Some(time(export.create_time)),
        update_time: Some(time(export.update_time)),
        next_run_time: view.next_run.map(time),
        ..shown
    }
}

fn leave_policy(policy: LeavePolicy) -> Policy {
    match policy {
        LeavePolicy::Keep => Policy::Keep(pb::leave_policy::Keep {}),
        LeavePolicy::SetField { field, member_value, left_value } => {
            Policy::SetField(pb::leave_policy::SetField { field: field.cast_signed(), member_value, left_value })
        }
        LeavePolicy::Unsubscribe => {
            Policy::Unsubscribe(pb::leave_policy::Unsubscribe { acknowledge_irreversible: true })
        }
    }
}

fn schedule(schedule: Schedule) -> PbSchedule {
    match schedule {
        Schedule::WithRefresh => PbSchedule::WithRefresh(pb::export_schedule::WithRefresh {}),
        Schedule::Own { cron, time_zone } => {
            PbSchedule::Recurrence(pb::export_schedule::Recurrence { cron, time_zone })
        }
        Schedule::Off => PbSchedule::Off(pb::export_schedule::Off {}),
    }
}

/// An export as the caller wrote it.
pub(crate) fn export_input(written: Option<pb::Export>) -> ExportInput {
    let written = written.unwrap_or_default();
    let settings = match written.settings.and_then(|settings| settings.settings) {
        Some(Settings::Activecampaign(settings)) => Some((settings.list_id, settings.exclude_automations)),
        None => None,
    };
    let leave_policy = written.leave_policy.and_then(|policy| policy.policy).map(|policy| match policy {
        Policy::Keep(_) => LeavePolicyInput::Keep,
        Policy::SetField(set) => {
            LeavePolicyInput::SetField { field: set.field, member_value: set.member_value, left_value: set.left_value }
        }
        Policy::Unsubscribe(unsubscribe) => {
            LeavePolicyInput::Unsubscribe { acknowledged: unsubscribe.acknowledge_irreversible }
        }
    });
    let schedule = written.schedule.and_then(schedule_input);
    ExportInput {
        display_name: written.display_name,
        connection: written.connection,
        segments: written.segments,
        settings,
        field_mappings: written
            .field_mappings
            .into_iter()
            .map(|mapping| (mapping.destination_field, mapping.profile_column))
            .collect(),
        leave_policy,
        removal_guard: written.removal_guard.map(|guard| (guard.max_percent, guard.max_number)),
        schedule,
    }
}

fn schedule_input(written: pb::ExportSchedule) -> Option<Schedule> {
    written.schedule.map(|schedule| match schedule {
        PbSchedule::WithRefresh(_) => Schedule::WithRefresh,
        PbSchedule::Recurrence(own) => Schedule::Own { cron: own.cron, time_zone: own.time_zone },
        PbSchedule::Off(_) => Schedule::Off,
    })
}

/// The schedules of several exports as the caller wrote them.
pub(crate) fn batch_update_schedules(message: pb::BatchUpdateSchedulesRequest) -> BatchUpdateSchedulesCommand {
    BatchUpdateSchedulesCommand {
        mode: match message.mode() {
            Mode::KeepIndividual => ScheduleMode::KeepIndividual,
            Mode::OverrideAll => ScheduleMode::OverrideAll,
            Mode::Unspecified => ScheduleMode::Unknown,
        },
        parent: message.parent,
        names: message.names,
        schedule: message.schedule.and_then(schedule_input),
        active: message.active,
        request_id: message.request_id,
    }
}

/// What a run would meet.
pub(crate) fn validation(found: Validation) -> pb::ValidateExportResponse {
    let problem =
        |(reason, message): (ferry_domain::Reason, String)| pb::ExportProblem { reason: reason.as_str(), message };
    pb::ValidateExportResponse {
        list_name: found.list_name,
        warnings: found.warnings,
        member_count: found.member_count.map(count),
        estimated_duration: found.estimated_duration.map(duration),
        problems: found.problems.into_iter().map(problem).collect(),
    }
}
