//! One account: its lists, fields, tags and contacts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::contact::{Contact, ContactView, Membership, NewContact};
use crate::clock::Micros;
use crate::journal::{Change, FailReason, StartAccount};

/// What an account's contacts are judged by when a batch is processed.
pub(crate) struct Rules<'a> {
    pub(crate) excluded: &'a dyn Fn(&str) -> bool,
    pub(crate) bounced: &'a dyn Fn(&str) -> bool,
    pub(crate) contact_limit: u64,
}

#[derive(Default)]
pub(crate) struct Account {
    pub(crate) lists: BTreeMap<u32, List>,
    pub(crate) fields: BTreeMap<u32, String>,
    /// The contact with id n at n − 1; a deleted one leaves its place empty.
    contacts: Vec<Option<Contact>>,
    ids: HashMap<Arc<str>, u32>,
    tags: Vec<Box<str>>,
    /// Lists that a start must not bring back.
    deleted_lists: BTreeSet<u32>,
}

pub(crate) struct List {
    pub(crate) name: String,
    pub(crate) n_subscribed: u64,
}

impl Account {
    /// Adds what a start brings; what is there already stays.
    pub(crate) fn configure(&mut self, start: &StartAccount) {
        for (id, name) in &start.lists {
            if !self.deleted_lists.contains(id) {
                self.create_list(*id, name.clone());
            }
        }
        self.fields.extend(start.fields.iter().cloned());
        for (email, list) in &start.opted_out {
            let id = self.upsert(NewContact::with_address(email), 0).0;
            if self.contact(id).is_some_and(|contact| contact.membership(*list).is_none()) {
                self.set_membership(id, *list, Membership::Unsubscribed);
            }
        }
    }

    pub(crate) fn n_contacts(&self) -> u64 {
        self.ids.len() as u64
    }

    pub(crate) fn contact(&self, id: u32) -> Option<&Contact> {
        self.contacts.get((id as usize).checked_sub(1)?)?.as_ref()
    }

    fn contact_mut(&mut self, id: u32) -> Option<&mut Contact> {
        self.contacts.get_mut((id as usize).checked_sub(1)?)?.as_mut()
    }

    pub(crate) fn by_address(&self, email: &str) -> Option<&Contact> {
        self.ids.get(email.to_lowercase().as_str()).and_then(|id| self.contact(*id))
    }

    /// The contacts whose id is above `after`, by id.
    pub(crate) fn contacts_after(&self, after: u32) -> impl Iterator<Item = &Contact> {
        self.contacts.iter().skip(after as usize).flatten()
    }

    /// Why a queued contact cannot be imported, by the account as it is now.
    pub(crate) fn objection(&self, contact: &NewContact, rules: &Rules<'_>) -> Option<FailReason> {
        let address = contact.email.to_lowercase();
        if crate::api::email::fails_later(&contact.email) {
            return Some(FailReason::MalformedAddress);
        }
        if (rules.excluded)(&address) {
            return Some(FailReason::Excluded);
        }
        if (rules.bounced)(&address) {
            return Some(FailReason::Bounced);
        }
        let Some(stored) = self.ids.get(address.as_str()).and_then(|id| self.contact(*id)) else {
            return (self.n_contacts() >= rules.contact_limit).then_some(FailReason::ContactLimit);
        };
        let left = |list: &u32| stored.membership(*list) == Some(Membership::Unsubscribed);
        contact.subscribe.iter().any(left).then_some(FailReason::OptedOut)
    }

    /// Carries out an import of one contact and answers its id.
    pub(crate) fn import(&mut self, mut contact: NewContact, at: Micros) -> u32 {
        let subscribe = std::mem::take(&mut contact.subscribe);
        let unsubscribe = std::mem::take(&mut contact.unsubscribe);
        let (id, _) = self.upsert(contact, at);
        for list in subscribe {
            if self.lists.contains_key(&list) {
                self.set_membership(id, list, Membership::Subscribed);
            }
        }
        for list in unsubscribe {
            if self.contact(id).is_some_and(|contact| contact.membership(list).is_some()) {
                self.set_membership(id, list, Membership::Unsubscribed);
            }
        }
        id
    }

