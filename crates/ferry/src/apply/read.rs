//! Files that say what a tenant should have: what they say, and all that is wrong with them.

use super::fields::{Entries, Reading};
use super::model::{
    ACCESS_WORDS, ACTIVECAMPAIGN, CADENCE_WORDS, Connection, DAYS, Export, Leave, MAX_NUMBER, MAX_PERCENT, Refresh,
    Schedule, Secret, day_word, number, order,
};
use super::yaml::{self, Fault, Key, Node, Place, Value};
use ferry_proto::v1 as pb;
use pb::connection::Access;
use pb::refresh_schedule::Cadence;
use std::collections::BTreeMap;

/// The form that this version reads.
const VERSION: &str = "1";
const SECTIONS: [&str; 5] = ["version", "tenant", "connections", "exports", "refresh_schedule"];
const SECRETS: [&str; 3] = ["secret_reference", "api_key_env", "api_key_file"];

/// A text with the name that people know it by.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// Something declared.
#[derive(Debug)]
pub(super) struct Item<T> {
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) wanted: T,
    /// Where its fields stand, by the API's names for them.
    places: BTreeMap<String, Place>,
}

impl<T> Item<T> {
    /// Where a field stands that the service names, like `export.segments[1]`.
    pub(super) fn place_of(&self, field: &str) -> Place {
        let mut path = field.split_once('.').map_or("", |(_, path)| path);
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            let Some(end) = path.rfind(['.', '[']) else { return self.place };
            path = &path[..end];
        }
    }
}

/// All that the files say.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) tenant: Option<(String, Place)>,
    pub(super) connections: Vec<Item<Connection>>,
    pub(super) exports: Vec<Item<Export>>,
    pub(super) refresh: Option<Item<Refresh>>,
    /// Whether there is a section of exports: without one, none is to be removed.
    pub(super) says_exports: bool,
}

/// Reads the files as one.
pub(super) fn read(sources: &[Source]) -> Result<Declared, Vec<Fault>> {
    let mut declared = Declared::default();
    let mut reading = Reading::default();
    for (file, source) in sources.iter().enumerate() {
        match yaml::documents(&source.text, file) {
            Err(fault) => reading.faults.push(fault),
            Ok(documents) => {
                let documents: Vec<_> = documents.iter().filter(|document| !document.is_nothing()).collect();
                if documents.is_empty() {
                    let place = Place { file, line: 1, column: 1 };
                    reading.fault(place, "it says nothing; a file begins with `version: 1`");
                }
                documents.into_iter().for_each(|document| reading.document(document, &mut declared));
            }
        }
    }
    if reading.faults.is_empty() {
        return Ok(declared);
    }
    reading.faults.sort_by_key(|fault| fault.place);
    Err(reading.faults)
}

impl Reading {
    fn document(&mut self, node: &Node, declared: &mut Declared) {
        let Some(entries) = self.map(node, "the file", &SECTIONS) else { return };
        match self.needed_text(&entries, "version") {
            Some(version) if version != VERSION => {
                let text = format!("version {version} is not known; this version of `ferry` reads version {VERSION}");
                self.fault(entries.place("version"), text);
            }
            _ => {}
        }
        if let Some(node) = entries.get("tenant") {
            let tenant = self.text(node, "tenant");
            match (&declared.tenant, tenant) {
                (Some((before, _)), Some(tenant)) if *before != tenant => {
                    self.fault(node.place, format!("`{tenant}` is another tenant than `{before}`; apply them apart"));
                }
                (None, Some(tenant)) => declared.tenant = Some((tenant, node.place)),
                _ => {}
            }
        }
        self.section(&entries, "connections", |reading, key, node| {
            let item = reading.connection(key, node)?;
            add(&mut declared.connections, item, reading);
            Some(())
        });
        // A section whose entries are all commented out is none.
        declared.says_exports |= entries.get("exports").is_some_and(|node| !node.is_nothing());
        self.section(&entries, "exports", |reading, key, node| {
            let item = reading.export(key, node)?;
            add(&mut declared.exports, item, reading);
            Some(())
        });
        if let Some(node) = entries.get("refresh_schedule") {
            let place = entries.place("refresh_schedule");
            if declared.refresh.is_some() {
                self.fault(place, "`refresh_schedule` stands in another file or document already");
            }
            declared.refresh = self.refresh(node, place);
        }
    }

