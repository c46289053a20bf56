//! What a file can say of a connection, an export and the refresh: the same values, whether they come from a file or
//! from the service, in the one form in which the service keeps them.

use super::yaml::Yaml;
use ferry_proto::v1 as pb;
use pb::connection::Access;
use pb::refresh_schedule::{Cadence, Day};

/// The one type of destination, and the key of its settings.
pub(super) const ACTIVECAMPAIGN: &str = "activecampaign";
pub(super) const MAX_PERCENT: i32 = 10;
pub(super) const MAX_NUMBER: i64 = 10_000;

/// A field as a file has it.
pub(super) type Field = (&'static str, Yaml);

/// Where the API key of a connection comes from, as far as a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// Nothing is said: it stays as it is.
    Unsaid,
    /// Named, and read by the service at each use.
    Reference(String),
    /// Read here from a variable, when the service needs it.
    Variable(String),
    /// Read here from a file, when the service needs it.
    File(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) display_name: String,
    pub(super) host: String,
    pub(super) secret: Secret,
    pub(super) access: Access,
    /// The version of the text that was agreed to; unsaid, it stays as it is.
    pub(super) consent: Option<String>,
}

impl Connection {
    pub(super) fn of(found: &pb::Connection) -> Result<Self, String> {
        let settings = match found.settings.as_ref().and_then(|settings| settings.settings.as_ref()) {
            Some(pb::connection_settings::Settings::Activecampaign(settings)) => settings,
            None => return Err(unknown("settings")),
        };
        let reference = &settings.secret_reference;
        let access = match found.access() {
            Access::Unspecified => return Err(unknown("access")),
            access => access,
        };
        Ok(Self {
            display_name: found.display_name.clone(),
            host: settings.host.clone(),
            secret: if reference.is_empty() { Secret::Unsaid } else { Secret::Reference(reference.clone()) },
            access,
            consent: found.consent.as_ref().map(|consent| consent.text_version.clone()),
        })
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let mut settings = vec![("host", Yaml::text(&self.host))];
        settings.extend(match &self.secret {
            Secret::Unsaid => None,
            Secret::Reference(reference) => Some(("secret_reference", Yaml::text(reference))),
            Secret::Variable(name) => Some(("api_key_env", Yaml::text(name))),
            Secret::File(path) => Some(("api_key_file", Yaml::text(path))),
        });
        let mut fields = vec![
            ("display_name", Yaml::text(&self.display_name)),
            (ACTIVECAMPAIGN, Yaml::map(settings)),
            ("access", Yaml::text(access_word(self.access))),
        ];
        fields.extend(self.consent.as_ref().map(|version| ("consent", Yaml::text(version))));
        fields
    }

    /// As a request has it; the key is not part of what a file says.
    pub(super) fn message(&self, api_key: &str) -> pb::Connection {
        let secret_reference = match &self.secret {
            Secret::Reference(reference) => reference.clone(),
            Secret::Unsaid | Secret::Variable(_) | Secret::File(_) => String::new(),
        };
        let settings = pb::ActiveCampaignConnection {
            host: self.host.clone(),
            api_key: api_key.to_owned(),
            secret_reference,
            ..pb::ActiveCampaignConnection::default()
        };
        let settings = Some(pb::connection_settings::Settings::Activecampaign(settings));
        let consent =
            |version: &String| pb::Consent { accepted: true, text_version: version.clone(), ..pb::Consent::default() };
        pb::Connection {
            display_name: self.display_name.clone(),
            destination_type: ACTIVECAMPAIGN.to_owned(),
            settings: Some(pb::ConnectionSettings { settings }),
            access: self.access.into(),
            consent: self.consent.as_ref().map(consent),
            ..pb::Connection::default()
        }
    }
}

