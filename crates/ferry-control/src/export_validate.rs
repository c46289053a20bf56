//! What a run of an export would meet, asked of the destination and the segments.

use crate::Control;
use crate::control::call_failure;
use crate::export::parse;
use crate::segment::blocking;
use ferry_destinations::activecampaign::{CallError, Fields};
use ferry_domain::authz::action::ValidateExport;
use ferry_domain::authz::{Actor, permit};
use ferry_domain::export::DestinationField;
use ferry_domain::{Error, Export, ExportSettings, FieldMapping, LeavePolicy, Reason, Result, limits};
use ferry_segments::Catalogue;
use std::time::Duration;

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

impl Control {
    /// Asks the destination and the segments what a run would meet.
    pub async fn validate_export(&self, actor: &Actor, name: &str) -> Result<Validation> {
        let name = parse("name", name)?;
        let target = self.target::<ValidateExport>(actor, &name).await?;
        let found =
            self.granted(|store| Ok(store.export_credentials(permit::<ValidateExport>(actor, target)?)))?.await?;
        let _probe = self.probes.begin(&name.tenant)?;
        let destination = match self.destination(actor, &found.connection, &found.secret).await {
            Err(Error::FailedPrecondition { reason, .. }) => {
                // Which host or secret it is, only administrators may know.
                let text = "the connection cannot be used as it is; an administrator calls VerifyConnection";
                let problems = vec![(reason, text.to_owned())];
                return Ok(Validation { problems, ..Validation::default() });
            }
            other => other?,
        };
        let mut validation = Validation::default();
        // Contributors may not know the host, and the text is for them too.
        let host = "the destination";
        let ExportSettings::Activecampaign { list_id, .. } = found.export.settings;
        match destination.list(list_id).await? {
            Ok(Some(list_name)) => validation.list_name = list_name,
            Ok(None) => {
                validation.problems.push((Reason::ListNotFound, format!("list {list_id} does not exist at {host}")));
            }
            Err(error) => validation.problems.push(call_failure(&error, host)),
        }
        let custom = custom_fields(&found.export);
        if !custom.is_empty() && validation.problems.is_empty() {
            check_fields(destination.fields().await?, &custom, host, &mut validation);
        }
        for other in &found.neighbours {
            validation.warnings.extend(repetition(&found.export, other));
            validation.warnings.extend(contradiction(&found.export, other));
        }
        let catalogue = self.catalogue(&name.tenant).await?;
        let export = found.export;
        blocking(move || {
            check_segments(&catalogue, &export, &mut validation);
            validation
        })
        .await
    }
}

fn custom_fields(export: &Export) -> Vec<u32> {
    let number = |mapping: &FieldMapping| match mapping.destination_field {
        DestinationField::Custom(number) => Some(number),
        DestinationField::Email
        | DestinationField::FirstName
        | DestinationField::LastName
        | DestinationField::Phone => None,
    };
    let set = match export.leave_policy {
        LeavePolicy::SetField { field, .. } => Some(field),
        LeavePolicy::Keep | LeavePolicy::Unsubscribe => None,
    };
    export.field_mappings.iter().filter_map(number).chain(set).collect()
}

/// What an export fills a field of the account with.
enum Source<'a> {
    Column(&'a str),
    /// Whether a person is a member of this export's segments.
    Membership,
}

fn sources(export: &Export) -> impl Iterator<Item = (DestinationField, Source<'_>)> {
    let mapped = export
        .field_mappings
        .iter()
        .map(|mapping| (mapping.destination_field, Source::Column(&mapping.profile_column)));
    let set = match export.leave_policy {
        LeavePolicy::SetField { field, .. } => Some((DestinationField::Custom(field), Source::Membership)),
        LeavePolicy::Keep | LeavePolicy::Unsubscribe => None,
    };
    // The address is what people are known by, whatever its column is called.
    mapped.filter(|(field, _)| *field != DestinationField::Email).chain(set)
}

/// What two exports send to one list both: it takes twice as long, and if they do not fill the same fields, the last
/// run wins.
fn repetition(export: &Export, other: &Export) -> Option<String> {
    let list = |export: &Export| match export.settings {
        ExportSettings::Activecampaign { list_id, .. } => list_id,
    };
    if list(export) != list(other) {
        return None;
    }
    let common: Vec<String> =
        export.segments.iter().filter(|id| other.segments.contains(id)).map(|id| format!("`{id}`")).collect();
    let (common, other, list) = (common.join(", "), &other.name, list(export));
    let text = format!(
        "`{other}` sends {common} to list {list} of the same account too; one export for each segment and list is enough"
    );
    (!common.is_empty()).then_some(text)
}

