//! What is checked of an export before it is stored; all that is wrong comes back at once.

use crate::export::{ExportInput, LeavePolicyInput, PATHS};
use crate::segment::blocking;
use ferry_domain::export::DestinationField;
use ferry_domain::{
    Export, ExportSettings, FieldMapping, LeavePolicy, Reason, RemovalGuard, Result, Schedule, SegmentId, SegmentName,
    TenantId, Violations, limits,
};
use ferry_schedule::{Recurrence, RecurrenceError};
use ferry_segments::Catalogue;

/// The checked parts of an input.
pub(crate) struct Checked {
    pub(crate) segments: Option<Vec<SegmentId>>,
    pub(crate) settings: Option<ExportSettings>,
    pub(crate) field_mappings: Option<Vec<FieldMapping>>,
    pub(crate) leave_policy: Option<LeavePolicy>,
    pub(crate) removal_guard: Option<RemovalGuard>,
    pub(crate) schedule: Option<Schedule>,
}

/// Checks what `paths` name, together with what the export has already; all that is wrong comes back at once.
pub(crate) async fn check(
    input: &ExportInput,
    paths: &[&str],
    (tenant, found): (&TenantId, Option<&Export>),
    catalogue: Catalogue,
    mut violations: Violations,
) -> Result<Checked> {
    let has = |path: &str| paths.contains(&path);
    let segments = has(PATHS[1]).then(|| check_names(&input.segments, tenant, &catalogue, &mut violations));
    let settings = has(PATHS[2]).then(|| check_settings(input.settings.as_ref(), &mut violations)).flatten();
    let mappings = has(PATHS[3]).then(|| check_mappings(&input.field_mappings, &mut violations));
    let leave_policy =
        has(PATHS[4]).then(|| check_leave_policy(input.leave_policy.as_ref(), &mut violations)).flatten();
    let known = found.map(|found| (&found.leave_policy, &found.field_mappings));
    let policy = leave_policy.as_ref().or(known.map(|known| known.0));
    if let (Some(policy), Some(mappings)) = (policy, mappings.as_ref().or(known.map(|known| known.1))) {
        check_not_mapped(policy, mappings, &mut violations);
    }
    let removal_guard = has(PATHS[6]).then(|| check_guard(input.removal_guard, &mut violations));
    let schedule = has(PATHS[5]).then(|| input.schedule.clone().unwrap_or(Schedule::WithRefresh));
    if let Some(schedule) = &schedule {
        check_schedule("export.schedule", schedule, &mut violations);
    }
    if let (Some(segments), Some(mappings)) = (&segments, &mappings) {
        for problem in missing_columns(catalogue, segments.clone(), mappings.clone()).await? {
            violations.add_because(Reason::ColumnNotFound, "export.field_mappings", problem);
        }
    }
    violations.into_result()?;
    Ok(Checked { segments, settings, field_mappings: mappings, leave_policy, removal_guard, schedule })
}

/// Whether a schedule of its own takes place some time.
pub(crate) fn check_schedule(field: &str, schedule: &Schedule, violations: &mut Violations) {
    let Schedule::Own { cron, time_zone } = schedule else { return };
    match Recurrence::parse(cron, time_zone) {
        Ok(_) => {}
        Err(RecurrenceError::Cron(error)) => violations.add(format!("{field}.recurrence.cron"), error.to_string()),
        Err(RecurrenceError::Zone(error)) => violations.add(format!("{field}.recurrence.time_zone"), error.to_string()),
    }
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

/// What becomes of those who left; without a word they stay.
fn check_leave_policy(policy: Option<&LeavePolicyInput>, violations: &mut Violations) -> Option<LeavePolicy> {
    match policy {
        None | Some(LeavePolicyInput::Keep) => Some(LeavePolicy::Keep),
        Some(LeavePolicyInput::SetField { field, member_value, left_value }) => {
            let path = "export.leave_policy.set_field";
            let number = u32::try_from(*field).ok().filter(|number| *number > 0);
            if number.is_none() {
                let text = "must be the number of a custom field, 1 to 2147483647";
                violations.add(format!("{path}.field"), text);
            }
            for (name, value) in [("member_value", member_value), ("left_value", left_value)] {
                if !(1..=limits::LEAVE_VALUE_CHARS).contains(&value.chars().count()) {
                    let text = format!("must have 1 to {} characters", limits::LEAVE_VALUE_CHARS);
                    violations.add(format!("{path}.{name}"), text);
                }
            }
            if member_value == left_value {
                violations.add(format!("{path}.left_value"), "must differ from member_value");
            }
            let (member_value, left_value) = (member_value.clone(), left_value.clone());
            number.map(|field| LeavePolicy::SetField { field, member_value, left_value })
        }
        Some(LeavePolicyInput::Unsubscribe { acknowledged: true }) => Some(LeavePolicy::Unsubscribe),
        Some(LeavePolicyInput::Unsubscribe { acknowledged: false }) => {
            let text = "must be true: whoever is unsubscribed is never subscribed again by an export";
            violations.add("export.leave_policy.unsubscribe.acknowledge_irreversible", text);
            None
        }
    }
}

/// A field that says who is a member has that as its only source.
fn check_not_mapped(policy: &LeavePolicy, mappings: &[FieldMapping], violations: &mut Violations) {
    let LeavePolicy::SetField { field, .. } = policy else { return };
    if mappings.iter().any(|mapping| mapping.destination_field == DestinationField::Custom(*field)) {
        let text = format!("custom field {field} is filled by a mapping already; take another field, or map another");
        violations.add("export.leave_policy.set_field.field", text);
    }
}

/// What a caller leaves out has its default.
fn check_guard(guard: Option<(Option<i32>, Option<i64>)>, violations: &mut Violations) -> RemovalGuard {
    let default = RemovalGuard::default();
    let (percent, number) = guard.unwrap_or_default();
    let max_percent = match percent.map(u32::try_from) {
        None => default.max_percent,
        Some(Ok(percent)) if percent <= 100 => percent,
        Some(_) => {
            violations.add("export.removal_guard.max_percent", "must be 0 to 100");
            default.max_percent
        }
    };
    let max_number = match number.map(u64::try_from) {
        None => default.max_number,
        Some(Ok(number)) => number,
        Some(Err(_)) => {
            violations.add("export.removal_guard.max_number", "must be 0 or more");
            default.max_number
        }
    };
    RemovalGuard { max_percent, max_number }
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
