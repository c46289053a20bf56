//! How an import is decided: its limits, its contacts, and what becomes of its batch.

use uuid::Uuid;

use super::{Inner, Settings, Simulator};
use crate::api::import::{Import, Prepared};
use crate::api::{Answer, Call, Ruling, reply};
use crate::clock::{Micros, SECOND};
use crate::config::{ContactLimit, Order, SuccessSpelling, UnknownList};
use crate::faults::{FaultKind, refuses};
use crate::journal::{Class, Decision, Fate, ImportRecord};
use crate::store::NewContact;

impl Simulator {
    pub(super) fn rule_import(
        &self,
        inner: &mut Inner,
        settings: &Settings,
        call: &Call<'_>,
        prepared: Prepared,
    ) -> Ruling {
        if let Some(limits) = inner.limits.get_mut(call.host) {
            let limiter = match prepared.class {
                Class::ImportOne => &mut limits.import_one,
                Class::ImportMany | Class::Status | Class::Other => &mut limits.import_many,
            };
            if limiter.admit(call.at).is_err() {
                return Ruling::rate_limited(reply::import_rate_limit(), "imports per minute");
            }
        }
        let import = match prepared.judged {
            Ok(import) => import,
            Err(answer) => return Ruling::refused(*answer, "body did not pass validation"),
        };
        match self.objection(inner, settings, call, &import) {
            Some(ruling) => ruling,
            None => self.accept(inner, settings, call, import),
        }
    }

    /// Why an import of the right form is refused all the same.
    fn objection(&self, inner: &mut Inner, settings: &Settings, call: &Call<'_>, import: &Import) -> Option<Ruling> {
        if let Some(problems) = refuses(call.fault, import.contacts.len()) {
            if let Some(FaultKind::RefuseContact { contact, text }) = call.fault
                && let Some(struck) = contact.checked_sub(1).and_then(|index| import.contacts.get(index))
            {
                inner.refused.insert(struck.email.to_lowercase(), text.clone());
            }
            return Some(Ruling::faulted(reply::contacts_refused(&problems)));
        }
        let problems: Vec<(usize, String)> = if inner.refused.is_empty() {
            Vec::new()
        } else {
            let refused = |contact: &NewContact| inner.refused.get(&contact.email.to_lowercase()).cloned();
            (1..).zip(&import.contacts).filter_map(|(place, contact)| Some((place, refused(contact)?))).collect()
        };
        if !problems.is_empty() {
            return Some(Ruling::refused(reply::contacts_refused(&problems), "contacts refused"));
        }
        let account = inner.state.account(call.host)?;
        let full = account.n_contacts() >= settings.contact_limit;
        match self.options.contact_limit {
            ContactLimit::Refuse403 if full => {
                return Some(Ruling::refused(reply::plan_limit_403(), "contact limit"));
            }
            ContactLimit::Refuse402 if full => return Some(Ruling::refused(Answer::empty(402), "contact limit")),
            ContactLimit::FailContacts | ContactLimit::Refuse403 | ContactLimit::Refuse402 => {}
        }
        let unknown = |contact: &NewContact| contact.subscribe.iter().any(|list| !account.lists.contains_key(list));
        match self.options.unknown_list {
            UnknownList::Ignore => None,
            UnknownList::Refuse => {
                let problems: Vec<(usize, String)> = (1..)
                    .zip(&import.contacts)
                    .filter(|(_, contact)| unknown(contact))
                    .map(|(place, _)| (place, "Field 'subscribe' contains a list that does not exist".to_owned()))
                    .collect();
                (!problems.is_empty()).then(|| Ruling::refused(reply::contacts_refused(&problems), "unknown list"))
            }
        }
    }

    fn accept(&self, inner: &mut Inner, settings: &Settings, call: &Call<'_>, import: Import) -> Ruling {
        let batch = Uuid::new_v4();
        let fate = match call.fault {
            Some(FaultKind::BatchFailed) => Fate::Fail,
            Some(FaultKind::BatchInterrupted) => Fate::Interrupt,
            Some(FaultKind::BatchStuck) => Fate::Stick,
            Some(FaultKind::BatchForgotten) => Fate::Forget,
            // A wildcard, because no other kind changes what becomes of the batch.
            _ => Fate::Complete,
        };
        if call.fault == Some(&FaultKind::PlanLimitInBatch) {
            inner.without_room.insert(batch);
        }
        let n_contacts = import.contacts.len();
        let finish_at = (fate != Fate::Stick).then(|| self.finish_at(inner, call, n_contacts));
        let excluded = |contact: &&NewContact| settings.excluded.contains(&contact.email.to_lowercase());
        let n_left_out =
            if self.options.excluded_not_queued { import.contacts.iter().filter(excluded).count() } else { 0 };
        let record = ImportRecord {
            batch,
            contacts_queued: n_contacts as u32,
            lists: import.lists,
            exclude_automations: import.exclude_automations,
            fate,
            finish_at,
            contacts: import.written,
        };
        let answer = self.accepted_answer(batch, n_contacts - n_left_out);
        Ruling { decision: Decision::Accepted, import: Some((record, import.contacts)), ..Ruling::read(answer) }
    }

    fn accepted_answer(&self, batch: Uuid, queued: usize) -> Answer {
        let (key, value) = match self.options.success {
            SuccessSpelling::Lower => ("success", 1),
            SuccessSpelling::Capital => ("Success", 1),
            SuccessSpelling::Five => ("success", 5),
        };
        let body = serde_json::json!({
            key: value, "queued_contacts": queued, "batchId": batch.to_string(), "message": "Contact import queued"
        });
        Answer::json(200, &body)
    }

    /// When a batch that comes now will have been processed.
    fn finish_at(&self, inner: &mut Inner, call: &Call<'_>, n_contacts: usize) -> Micros {
        let stretch = match self.options.order {
            Order::Arrival => 1.0,
            Order::Shuffled => 0.5 + 2.0 * inner.rng.fraction(),
        };
        let latency = (self.options.batch_latency_s * stretch * 1e6) as Micros;
        let Some(rate) = self.options.contacts_per_second else { return call.at + latency };
        let work = n_contacts as u64 * SECOND / u64::from(rate.max(1));
        let busy = inner.busy_until.entry(call.host.to_owned()).or_default();
        *busy = (*busy).max(call.at) + work;
        (*busy).max(call.at + latency)
    }
}