/// What happens to those who left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leave {
    Keep,
    SetField { field: i32, member_value: String, left_value: String },
    Unsubscribe { acknowledged: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Schedule {
    WithRefresh,
    Off,
    Own { cron: String, time_zone: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Export {
    pub(super) display_name: String,
    /// None when it is detached.
    pub(super) connection: Option<String>,
    pub(super) segments: Vec<String>,
    pub(super) list_id: String,
    pub(super) exclude_automations: bool,
    /// Destination field and column, in the order of the fields, which means nothing to the service.
    pub(super) mappings: Vec<(String, String)>,
    pub(super) leave: Leave,
    pub(super) max_percent: i32,
    pub(super) max_number: i64,
    pub(super) schedule: Schedule,
}

impl Export {
    pub(super) fn of(found: &pb::Export) -> Result<Self, String> {
        let settings = match found.settings.as_ref().and_then(|settings| settings.settings.as_ref()) {
            Some(pb::export_settings::Settings::Activecampaign(settings)) => settings,
            None => return Err(unknown("settings")),
        };
        let guard = found.removal_guard.unwrap_or_default();
        let mapping = |mapping: &pb::FieldMapping| (number(&mapping.destination_field), mapping.profile_column.clone());
        let mut mappings: Vec<_> = found.field_mappings.iter().map(mapping).collect();
        mappings.sort_by_key(|(field, _)| order(field));
        Ok(Self {
            display_name: found.display_name.clone(),
            connection: (!found.connection.is_empty()).then(|| last(&found.connection)),
            segments: found.segments.iter().map(|name| last(name)).collect(),
            list_id: number(&settings.list_id),
            exclude_automations: settings.exclude_automations.unwrap_or(true),
            mappings,
            leave: leave(found)?,
            max_percent: guard.max_percent.unwrap_or(MAX_PERCENT),
            max_number: guard.max_number.unwrap_or(MAX_NUMBER),
            schedule: schedule(found)?,
        })
    }

    /// What has its default is left out, but for the schedule: people look for that.
    pub(super) fn fields(&self) -> Vec<Field> {
        let connection = self.connection.as_ref().map_or(Yaml::word("null"), |id| Yaml::text(id));
        let mut settings = vec![("list_id", Yaml::word(&self.list_id))];
        if !self.exclude_automations {
            settings.push(("exclude_automations", Yaml::word(false)));
        }
        let mapping = |(field, column): &(String, String)| (field.clone(), Yaml::text(column));
        let mut fields = vec![
            ("display_name", Yaml::text(&self.display_name)),
            ("connection", connection),
            ("segments", Yaml::List(self.segments.iter().map(|id| Yaml::text(id)).collect())),
            (ACTIVECAMPAIGN, Yaml::map(settings)),
            ("field_mappings", Yaml::Map(self.mappings.iter().map(mapping).collect())),
        ];
        let policy = match &self.leave {
            Leave::Keep => None,
            Leave::SetField { field, member_value, left_value } => Some(Yaml::map([(
                "set_field",
                Yaml::map([
                    ("field", Yaml::word(field)),
                    ("member_value", Yaml::text(member_value)),
                    ("left_value", Yaml::text(left_value)),
                ]),
            )])),
            Leave::Unsubscribe { acknowledged } => {
                Some(Yaml::map([("unsubscribe", Yaml::map([("acknowledge_irreversible", Yaml::word(acknowledged))]))]))
            }
        };
        fields.extend(policy.map(|policy| ("leave_policy", policy)));
        if (self.max_percent, self.max_number) != (MAX_PERCENT, MAX_NUMBER) {
            let guard = [("max_percent", Yaml::word(self.max_percent)), ("max_number", Yaml::word(self.max_number))];
            fields.push(("removal_guard", Yaml::map(guard)));
        }
        fields.push((
            "schedule",
            match &self.schedule {
                Schedule::WithRefresh => Yaml::text("with_refresh"),
                Schedule::Off => Yaml::text("off"),
                Schedule::Own { cron, time_zone } => {
                    Yaml::map([("cron", Yaml::text(cron)), ("time_zone", Yaml::text(time_zone))])
                }
            },
        ));
        fields
    }

    /// As a request has it. Everything is said, so that no default of the service is asked for.
    pub(super) fn message(&self, tenant: &str) -> pb::Export {
        let settings = pb::ActiveCampaignExport {
            list_id: self.list_id.clone(),
            exclude_automations: Some(self.exclude_automations),
        };
        let settings = Some(pb::export_settings::Settings::Activecampaign(settings));
        let mapping = |(field, column): &(String, String)| pb::FieldMapping {
            destination_field: field.clone(),
            profile_column: column.clone(),
        };
        use pb::{export_schedule as schedules, leave_policy as policies};
        let policy = match &self.leave {
            Leave::Keep => policies::Policy::Keep(policies::Keep {}),
            Leave::SetField { field, member_value, left_value } => policies::Policy::SetField(policies::SetField {
                field: *field,
                member_value: member_value.clone(),
                left_value: left_value.clone(),
            }),
            Leave::Unsubscribe { acknowledged } => {
                policies::Policy::Unsubscribe(policies::Unsubscribe { acknowledge_irreversible: *acknowledged })
            }
        };
        let schedule = match &self.schedule {
            Schedule::WithRefresh => schedules::Schedule::WithRefresh(schedules::WithRefresh {}),
            Schedule::Off => schedules::Schedule::Off(schedules::Off {}),
            Schedule::Own { cron, time_zone } => schedules::Schedule::Recurrence(schedules::Recurrence {
                cron: cron.clone(),
                time_zone: time_zone.clone(),
            }),
        };
        let connection = |id: &String| format!("tenants/{tenant}/connections/{id}");
        pb::Export {
            display_name: self.display_name.clone(),
            connection: self.connection.as_ref().map(connection).unwrap_or_default(),
            segments: self.segments.iter().map(|id| format!("tenants/{tenant}/segments/{id}")).collect(),
            settings: Some(pb::ExportSettings { settings }),
            field_mappings: self.mappings.iter().map(mapping).collect(),
            leave_policy: Some(pb::LeavePolicy { policy: Some(policy) }),
            removal_guard: Some(pb::RemovalGuard {
                max_percent: Some(self.max_percent),
                max_number: Some(self.max_number),
            }),
            schedule: Some(pb::ExportSchedule { schedule: Some(schedule) }),
            ..pb::Export::default()
        }
    }
}

fn leave(found: &pb::Export) -> Result<Leave, String> {
    use pb::leave_policy::Policy;
    Ok(match found.leave_policy.as_ref().and_then(|policy| policy.policy.as_ref()) {
        Some(Policy::Keep(_)) => Leave::Keep,
        Some(Policy::SetField(set)) => Leave::SetField {
            field: set.field,
            member_value: set.member_value.clone(),
            left_value: set.left_value.clone(),
        },
        Some(Policy::Unsubscribe(set)) => Leave::Unsubscribe { acknowledged: set.acknowledge_irreversible },
        None => return Err(unknown("leave_policy")),
    })
}

fn schedule(found: &pb::Export) -> Result<Schedule, String> {
    use pb::export_schedule::Schedule as Found;
    Ok(match found.schedule.as_ref().and_then(|schedule| schedule.schedule.as_ref()) {
        Some(Found::WithRefresh(_)) => Schedule::WithRefresh,
        Some(Found::Off(_)) => Schedule::Off,
        Some(Found::Recurrence(own)) => Schedule::Own { cron: own.cron.clone(), time_zone: own.time_zone.clone() },
        None => return Err(unknown("schedule")),
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refresh {
    pub(super) active: bool,
    pub(super) cadence: Cadence,
    /// In the order of the week.
    pub(super) days: Vec<Day>,
    /// In the order of the day.
    pub(super) times: Vec<String>,
    pub(super) time_zone: String,
}

impl Refresh {
    pub(super) fn of(found: &pb::RefreshSchedule) -> Result<Self, String> {
        let cadence = match found.cadence() {
            Cadence::Unspecified => return Err(unknown("cadence")),
            cadence => cadence,
        };
        let mut days: Vec<Day> = found.days().collect();
        if days.contains(&Day::Unspecified) || days.len() != found.days.len() {
            return Err(unknown("days"));
        }
        days.sort_unstable();
        let mut times = found.times.clone();
        times.sort_unstable();
        Ok(Self { active: found.active, cadence, days, times, time_zone: found.time_zone.clone() })
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        vec![
            ("active", Yaml::word(self.active)),
            ("cadence", Yaml::text(cadence_word(self.cadence))),
            ("days", Yaml::List(self.days.iter().map(|day| Yaml::text(&day_word(*day))).collect())),
            ("times", Yaml::List(self.times.iter().map(|time| Yaml::text(time)).collect())),
            ("time_zone", Yaml::text(&self.time_zone)),
        ]
    }

    pub(super) fn message(&self, tenant: &str) -> pb::RefreshSchedule {
        pb::RefreshSchedule {
            name: format!("tenants/{tenant}/refreshSchedule"),
            active: self.active,
            cadence: self.cadence.into(),
            days: self.days.iter().map(|day| i32::from(*day)).collect(),
            times: self.times.clone(),
            time_zone: self.time_zone.clone(),
            ..pb::RefreshSchedule::default()
        }
    }
}

/// Of what only a newer version can read, nothing may be said.
fn unknown(field: &str) -> String {
    format!("its {field} is of a kind that this version of `ferry` does not know; use a newer one")
}

pub(super) const ACCESS_WORDS: [&str; 2] = ["administrators", "administrators_and_contributors"];

fn access_word(access: Access) -> &'static str {
    match access {
        Access::AdministratorsAndContributors => ACCESS_WORDS[1],
        Access::Administrators | Access::Unspecified => ACCESS_WORDS[0],
    }
}

pub(super) const CADENCE_WORDS: [&str; 2] = ["weekly", "daily"];

fn cadence_word(cadence: Cadence) -> &'static str {
    match cadence {
        Cadence::Daily => CADENCE_WORDS[1],
        Cadence::Weekly | Cadence::Unspecified => CADENCE_WORDS[0],
    }
}

pub(super) const DAYS: [Day; 7] =
    [Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday, Day::Saturday, Day::Sunday];

pub(super) fn day_word(day: Day) -> String {
    day.as_str_name().trim_start_matches("DAY_").to_lowercase()
}

/// The id that a name ends with.
pub(super) fn last(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A number as the service keeps it; what is none is left to the service to refuse.
pub(super) fn number(text: &str) -> String {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u32>().ok().filter(|_| digits).map_or_else(|| text.to_owned(), |number| number.to_string())
}

/// Named fields first, then custom ones by number.
pub(super) fn order(field: &str) -> (usize, u32, String) {
    const NAMED: [&str; 4] = ["email", "first_name", "last_name", "phone"];
    let named = NAMED.iter().position(|name| *name == field).unwrap_or(NAMED.len());
    (named, field.parse().unwrap_or(u32::MAX), field.to_owned())
}