    /// A mapping from ids.
    fn section<'a>(
        &mut self,
        entries: &Entries<'a>,
        name: &str,
        mut each: impl FnMut(&mut Self, &'a Key, &'a Node) -> Option<()>,
    ) {
        let Some(node) = entries.get(name).filter(|node| !node.is_nothing()) else { return };
        let Some(ids) = self.any(node, &format!("`{name}`")) else { return };
        for (key, node) in ids.iter() {
            let before = self.faults.len();
            // What is not taken must be told, or it would be left out without a word.
            if each(self, key, node).is_none() && self.faults.len() == before {
                self.fault(key.place, format!("`{}` cannot be read", key.name));
            }
        }
    }

    fn connection(&mut self, key: &Key, node: &Node) -> Option<Item<Connection>> {
        let what = format!("connection `{}`", key.name);
        let entries = self.map(node, &what, &["display_name", ACTIVECAMPAIGN, "access", "consent"])?;
        let display_name = self.needed_text(&entries, "display_name");
        let settings = self.needed(&entries, ACTIVECAMPAIGN);
        let known = ["host", SECRETS[0], SECRETS[1], SECRETS[2]];
        let settings = settings.and_then(|node| self.map(node, &format!("`{ACTIVECAMPAIGN}` of {what}"), &known));
        let mut places = places(&entries, &["display_name", "access", "consent"]);
        let (mut host, mut secret) = (None, Secret::Unsaid);
        if let Some(settings) = &settings {
            host = self.needed_text(settings, "host");
            places.insert("settings.activecampaign.host".to_owned(), settings.place("host"));
            secret = self.secret(settings, &mut places);
        }
        let access = entries.get("access").and_then(|node| self.word(node, "access", &ACCESS_WORDS));
        let wanted = Connection {
            display_name: display_name?,
            // As the service keeps it.
            host: host?.to_ascii_lowercase(),
            secret,
            access: if access == Some(1) { Access::AdministratorsAndContributors } else { Access::Administrators },
            consent: entries.get("consent").and_then(|node| self.text(node, "consent")),
        };
        Some(Item { id: key.name.clone(), place: key.place, wanted, places })
    }

    fn secret(&mut self, settings: &Entries<'_>, places: &mut BTreeMap<String, Place>) -> Secret {
        let mut given = Secret::Unsaid;
        for name in SECRETS {
            let Some(node) = settings.get(name) else { continue };
            let Some(text) = self.text(node, name) else { continue };
            if given != Secret::Unsaid {
                self.fault(settings.place(name), format!("give one of: {}", SECRETS.join(", ")));
            }
            let field = if name == SECRETS[0] { name } else { "api_key" };
            places.insert(format!("settings.activecampaign.{field}"), node.place);
            given = match name {
                "secret_reference" => Secret::Reference(text),
                "api_key_env" => Secret::Variable(text),
                _ => Secret::File(text),
            };
        }
        given
    }

    fn export(&mut self, key: &Key, node: &Node) -> Option<Item<Export>> {
        const KEYS: [&str; 8] = [
            "display_name",
            "connection",
            "segments",
            ACTIVECAMPAIGN,
            "field_mappings",
            "leave_policy",
            "removal_guard",
            "schedule",
        ];
        let what = format!("export `{}`", key.name);
        let entries = self.map(node, &what, &KEYS)?;
        let mut places = places(&entries, &KEYS);
        places.insert("settings".to_owned(), entries.place(ACTIVECAMPAIGN));
        let display_name = self.needed_text(&entries, "display_name");
        let connection = self.needed(&entries, "connection");
        let connection = connection.map(|node| if node.is_nothing() { None } else { self.text(node, "connection") });
        let segments = self.needed(&entries, "segments").map(|node| self.texts(node, "segments"));
        for (position, (_, place)) in segments.iter().flatten().enumerate() {
            places.insert(format!("segments[{position}]"), *place);
        }
        let settings = self.needed(&entries, ACTIVECAMPAIGN);
        let known = ["list_id", "exclude_automations"];
        let settings = settings.and_then(|node| self.map(node, &format!("`{ACTIVECAMPAIGN}` of {what}"), &known));
        let (mut list_id, mut exclude_automations) = (None, true);
        if let Some(settings) = &settings {
            list_id = self.needed_text(settings, "list_id");
            exclude_automations = self.boolean(settings, "exclude_automations", true);
            places.insert("settings.activecampaign.list_id".to_owned(), settings.place("list_id"));
        }
        let mappings = self.needed(&entries, "field_mappings").map(|node| self.mappings(node, &mut places));
        let leave = entries.get("leave_policy").map_or(Some(Leave::Keep), |node| self.leave(node, &mut places));
        let guard = entries.get("removal_guard");
        let guard = guard.and_then(|node| self.map(node, "`removal_guard`", &["max_percent", "max_number"]));
        let (mut max_percent, mut max_number) = (MAX_PERCENT, MAX_NUMBER);
        if let Some(guard) = &guard {
            max_percent = self.number(guard, "max_percent", MAX_PERCENT);
            max_number = self.number(guard, "max_number", MAX_NUMBER);
        }
        let schedule = entries.get("schedule");
        let schedule = schedule.map_or(Some(Schedule::WithRefresh), |node| self.schedule(node, &mut places));
        let wanted = Export {
            display_name: display_name?,
            connection: connection?,
            segments: segments?.into_iter().map(|(id, _)| id).collect(),
            list_id: number(&list_id?),
            exclude_automations,
            mappings: mappings?,
            leave: leave?,
            max_percent,
            max_number,
            schedule: schedule?,
        };
        Some(Item { id: key.name.clone(), place: key.place, wanted, places })
    }

    /// In the order of the fields, as the service is told of them.
    fn mappings(&mut self, node: &Node, places: &mut BTreeMap<String, Place>) -> Vec<(String, String)> {
        let Some(entries) = self.any(node, "`field_mappings`") else { return Vec::new() };
        let mut mappings = Vec::new();
        for (key, node) in entries.iter() {
            if let Some(column) = self.text(node, &key.name) {
                mappings.push((number(&key.name), column, key.place, node.place));
            }
        }
        mappings.sort_by_key(|(field, ..)| order(field));
        for (position, (_, _, key, value)) in mappings.iter().enumerate() {
            places.insert(format!("field_mappings[{position}]"), *key);
            places.insert(format!("field_mappings[{position}].profile_column"), *value);
        }
        mappings.into_iter().map(|(field, column, ..)| (field, column)).collect()
    }

    fn leave(&mut self, node: &Node, places: &mut BTreeMap<String, Place>) -> Option<Leave> {
        if let Value::Scalar(..) = &node.value {
            return self.word(node, "leave_policy", &["keep"]).map(|_| Leave::Keep);
        }
        let entries = self.map(node, "`leave_policy`", &["set_field", "unsubscribe"])?;
        match (entries.get("set_field"), entries.get("unsubscribe")) {
            (Some(node), None) => {
                const KEYS: [&str; 3] = ["field", "member_value", "left_value"];
                let set = self.map(node, "`set_field`", &KEYS)?;
                for name in KEYS {
                    places.insert(format!("leave_policy.set_field.{name}"), set.place(name));
                }
                self.needed(&set, "field")?;
                let field = self.number(&set, "field", 0);
                let (member, left) = (self.needed_text(&set, "member_value"), self.needed_text(&set, "left_value"));
                Some(Leave::SetField { field, member_value: member?, left_value: left? })
            }
            (None, Some(node)) => {
                let set = self.map(node, "`unsubscribe`", &["acknowledge_irreversible"])?;
                Some(Leave::Unsubscribe { acknowledged: self.boolean(&set, "acknowledge_irreversible", false) })
            }
            _ => {
                self.fault(node.place, "`leave_policy` takes one of: keep, set_field, unsubscribe");
                None
            }
        }
    }

    fn schedule(&mut self, node: &Node, places: &mut BTreeMap<String, Place>) -> Option<Schedule> {
        if let Value::Scalar(..) = &node.value {
            let word = self.word(node, "schedule", &["with_refresh", "off"])?;
            return Some(if word == 0 { Schedule::WithRefresh } else { Schedule::Off });
        }
        let entries = self.map(node, "`schedule`", &["cron", "time_zone"])?;
        for name in ["cron", "time_zone"] {
            places.insert(format!("schedule.recurrence.{name}"), entries.place(name));
        }
        let (cron, zone) = (self.needed_text(&entries, "cron"), self.needed_text(&entries, "time_zone"));
        Some(Schedule::Own { cron: cron?, time_zone: zone? })
    }

    fn refresh(&mut self, node: &Node, place: Place) -> Option<Item<Refresh>> {
        const KEYS: [&str; 5] = ["active", "cadence", "days", "times", "time_zone"];
        let entries = self.map(node, "`refresh_schedule`", &KEYS)?;
        let mut places = places(&entries, &KEYS);
        let cadence = entries.get("cadence").and_then(|node| self.word(node, "cadence", &CADENCE_WORDS));
        let mut days = Vec::new();
        let words: Vec<String> = DAYS.iter().map(|day| day_word(*day)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(Node { value: Value::List(items), .. }) = entries.get("days") {
            days.extend(items.iter().filter_map(|day| Some((DAYS[self.word(day, "days", &words)?], day.place))));
        } else if let Some(node) = entries.get("days") {
            self.texts(node, "days");
        }
        let mut times = entries.get("times").map(|node| self.texts(node, "times")).unwrap_or_default();
        // As the service keeps them.
        days.sort_by_key(|(day, _)| *day);
        times.sort_by(|(one, _), (other, _)| one.cmp(other));
        let all = days.iter().map(|(_, place)| ("days", *place)).enumerate();
        for (position, (name, place)) in all.chain(times.iter().map(|(_, place)| ("times", *place)).enumerate()) {
            places.insert(format!("{name}[{position}]"), place);
        }
        let wanted = Refresh {
            active: self.boolean(&entries, "active", false),
            cadence: if cadence == Some(1) { Cadence::Daily } else { Cadence::Weekly },
            days: days.into_iter().map(|(day, _)| day).collect(),
            times: times.into_iter().map(|(time, _)| time).collect(),
            time_zone: entries.get("time_zone").map_or(Some("UTC".to_owned()), |node| self.text(node, "time_zone"))?,
        };
        Some(Item { id: "refresh_schedule".to_owned(), place, wanted, places })
    }
}

/// The same id in two files, or documents, is a mistake: which of them holds?
fn add<T>(items: &mut Vec<Item<T>>, item: Item<T>, reading: &mut Reading) {
    if items.iter().any(|other| other.id == item.id) {
        reading.fault(item.place, format!("`{}` stands in another file or document already", item.id));
    }
    items.push(item);
}

fn places(entries: &Entries<'_>, names: &[&str]) -> BTreeMap<String, Place> {
    names.iter().map(|name| ((*name).to_owned(), entries.place(name))).collect()
}
