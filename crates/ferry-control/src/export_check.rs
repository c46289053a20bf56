//! What is checked of an export before it is stored; all that is wrong comes back at once.

use crate::export::{ExportInput, PATHS};
use crate::segment::blocking;
use ferry_domain::export::DestinationField;
use ferry_domain::{
    ExportSettings, FieldMapping, LeavePolicy, Reason, Result, Schedule, SegmentId, SegmentName, TenantId, Violations,
    limits,
};
use ferry_segments::Catalogue;

/// The checked parts of an input.
pub(crate) struct Checked {
    pub(crate) segments: Option<Vec<SegmentId>>,
    pub(crate) settings: Option<ExportSettings>,
    pub(crate) field_mappings: Option<Vec<FieldMapping>>,
    pub(crate) leave_policy: Option<LeavePolicy>,
    pub(crate) schedule: Option<Schedule>,
}

/// Checks what `paths` name; all that is wrong comes back at once.
pub(crate) async fn check(
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
