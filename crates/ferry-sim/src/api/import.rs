//! The body of a bulk import: read, checked, and turned into contacts, all or nothing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::loose::Loose;
use super::{email, reply};
use crate::api::Answer;
use crate::config::MalformedAddress;
use crate::journal::Class;
use crate::store::NewContact;

/// The most contacts in one request.
pub(crate) const MAX_CONTACTS: usize = 250;
/// The largest body of a request.
pub(crate) const MAX_BODY_BYTES: usize = 399_999;

/// A request as far as it can be judged without the account.
pub(crate) struct Prepared {
    pub(crate) class: Class,
    pub(crate) judged: Result<Import, Box<Answer>>,
}

/// An import that passed the checks of its form.
pub(crate) struct Import {
    pub(crate) contacts: Vec<NewContact>,
    /// The same contacts as the journal writes them, made before the lock is taken.
    pub(crate) written: Box<RawValue>,
    /// The lists that any contact shall be subscribed to.
    pub(crate) lists: Vec<u32>,
    pub(crate) exclude_automations: bool,
}

#[derive(Deserialize)]
struct WireImport {
    contacts: Option<Vec<WireContact>>,
    #[serde(default)]
    exclude_automations: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireContact {
    email: Loose,
    first_name: Loose,
    last_name: Loose,
    phone: Loose,
    customer_acct_name: Loose,
    tags: Vec<Loose>,
    fields: Vec<WireField>,
    subscribe: Vec<WireList>,
    unsubscribe: Vec<WireList>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireField {
    id: Loose,
    value: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireList {
    listid: Loose,
}

/// Reads and checks a body.
pub(crate) fn prepare(body: &[u8], malformed: MalformedAddress) -> Prepared {
    let refused =
        |reason: &str| Prepared { class: Class::ImportMany, judged: Err(Box::new(reply::import_malformed(reason))) };
    if body.len() > MAX_BODY_BYTES {
        return refused("The request must be less than 400,000 bytes.");
    }
    let Ok(wire) = serde_json::from_slice::<WireImport>(body) else { return refused("Invalid or unparsable json") };
    let contacts = wire.contacts.unwrap_or_default();
    if contacts.is_empty() {
        return refused("Field 'contacts' not found");
    }
    if contacts.len() > MAX_CONTACTS {
        return refused("Up to 250 contacts may be included in one request.");
    }
    let class = if contacts.len() == 1 { Class::ImportOne } else { Class::ImportMany };
    let problems: Vec<(usize, String)> = (1..)
        .zip(&contacts)
        .filter_map(|(place, contact)| problem(contact, malformed).map(|text| (place, text.to_owned())))
        .collect();
    if !problems.is_empty() {
        return Prepared { class, judged: Err(Box::new(reply::contacts_refused(&problems))) };
    }
    let contacts: Vec<NewContact> = contacts.into_iter().map(new_contact).collect();
    let mut lists: Vec<u32> = contacts.iter().flat_map(|contact| contact.subscribe.iter().copied()).collect();
    lists.sort_unstable();
    lists.dedup();
    let written = serde_json::value::to_raw_value(&contacts).expect("contacts have string keys and go to memory");
    let exclude_automations = wire.exclude_automations.is_truthy();
    Prepared { class, judged: Ok(Import { contacts, written, lists, exclude_automations }) }
}

fn problem(contact: &WireContact, malformed: MalformedAddress) -> Option<&'static str> {
    let address = match &contact.email {
        Loose::Absent => return Some("Field 'email' not found"),
        Loose::Odd => return Some("Field 'email' incorrect format"),
        Loose::Text(address) => address,
    };
    if address.is_empty() {
        return Some("Field 'email' not found");
    }
    match malformed {
        MalformedAddress::RefuseRequest => email::is_malformed(address).then_some("Field 'email' incorrect format"),
        MalformedAddress::FailLater => None,
    }
}

fn new_contact(wire: WireContact) -> NewContact {
    let ids = |lists: Vec<WireList>| lists.iter().filter_map(|list| list.listid.as_id()).collect();
    NewContact {
        email: wire.email.into_text().unwrap_or_default(),
        first_name: wire.first_name.into_text(),
        last_name: wire.last_name.into_text(),
        phone: wire.phone.into_text(),
        organisation: wire.customer_acct_name.into_text(),
        tags: wire.tags.into_iter().filter_map(Loose::into_text).filter(|tag| !tag.is_empty()).collect(),
        fields: wire
            .fields
            .into_iter()
            .filter_map(|field| Some((field.id.as_id()?, field.value.into_text()?)))
            .collect(),
        subscribe: ids(wire.subscribe),
        unsubscribe: ids(wire.unsubscribe),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn judged(body: &str) -> Prepared {
        prepare(body.as_bytes(), MalformedAddress::RefuseRequest)
    }

    #[test]
    fn list_ids_are_taken_as_numbers_and_as_strings_and_unknown_keys_are_dropped() {
        let body = r#"{"contacts":[{"email":"a@b.de","firstName":"no","subscribe":[{"listid":3},{"listid":"4"}]}]}"#;
        let import = judged(body).judged.ok().unwrap();
        assert_eq!(import.lists, [3, 4]);
        assert!(import.contacts[0].first_name.is_none());
        assert!(!import.exclude_automations);
    }

    #[test]
    fn a_key_sent_empty_differs_from_one_left_out() {
        let import = judged(r#"{"contacts":[{"email":"a@b.de","phone":""}]}"#).judged.ok().unwrap();
        assert_eq!(import.contacts[0].phone.as_deref(), Some(""));
        assert!(import.contacts[0].last_name.is_none());
    }

    #[test]
    fn one_malformed_address_refuses_all_and_is_named_from_1() {
        let prepared = judged(r#"{"contacts":[{"email":"a@b.de"},{"email":"nobody"},{"phone":"1"}]}"#);
        assert_eq!(prepared.class, Class::ImportMany);
        let answer = prepared.judged.err().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["failureReasons"][0]["contact"], 2);
        assert_eq!(body["failureReasons"][1]["failureReason"], "Field 'email' not found");
    }

    #[test]
    fn the_sizes_are_bounded() {
        let many = |n: usize| format!(r#"{{"contacts":[{}]}}"#, vec![r#"{"email":"a@b.de"}"#; n].join(","));
        assert!(judged(&many(250)).judged.is_ok());
        assert!(judged(&many(251)).judged.is_err());
        assert!(judged(r#"{"contacts":[]}"#).judged.is_err());
        let padded = |size: usize| format!("{}{}", many(2), " ".repeat(size - many(2).len()));
        assert!(judged(&padded(MAX_BODY_BYTES)).judged.is_ok());
        assert!(judged(&padded(MAX_BODY_BYTES + 1)).judged.is_err());
    }
}
