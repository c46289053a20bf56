//! An account: its contacts, its lists, the imports it is working on.

use crate::windows::Window;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Seconds of the simulator's clock after which a batch is being asked about in vain.
const ASSIGNED: f64 = 1.0;
/// Seconds from an import's answer to its end, and contacts a second on top.
const LATENCY: f64 = 6.0;
const SPEED: f64 = 2_000.0;

/// A contact, as the account has it.
#[derive(Debug, Clone, Serialize)]
pub struct ContactView {
    /// Its number.
    pub id: u64,
    /// As it was sent first.
    pub email: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Phone.
    pub phone: String,
    /// Custom fields by number.
    pub fields: BTreeMap<u64, String>,
    /// How often it was sent.
    pub deliveries: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Person {
    pub(crate) view: Option<ContactView>,
    /// List number to whether it is subscribed; `false` has opted out.
    pub(crate) lists: BTreeMap<u64, bool>,
    pub(crate) deliveries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Completes,
    Fails,
    Interrupted,
    Stuck,
}

pub(crate) struct Batch {
    pub(crate) accepted: f64,
    pub(crate) fate: Fate,
    pub(crate) size: usize,
    /// Taken when the batch is worked on.
    pub(crate) contacts: Vec<Value>,
    pub(crate) success: Vec<String>,
    pub(crate) failure: Vec<String>,
    pub(crate) done: bool,
}

pub(crate) struct Account {
    pub(crate) key: String,
    pub(crate) lists: Vec<(u32, String)>,
    pub(crate) fields: Vec<(u32, String)>,
    pub(crate) contact_limit: u64,
    pub(crate) excluded: Vec<String>,
    pub(crate) people: HashMap<String, Person>,
    pub(crate) batches: HashMap<String, Batch>,
    pub(crate) open: Vec<String>,
    pub(crate) many: Window,
    pub(crate) one: Window,
    pub(crate) all: Window,
    pub(crate) requests: HashMap<&'static str, u64>,
    pub(crate) next_id: u64,
    pub(crate) bytes: u64,
    pub(crate) largest: usize,
}

impl Account {
    pub(crate) fn new(key: String, lists: Vec<(u32, String)>, fields: Vec<(u32, String)>) -> Self {
        Self {
            key,
            lists,
            fields,
            contact_limit: u64::MAX,
            excluded: Vec::new(),
            people: HashMap::new(),
            batches: HashMap::new(),
            open: Vec::new(),
            many: Window::new(100, 60.0),
            one: Window::new(20, 60.0),
            all: Window::new(5, 1.0),
            requests: HashMap::new(),
            next_id: 1,
            bytes: 0,
            largest: 0,
        }
    }

    pub(crate) fn accept(&mut self, id: String, contacts: Vec<Value>, accepted: f64, fate: Fate) {
        for contact in &contacts {
            self.people.entry(identity(contact)).or_default().deliveries += 1;
        }
        let batch = Batch {
            accepted,
            fate,
            size: contacts.len(),
            contacts,
            success: Vec::new(),
            failure: Vec::new(),
            done: false,
        };
        self.batches.insert(id.clone(), batch);
        self.open.push(id);
    }

    /// Works on the batches that are due. Contacts change now, not when they were posted.
    pub(crate) fn work(&mut self, now: f64) {
        let due: Vec<String> = self.open.iter().filter(|id| self.is_due(id, now)).cloned().collect();
        for id in due {
            self.open.retain(|other| *other != id);
            let Some(mut batch) = self.batches.remove(&id) else { continue };
            if batch.fate == Fate::Completes {
                for contact in std::mem::take(&mut batch.contacts) {
                    let email = email(&contact);
                    match self.apply(&contact) {
                        Some(number) => batch.success.push(number.to_string()),
                        None => batch.failure.push(email),
                    }
                }
            }
            batch.done = true;
            self.batches.insert(id, batch);
        }
    }

    fn is_due(&self, id: &str, now: f64) -> bool {
        self.batches.get(id).is_some_and(|batch| {
            let needs = LATENCY + batch.size as f64 / SPEED;
            batch.fate != Fate::Stuck && now - batch.accepted >= needs
        })
    }

    /// Upserts a contact by its address; nothing if it fails.
    fn apply(&mut self, contact: &Value) -> Option<u64> {
        let key = identity(contact);
        let known = self.people.get(&key).and_then(|person| person.view.as_ref()).is_some();
        let room = known || self.next_id <= self.contact_limit;
        if !room || self.excluded.contains(&key) || !crate::import::passes_second_check(&email(contact)) {
            return None;
        }
        let person = self.people.entry(key).or_default();
        for list in numbers(contact, "subscribe") {
            // An import never takes back an opt-out.
            if person.lists.get(&list) == Some(&false) {
                return None;
            }
        }
        if person.view.is_none() {
            person.view = Some(ContactView {
                id: self.next_id,
                email: email(contact),
                first_name: String::new(),
                last_name: String::new(),
                phone: String::new(),
                fields: BTreeMap::new(),
                deliveries: 0,
            });
            self.next_id += 1;
        }
        for list in numbers(contact, "subscribe") {
            person.lists.insert(list, true);
        }
        for list in numbers(contact, "unsubscribe") {
            person.lists.insert(list, false);
        }
        let view = person.view.as_mut()?;
        for (slot, name) in
            [(&mut view.first_name, "first_name"), (&mut view.last_name, "last_name"), (&mut view.phone, "phone")]
        {
            if let Some(value) = contact[name].as_str() {
                value.clone_into(slot);
            }
        }
        for field in contact["fields"].as_array().into_iter().flatten() {
            if let (Some(number), Some(value)) = (number(&field["id"]), field["value"].as_str()) {
                view.fields.insert(number, value.to_owned());
            }
        }
        Some(view.id)
    }

    /// What `import/info` says of a batch.
    pub(crate) fn status(&self, id: &str, now: f64) -> Value {
        let nothing = serde_json::json!({"status": false, "success": [], "failure": []});
        let Some(batch) = self.batches.get(id) else { return nothing };
        let age = now - batch.accepted;
        let word = match (batch.done, batch.fate) {
            (true, Fate::Completes) => "completed",
            (true, Fate::Fails) => "failed",
            (true, Fate::Interrupted) => "interrupted",
            (true | false, Fate::Stuck) => "waiting",
            (false, _) if age < ASSIGNED => return nothing,
            (false, _) if age < LATENCY / 2.0 => "waiting",
            (false, _) if age < LATENCY * 0.8 => "claimed",
            (false, _) => "active",
        };
        serde_json::json!({"status": word, "success": batch.success, "failure": batch.failure})
    }

    pub(crate) fn count(&mut self, class: &'static str) {
        *self.requests.entry(class).or_default() += 1;
    }
}

pub(crate) fn email(contact: &Value) -> String {
    contact["email"].as_str().unwrap_or_default().to_owned()
}

fn identity(contact: &Value) -> String {
    email(contact).trim().to_lowercase()
}

/// A number, or text that is one: the schema and its examples differ.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn numbers(contact: &Value, name: &str) -> Vec<u64> {
    contact[name].as_array().into_iter().flatten().filter_map(|entry| number(&entry["listid"])).collect()
}
