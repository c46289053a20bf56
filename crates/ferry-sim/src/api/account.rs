//! The account itself, its lists and its fields.

use serde_json::{Value, json};

use super::{Answer, Call, Ruling, reply};
use crate::journal::Change;
use crate::store::Account;

pub(crate) fn users_me(call: &Call<'_>) -> Answer {
    let user = json!({
        "username": "admin", "firstName": "Ada", "lastName": "Admin", "email": "admin@example.com", "phone": "",
        "signature": null, "localZoneid": "UTC", "cdate": "2020-05-01T00:00:00+00:00",
        "udate": "2020-05-01T00:00:00+00:00", "mfaEnabled": "0",
        "links": {"lists": format!("https://{}/api/3/users/1/lists", call.host)}, "id": "1"
    });
    Answer::json(200, &json!({"user": user}))
}

pub(crate) fn settings(account: &Account, call: &Call<'_>, contact_limit: u64) -> Answer {
    let name = call.host.split('.').next().unwrap_or_default();
    Answer::json(
        200,
        &json!({
            "account": call.host, "email": "admin@example.com", "status": "active", "name": name,
            "subscriber_limit": contact_limit, "subscriber_total": account.n_contacts(),
            "trial": false, "credits": 0, "branding": false, "cname": ""
        }),
    )
}

fn list_json(id: u32, name: &str) -> Value {
    json!({
        "stringid": format!("list-{id}"), "userid": "1", "name": name, "cdate": "2020-05-01T00:00:00+00:00",
        "sender_name": "", "sender_addr1": "", "sender_city": "", "sender_url": "https://example.com", "sender_reminder": "",
        "id": id.to_string()
    })
}

pub(crate) fn lists(account: &Account, call: &Call<'_>) -> Answer {
    let (limit, offset) = call.page();
    let lists: Vec<Value> =
        account.lists.iter().skip(offset).take(limit).map(|(id, list)| list_json(*id, &list.name)).collect();
    Answer::json(200, &json!({"lists": lists, "meta": {"total": account.lists.len().to_string()}}))
}

pub(crate) fn list(account: &Account, id: u32) -> Answer {
    match account.lists.get(&id) {
        Some(list) => Answer::json(200, &json!({"list": list_json(id, &list.name)})),
        None => list_missing(id),
    }
}

fn list_missing(id: u32) -> Answer {
    reply::message(404, &format!("No Result found for _List with id {id}"))
}

pub(crate) fn create_list(account: &mut Account, call: &Call<'_>) -> Ruling {
    let name = call.json()["list"]["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        let missing = reply::error("List name is missing.", "field_missing", None, "/data/attributes/name");
        return Ruling::refused(reply::errors(422, &[missing]), "list name is missing");
    }
    let id = account.lists.keys().next_back().map_or(1, |last| last + 1);
    let answer = Answer::json(201, &json!({"list": list_json(id, &name)}));
    Ruling::changed(answer, account, Change::CreateList { list: id, name }, call.at)
}

pub(crate) fn delete_list(account: &mut Account, call: &Call<'_>, id: u32) -> Ruling {
    if !account.lists.contains_key(&id) {
        return Ruling::refused(list_missing(id), "no such list");
    }
    Ruling::changed(Answer::json(200, &json!({})), account, Change::DeleteList { list: id }, call.at)
}

fn field_json(id: u32, title: &str) -> Value {
    json!({
        "title": title, "descript": "", "type": "text", "isrequired": "0",
        "perstag": title.to_uppercase().replace(' ', "_"), "defval": "", "visible": "1", "ordernum": id.to_string(),
        "options": [], "relations": [], "id": id.to_string()
    })
}

pub(crate) fn fields(account: &Account, call: &Call<'_>) -> Answer {
    let (limit, offset) = call.page();
    let fields: Vec<Value> =
        account.fields.iter().skip(offset).take(limit).map(|(id, title)| field_json(*id, title)).collect();
    let total = account.fields.len().to_string();
    Answer::json(200, &json!({"fieldOptions": [], "fieldRels": [], "fields": fields, "meta": {"total": total}}))
}

pub(crate) fn field(account: &Account, id: u32) -> Answer {
    match account.fields.get(&id) {
        Some(title) => Answer::json(200, &json!({"field": field_json(id, title)})),
        None => reply::message(404, &format!("No Result found for Field with id {id}")),
    }
}