/// What two exports fill differently in one account: for a person in both, the last run wins.
fn contradiction(export: &Export, other: &Export) -> Option<String> {
    let differs = |one: &Source<'_>, other: &Source<'_>| match (one, other) {
        (Source::Column(one), Source::Column(other)) => one != other,
        // Each knows only its own members, even with the same two values.
        _ => true,
    };
    let fields: Vec<String> = sources(export)
        .filter(|(field, source)| sources(other).any(|(same, with)| same == *field && differs(source, &with)))
        .map(|(field, _)| match field {
            DestinationField::Custom(number) => format!("custom field {number}"),
            named => named.to_string(),
        })
        .collect();
    let (fields, other) = (fields.join(", "), &other.name);
    let text = format!(
        "`{other}` fills {fields} in the same account from another source; for people in both the last run wins"
    );
    (!fields.is_empty()).then_some(text)
}

fn check_fields(
    found: std::result::Result<Fields, CallError>,
    custom: &[u32],
    host: &str,
    validation: &mut Validation,
) {
    match found {
        Ok(fields) => {
            for number in custom.iter().filter(|number| !fields.have(**number)) {
                let text = format!("custom field {number} does not exist at {host}");
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
        let minutes = members.div_ceil(250) as f64 / 100.0;
        validation.estimated_duration = Some(Duration::from_secs_f64(minutes * 60.0));
        if members > limits::PROFILES_PER_RUN {
            let text =
                format!("{members} members; a run carries at most {} and would be skipped", limits::PROFILES_PER_RUN);
            validation.warnings.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use ferry_domain::{ExportName, RemovalGuard, Schedule, SegmentId, Timestamp};

    fn export(mappings: &[(&str, &str)], set: Option<u32>) -> Export {
        let mapping = |(field, column): &(&str, &str)| FieldMapping {
            destination_field: DestinationField::parse(field).unwrap(),
            profile_column: (*column).to_owned(),
        };
        let policy = |field| LeavePolicy::SetField { field, member_value: "in".into(), left_value: "out".into() };
        Export {
            name: ExportName::parse("tenants/acme/exports/weekly").unwrap(),
            uid: String::new(),
            display_name: String::new(),
            connection: None,
            segments: Vec::new(),
            settings: ExportSettings::Activecampaign { list_id: 3, exclude_automations: true },
            field_mappings: mappings.iter().map(mapping).collect(),
            leave_policy: set.map_or(LeavePolicy::Keep, policy),
            removal_guard: RemovalGuard::default(),
            schedule: Schedule::Off,
            latest_run: None,
            updated_by: String::new(),
            version: 1,
            create_time: Timestamp::from_millis(0),
            update_time: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn e21_two_exports_repeat_each_other_where_list_and_segment_are_the_same() {
        let of = |list_id: u32, segments: &[&str]| Export {
            settings: ExportSettings::Activecampaign { list_id, exclude_automations: true },
            segments: segments.iter().map(|id| SegmentId::parse(id).unwrap()).collect(),
            ..export(&[("email", "email")], None)
        };
        let own = of(3, &["people", "buyers", "others"]);
        assert_eq!(repetition(&own, &of(3, &["nobody"])), None);
        assert_eq!(repetition(&own, &of(4, &["people", "buyers", "others"])), None, "another list");
        let found = repetition(&own, &of(3, &["others", "people"])).unwrap();
        assert!(found.starts_with("`tenants/acme/exports/weekly` sends `people`, `others` to list 3 "), "{found}");
    }

    #[test]
    fn two_exports_contradict_each_other_where_they_fill_a_field_from_other_sources() {
        let own = export(&[("email", "mail"), ("phone", "phone"), ("7", "score"), ("8", "tier")], Some(9));
        for (mappings, set, fields) in [
            (vec![("email", "address"), ("phone", "phone"), ("6", "x")], None, None),
            (vec![("phone", "mobile"), ("7", "score"), ("8", "level")], None, Some("phone, custom field 8")),
            (vec![("9", "member")], None, Some("custom field 9")),
            (vec![], Some(7), Some("custom field 7")),
            (vec![], Some(9), Some("custom field 9")),
        ] {
            let found = contradiction(&own, &export(&mappings, set));
            assert_eq!(found.is_some(), fields.is_some(), "{found:?}");
            assert!(
                fields.is_none_or(|fields| found.clone().unwrap().contains(&format!("fills {fields} in"))),
                "{found:?}"
            );
        }
    }
}