    /// Writes a contact and answers its id and whether it is new.
    pub(crate) fn upsert(&mut self, mut sent: NewContact, at: Micros) -> (u32, bool) {
        let address = sent.email.to_lowercase();
        let known = self.ids.get(address.as_str()).copied();
        let id = known.unwrap_or_else(|| self.insert(&sent.email, address, at));
        let tags: Vec<u32> = std::mem::take(&mut sent.tags).into_iter().map(|tag| self.tag_id(tag)).collect();
        let fields = std::mem::take(&mut self.fields);
        if let Some(contact) = self.contact_mut(id) {
            contact.write(sent, |field| fields.contains_key(&field));
            contact.updated_at = at;
            tags.into_iter().for_each(|tag| contact.add_tag(tag));
        }
        self.fields = fields;
        (id, known.is_none())
    }

    fn insert(&mut self, email: &str, address: String, at: Micros) -> u32 {
        let id = u32::try_from(self.contacts.len() + 1).expect("four thousand million contacts do not fit in memory");
        let key: Arc<str> = address.into();
        let shown = if *key == *email { Arc::clone(&key) } else { Arc::from(email) };
        self.contacts.push(Some(Contact::new(id, shown, at)));
        self.ids.insert(key, id);
        id
    }

    fn tag_id(&mut self, tag: Box<str>) -> u32 {
        let index = self.tags.iter().position(|known| *known == tag).unwrap_or_else(|| {
            self.tags.push(tag);
            self.tags.len() - 1
        });
        index as u32
    }

    fn set_membership(&mut self, contact: u32, list: u32, membership: Membership) {
        let Some(stored) = self.contact_mut(contact) else { return };
        let before = stored.set_membership(list, membership);
        if let Some(list) = self.lists.get_mut(&list) {
            list.n_subscribed -= u64::from(before == Some(Membership::Subscribed));
            list.n_subscribed += u64::from(membership == Membership::Subscribed);
        }
    }

    fn create_list(&mut self, id: u32, name: String) {
        self.lists.entry(id).or_insert(List { name, n_subscribed: 0 });
    }

    /// Carries out a change by a single-record endpoint.
    pub(crate) fn change(&mut self, change: Change, at: Micros) {
        match change {
            Change::Upsert(contact) => {
                self.upsert(contact, at);
            }
            Change::Membership { contact, list, status } => {
                if let Some(membership) = Membership::from_status(status) {
                    self.set_membership(contact, list, membership);
                }
            }
            Change::DeleteContact { contact } => self.delete(contact),
            Change::CreateList { list, name } => self.create_list(list, name),
            Change::DeleteList { list } => {
                self.lists.remove(&list);
                self.deleted_lists.insert(list);
            }
        }
    }

    fn delete(&mut self, id: u32) {
        let place = (id as usize).checked_sub(1).and_then(|index| self.contacts.get_mut(index));
        let Some(contact) = place.and_then(Option::take) else { return };
        self.ids.remove(contact.email.to_lowercase().as_str());
        for (list, membership) in &contact.memberships {
            if let (Membership::Subscribed, Some(list)) = (membership, self.lists.get_mut(list)) {
                list.n_subscribed -= 1;
            }
        }
    }

    pub(crate) fn view(&self, contact: &Contact) -> ContactView {
        ContactView {
            id: contact.id,
            email: contact.email.to_string(),
            first_name: contact.first_name().to_owned(),
            last_name: contact.last_name().to_owned(),
            phone: contact.phone().to_owned(),
            fields: contact.fields.iter().map(|(id, value)| (*id, value.to_string())).collect(),
            tags: contact.tags.iter().map(|tag| self.tags[*tag as usize].to_string()).collect(),
            memberships: contact.memberships.iter().copied().collect(),
        }
    }
}
