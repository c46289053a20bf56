//! The checks of a bulk import: one contact that is refused here refuses the whole request.

use serde_json::{Value, json};

pub(crate) const MOST_CONTACTS: usize = 250;
pub(crate) const MOST_BYTES: usize = 399_999;
const NOT_QUEUED: &str = "JSON payload did not pass validation. Please fix failureReasons and retry. The import was not queued for processing.";

/// The contacts of a request, or the body of the 400 that refuses it.
pub(crate) fn check(body: &[u8]) -> Result<Vec<Value>, Value> {
    let general = |text: &str| json!({"success": 0, "message": NOT_QUEUED, "failureReasons": [text]});
    if body.len() > MOST_BYTES {
        return Err(general("Payload is too large"));
    }
    let parsed: Value = serde_json::from_slice(body).map_err(|_| general("Invalid or unparsable json"))?;
    let contacts = parsed["contacts"].as_array().ok_or_else(|| general("Field 'contacts' not found"))?;
    if contacts.is_empty() || contacts.len() > MOST_CONTACTS {
        return Err(general("Between 1 and 250 contacts may be imported"));
    }
    let reasons: Vec<Value> = contacts
        .iter()
        .enumerate()
        .filter_map(|(index, contact)| {
            let reason = match contact["email"].as_str() {
                None | Some("") => "Field 'email' not found",
                Some(email) if !passes_first_check(email) => "Field 'email' incorrect format",
                Some(_) => return None,
            };
            Some(json!({"contact": index + 1, "failureReason": reason}))
        })
        .collect();
    if reasons.is_empty() {
        Ok(contacts.clone())
    } else {
        Err(json!({"success": 0, "message": NOT_QUEUED, "failureReasons": reasons}))
    }
}

/// What is clearly no address is refused at once.
fn passes_first_check(email: &str) -> bool {
    email.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !local.contains(|c: char| "\"(),:;<>@[\\]".contains(c)) && !domain.is_empty()
    })
}

/// The rest fails later, without a reason: an apostrophe, a domain without a dot, as in the docs' example.
pub(crate) fn passes_second_check(email: &str) -> bool {
    email.rsplit_once('@').is_some_and(|(local, domain)| {
        let top = domain.rsplit_once('.').map(|(_, top)| top);
        !local.contains('\'') && top.is_some_and(|top| top.chars().count() >= 2 && top.chars().all(char::is_alphabetic))
    })
}

/// The bulk limit's answer: a 400, no wait named.
pub(crate) fn rate_limited() -> Value {
    json!({"success": 0, "message": "Rate limit exceeded.",
        "failureReasons": ["You may request up to 100 imports per minute. Please batch your contacts or retry in a minute."]})
}
