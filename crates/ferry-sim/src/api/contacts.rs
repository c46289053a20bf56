//! The single-record endpoints of contacts.

use serde::Deserialize;
use serde_json::{Value, json};

use super::loose::Loose;
use super::{Answer, Call, Ruling, email, reply};
use crate::clock::{Clock, date_and_time};
use crate::journal::Change;
use crate::store::{Account, Contact, Membership, NewContact};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireContact {
    email: Loose,
    first_name: Loose,
    last_name: Loose,
    phone: Loose,
    field_values: Vec<WireFieldValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireFieldValue {
    field: Loose,
    value: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMembership {
    list: Loose,
    contact: Loose,
    status: Loose,
}

fn new_contact(call: &Call<'_>) -> NewContact {
    let wire: WireContact = serde_json::from_value(call.json()["contact"].take()).unwrap_or_default();
    NewContact {
        first_name: wire.first_name.into_text(),
        last_name: wire.last_name.into_text(),
        phone: wire.phone.into_text(),
        fields: wire
            .field_values
            .into_iter()
            .filter_map(|value| Some((value.field.as_id()?, value.value.into_text()?)))
            .collect(),
        ..NewContact::with_address(wire.email.as_text().unwrap_or_default())
    }
}

fn contact_json(contact: &Contact, call: &Call<'_>, clock: &Clock) -> Value {
    let stamp = |at| {
        let (date, time) = date_and_time(clock.unix_seconds(at));
        format!("{date}T{time}+00:00")
    };
    let link = |what: &str| format!("https://{}/api/3/contacts/{}/{what}", call.host, contact.id);
    json!({
        "email": &*contact.email, "phone": contact.phone(), "firstName": contact.first_name(),
        "lastName": contact.last_name(), "cdate": stamp(contact.created_at), "udate": stamp(contact.updated_at),
        "orgid": "0", "orgname": contact.organisation(), "organization": null,
        "links": {"contactLists": link("contactLists"), "fieldValues": link("fieldValues")},
        "id": contact.id.to_string()
    })
}

fn field_values(contact: &Contact) -> Vec<Value> {
    let id = contact.id.to_string();
    contact
        .fields
        .iter()
        .map(|(field, value)| json!({"contact": id, "field": field.to_string(), "value": value}))
        .collect()
}

/// `POST contacts`: only new addresses.
pub(crate) fn create(account: &mut Account, call: &Call<'_>, clock: &Clock) -> Ruling {
    let contact = new_contact(call);
    if email::is_malformed(&contact.email) {
        return invalid_address();
    }
    if account.by_address(&contact.email).is_some() {
        let title = "Email address already exists in the system";
        let entry = reply::error(title, "duplicate", None, "/data/attributes/email");
        return Ruling::refused(reply::errors(422, &[entry]), "duplicate address");
    }
    upsert(account, call, clock, contact)
}

/// `POST contact/sync`: creates or updates.
pub(crate) fn sync(account: &mut Account, call: &Call<'_>, clock: &Clock) -> Ruling {
    let contact = new_contact(call);
    if contact.email.is_empty() {
        let entry = json!({"status": 400, "title": "Bad Request",
            "detail": "Contact email must be provided for sync"});
        return Ruling::refused(reply::errors(400, &[entry]), "no address");
    }
    if email::is_malformed(&contact.email) {
        return invalid_address();
    }
    upsert(account, call, clock, contact)
}

fn invalid_address() -> Ruling {
    let code = "must_be_valid_email_address";
    let title = "Contact Email Address is not valid.";
    let entry = reply::error(title, "email_invalid", Some(code), "/data/attributes/email");
    Ruling::refused(reply::errors(422, &[entry]), "invalid address")
}

fn upsert(account: &mut Account, call: &Call<'_>, clock: &Clock, contact: NewContact) -> Ruling {
    let status = if account.by_address(&contact.email).is_some() { 200 } else { 201 };
    let address = contact.email.clone();
    let ruling = Ruling::changed(Answer::empty(status), account, Change::Upsert(contact), call.at);
    let Some(stored) = account.by_address(&address) else { return ruling };
    let mut body = json!({"contact": contact_json(stored, call, clock)});
    if !stored.fields.is_empty() {
        body["fieldValues"] = json!(field_values(stored));
    }
    ruling.with_answer(Answer::json(status, &body))
}

pub(crate) fn get(account: &Account, call: &Call<'_>, clock: &Clock, id: u32) -> Answer {
    match account.contact(id) {
        Some(contact) => {
            let body = json!({"contact": contact_json(contact, call, clock), "fieldValues": field_values(contact)});
            Answer::json(200, &body)
        }
        None => reply::message(404, &format!("No Result found for Subscriber with id {id}")),
    }
}

pub(crate) fn delete(account: &mut Account, call: &Call<'_>, id: u32) -> Ruling {
    if account.contact(id).is_none() {
        let answer = reply::message(404, &format!("No result found for contact with id {id}"));
        return Ruling::refused(answer, "no such contact");
    }
    Ruling::changed(Answer::json(200, &json!({})), account, Change::DeleteContact { contact: id }, call.at)
}

/// `GET contacts` with the documented filters.
pub(crate) fn search(account: &Account, call: &Call<'_>, clock: &Clock) -> Answer {
    let (limit, offset) = call.page();
    let after = call.parameter("id_greater").and_then(|id| id.parse().ok()).unwrap_or(0);
    let found: Vec<&Contact> = match call.parameter("email") {
        Some(address) => account.by_address(&address).into_iter().filter(|contact| contact.id > after).collect(),
        None => {
            let (wanted, like) =
                (wanted_membership(call), call.parameter("email_like").map(|text| text.to_lowercase()));
            let matches = |contact: &&Contact| {
                wanted.is_none_or(|(list, state)| {
                    contact.membership(list).is_some_and(|is| state.is_none_or(|s| s == is))
                }) && like.as_ref().is_none_or(|text| contact.email.to_lowercase().contains(text))
            };
            account.contacts_after(after).filter(matches).collect()
        }
    };
    let contacts: Vec<Value> =
        found.iter().skip(offset).take(limit).map(|contact| contact_json(contact, call, clock)).collect();
    let meta = json!({"total": found.len().to_string(),
        "page_input": {"limit": limit, "offset": offset}, "sortable": true});
    Answer::json(200, &json!({"scoreValues": [], "contacts": contacts, "meta": meta}))
}

/// The list asked for and the state on it; subscribed, unless `status` says otherwise (-1 is any).
fn wanted_membership(call: &Call<'_>) -> Option<(u32, Option<Membership>)> {
    let list = call.parameter("listid")?.parse().ok()?;
    let status = call.parameter("status").unwrap_or_else(|| "1".to_owned());
    Some((list, status.parse().ok().and_then(Membership::from_status)))
}

/// `POST contactLists`, which also takes back an unsubscription.
pub(crate) fn set_membership(account: &mut Account, call: &Call<'_>) -> Ruling {
    let wire: WireMembership = serde_json::from_value(call.json()["contactList"].take()).unwrap_or_default();
    let (list, contact) = (wire.list.as_id().unwrap_or(0), wire.contact.as_id().unwrap_or(0));
    let mut missing = Vec::new();
    let mut related = |what: &str| {
        let (title, code) = (format!("The related {what} does not exist."), format!("{what}_not_exist"));
        let pointer = format!("/data/attributes/{what}");
        missing.push(reply::error(&title, "related_missing", Some(&code), &pointer));
    };
    if !account.lists.contains_key(&list) {
        related("list");
    }
    if account.contact(contact).is_none() {
        related("contact");
    }
    if !missing.is_empty() {
        return Ruling::refused(reply::errors(422, &missing), "related record missing");
    }
    let status = wire.status.as_id().and_then(|status| u8::try_from(status).ok()).and_then(Membership::from_status);
    let Some(membership) = status else {
        let title = "The value you selected is not a valid choice.";
        let entry = reply::error(title, "invalid_choice", None, "/data/attributes/status");
        return Ruling::refused(reply::errors(422, &[entry]), "invalid status");
    };
    let body = json!({
        "contacts": [{"id": contact.to_string()}],
        "contactList": {"id": format!("{contact}{list}"), "contact": contact, "list": list,
            "status": membership.status(), "sdate": null, "udate": null, "unsubreason": "", "sourceid": "0"}
    });
    let change = Change::Membership { contact, list, status: membership.status() };
    Ruling::changed(Answer::json(200, &body), account, change, call.at)
}
