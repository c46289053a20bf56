//! What ActiveCampaign's answers mean. Every documented shape is understood; what fits none is unknown, not failure.
//!
//! The docs and the live service differ in spelling (`Success`, `success`), in types (numbers as strings, `status` as
//! `false`) and in typography, so answers are read as loose JSON.

use http::StatusCode;
use serde_json::Value;
use std::time::Duration;

/// What became of an import.
#[derive(Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The whole batch is queued.
    Queued {
        /// To ask for its result.
        batch_id: String,
    },
    /// Nothing is queued; these contacts are why.
    ContactsRefused {
        /// At least one, each within the request.
        refusals: Vec<Refusal>,
    },
    /// Nothing is queued, for a reason that names no contact.
    RequestRefused {
        /// Of the answer.
        status: u16,
    },
    /// Too fast. The bulk limit answers 400 without a wait, the limit of a second 429 with one.
    RateLimited {
        /// How long, if the answer says so.
        retry_after: Option<Duration>,
    },
    /// The key is wrong, revoked, or has too few rights. May pass: a good key sometimes sees it.
    CredentialsRefused,
    /// The account is unpaid.
    AccountLapsed,
    /// No such account, or no such API.
    NotFound,
    /// The account's plan takes no more contacts.
    AccountFull,
    /// Certainly nothing arrived.
    NotSent,
    /// It may have arrived.
    Unknown {
        /// How long to wait, if an answer says so.
        retry_after: Option<Duration>,
    },
}

/// A contact that was refused up front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the request, from zero.
    pub index: usize,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a contact was refused up front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// No address.
    EmailMissing,
    /// Not an address to ActiveCampaign.
    EmailMalformed,
    /// A text that is not documented.
    Other,
}

impl RefusalReason {
    /// The word that Ferry shows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmailMissing => "DESTINATION_EMAIL_MISSING",
            Self::EmailMalformed => "DESTINATION_EMAIL_MALFORMED",
            Self::Other => "DESTINATION_REFUSED_CONTACT",
        }
    }
}

/// How far a queued batch is. Holds addresses, so it cannot be printed.
#[derive(PartialEq, Eq)]
pub enum ImportStatus {
    /// Too early to say, or not known.
    NotYet,
    /// In the queue.
    Waiting,
    /// Taken up.
    Claimed,
    /// Being worked on.
    Active,
    /// Done. Who is not among the failures was taken.
    Completed {
        /// Addresses, as the vendor has them.
        failures: Vec<String>,
    },
    /// Given up by the vendor; it will not be tried again.
    Failed,
    /// Stopped by the vendor; it will not be tried again.
    Interrupted,
}

/// Reads the answer to an import of `rows` contacts.
pub(super) fn import(status: StatusCode, retry_after: Option<Duration>, body: &[u8], rows: usize) -> ImportOutcome {
    match status.as_u16() {
        200..=299 => accepted(body),
        400 | 413 | 422 => refused(status, body, rows, retry_after),
        403 if speaks_of_contact_limit(body) => ImportOutcome::AccountFull,
        401 | 403 => ImportOutcome::CredentialsRefused,
        402 => ImportOutcome::AccountLapsed,
        404 => ImportOutcome::NotFound,
        429 => ImportOutcome::RateLimited { retry_after },
        300..=399 | 405..=499 => ImportOutcome::RequestRefused { status: status.as_u16() },
        // A wait that is asked for is obeyed, but the request may have got through before the overload.
        _ => ImportOutcome::Unknown { retry_after },
    }
}

/// How an account says no once its plan is used up is not documented; a refused key says nothing of contacts.
fn speaks_of_contact_limit(body: &[u8]) -> bool {
    let text = object(body).map(|answer| plain(&answer.to_string())).unwrap_or_default();
    text.contains("contact") && text.contains("limit")
}

/// An answer without a wait that says neither yes nor no.
const UNREADABLE: ImportOutcome = ImportOutcome::Unknown { retry_after: None };

fn accepted(body: &[u8]) -> ImportOutcome {
    let Some(answer) = object(body) else {
        // A login page instead of JSON is what an expired key or a moved account looks like.
        return if is_html(body) { ImportOutcome::CredentialsRefused } else { UNREADABLE };
    };
    match get(&answer, "batchId").and_then(text) {
        Some(batch_id) if get(&answer, "success").is_none_or(truthy) => ImportOutcome::Queued { batch_id },
        _ => UNREADABLE,
    }
}

fn refused(status: StatusCode, body: &[u8], rows: usize, retry_after: Option<Duration>) -> ImportOutcome {
    let refused = ImportOutcome::RequestRefused { status: status.as_u16() };
    let Some(answer) = object(body) else { return refused };
    let message = get(&answer, "message").and_then(Value::as_str).unwrap_or_default();
    let reasons = get(&answer, "failureReasons").and_then(Value::as_array).cloned().unwrap_or_default();
    let speaks_of_rate = |text: &str| plain(text).contains("rate limit");
    if speaks_of_rate(message) || reasons.iter().filter_map(Value::as_str).any(speaks_of_rate) {
        return ImportOutcome::RateLimited { retry_after };
    }
    let refusals: Option<Vec<Refusal>> = reasons.iter().map(|reason| refusal(reason, rows)).collect();
    match refusals {
        Some(refusals) if !refusals.is_empty() => ImportOutcome::ContactsRefused { refusals },
        _ => refused,
    }
}

/// One entry of `failureReasons`; nothing if it is not about a contact of this request.
fn refusal(reason: &Value, rows: usize) -> Option<Refusal> {
    let position = get(reason, "contact").and_then(number)?;
    let index = usize::try_from(position).ok()?.checked_sub(1).filter(|index| *index < rows)?;
    let text = plain(get(reason, "failureReason").and_then(Value::as_str).unwrap_or_default());
    let reason = if text.contains("email") && text.contains("not found") {
        RefusalReason::EmailMissing
    } else if text.contains("email") && text.contains("format") {
        RefusalReason::EmailMalformed
    } else {
        RefusalReason::Other
    };
    Some(Refusal { index, reason })
}

/// Reads the answer to a question about a batch; nothing if it is no answer.
pub(super) fn import_status(body: &[u8]) -> Option<ImportStatus> {
    let answer = object(body)?;
    let word = match get(&answer, "status") {
        Some(Value::String(word)) => plain(word),
        Some(Value::Bool(false) | Value::Null) | None => return Some(ImportStatus::NotYet),
        Some(_) => return None,
    };
    Some(match word.as_str() {
        "completed" => {
            let failures = get(&answer, "failure").and_then(Value::as_array);
            ImportStatus::Completed { failures: failures.into_iter().flatten().map(text).collect::<Option<_>>()? }
        }
        "failed" => ImportStatus::Failed,
        "interrupted" => ImportStatus::Interrupted,
        "claimed" => ImportStatus::Claimed,
        "active" => ImportStatus::Active,
        // A word that is not documented is no end.
        _ => ImportStatus::Waiting,
    })
}

pub(super) fn object(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).ok().filter(Value::is_object)
}

pub(super) fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// A member by its name, in whatever case it is written.
pub(super) fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Text, or a number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number, or text that is one.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.as_str(), "" | "0" | "false"),
        Value::Null => false,
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Lower case, with every run of anything but letters and digits as one space.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> ImportOutcome {
        import(StatusCode::from_u16(status).unwrap_or_default(), None, body.as_bytes(), 250)
    }

    #[test]
    fn queued_in_each_spelling() {
        for body in [
            r#"{"Success":1,"queued_contacts":2,"batchId":"b-1","message":"Contact import queued"}"#,
            r#"{"success":1,"queued_contacts":250,"batchId":"b-1"}"#,
            r#"{"success":5,"queued_contacts":2,"batchId":"b-1"}"#,
            "\u{feff}{\"success\":true,\"batchid\":\"b-1\"}",
        ] {
            assert_eq!(answer(200, body), ImportOutcome::Queued { batch_id: "b-1".to_owned() }, "{body}");
        }
    }

    #[test]
    fn an_acceptance_that_cannot_be_read_is_unknown() {
        for body in
            ["", "null", "{", "[]", r#"{"success":1}"#, r#"{"success":0,"batchId":"b-1"}"#, "{\"batchId\":\"\"}"]
        {
            assert_eq!(answer(200, body), UNREADABLE, "{body}");
        }
        for status in [500, 502, 503, 504, 520] {
            assert_eq!(answer(status, ""), UNREADABLE);
        }
        let retry_after = Some(Duration::from_secs(30));
        assert_eq!(
            import(StatusCode::SERVICE_UNAVAILABLE, retry_after, b"", 250),
            ImportOutcome::Unknown { retry_after }
        );
    }

    #[test]
    fn refused_contacts_count_from_zero() {
        let body = r#"{"success":0,"message":"JSON payload did not pass validation.","failureReasons":[
            {"contact":1,"failureReason":"Field ‘email’  not found"},{"contact":"250","failureReason":"Field 'email' incorrect format"},
            {"contact":2,"failureReason":"something new"}]}"#;
        let refusal = |index, reason| Refusal { index, reason };
        let expected = vec![
            refusal(0, RefusalReason::EmailMissing),
            refusal(249, RefusalReason::EmailMalformed),
            refusal(1, RefusalReason::Other),
        ];
        assert_eq!(answer(400, body), ImportOutcome::ContactsRefused { refusals: expected });
    }

    #[test]
    fn a_refusal_that_fits_no_contact_refuses_the_request() {
        for body in [
            r#"{"failureReasons":[{"contact":251,"failureReason":"x"}]}"#,
            r#"{"failureReasons":[{"contact":0,"failureReason":"x"}]}"#,
            r#"{"failureReasons":["Invalid or unparsable json"]}"#,
            r#"{"success":0}"#,
            "not json",
        ] {
            assert_eq!(answer(400, body), ImportOutcome::RequestRefused { status: 400 }, "{body}");
        }
        assert_eq!(answer(302, ""), ImportOutcome::RequestRefused { status: 302 });
    }

    #[test]
    fn the_bulk_limit_is_a_400() {
        for body in [
            r#"{"success":0,"message":"Rate limit exceeded.","failureReasons":["You may make up to 100 imports per minute."]}"#,
            r#"{"success":0,"failureReasons":["Rate  Limit exceeded"]}"#,
        ] {
            assert_eq!(answer(400, body), ImportOutcome::RateLimited { retry_after: None }, "{body}");
        }
        assert_eq!(answer(429, ""), ImportOutcome::RateLimited { retry_after: None });
    }

    #[test]
    fn key_and_account() {
        assert_eq!(answer(403, ""), ImportOutcome::CredentialsRefused);
        assert_eq!(answer(200, "<!DOCTYPE html><html>"), ImportOutcome::CredentialsRefused);
        assert_eq!(answer(403, r#"{"message":"Forbidden"}"#), ImportOutcome::CredentialsRefused);
        let full = r#"{"message":"The account's contact limit has been reached."}"#;
        assert_eq!(answer(403, full), ImportOutcome::AccountFull);
        assert_eq!(answer(402, ""), ImportOutcome::AccountLapsed);
        assert_eq!(answer(404, ""), ImportOutcome::NotFound);
    }

    #[test]
    fn the_life_of_a_batch() {
        let status = |body: &str| import_status(body.as_bytes());
        assert!(status(r#"{"status":false,"success":[],"failure":[]}"#) == Some(ImportStatus::NotYet));
        assert!(status(r#"{"status":"waiting"}"#) == Some(ImportStatus::Waiting));
        assert!(status(r#"{"status":"claimed"}"#) == Some(ImportStatus::Claimed));
        assert!(status(r#"{"status":"active"}"#) == Some(ImportStatus::Active));
        assert!(status(r#"{"status":"failed"}"#) == Some(ImportStatus::Failed));
        assert!(status(r#"{"status":"interrupted"}"#) == Some(ImportStatus::Interrupted));
        assert!(status(r#"{"status":"paused"}"#) == Some(ImportStatus::Waiting));
        let done = status(r#"{"status":"completed","success":["123",124],"failure":["a@b.cd"]}"#);
        assert!(done == Some(ImportStatus::Completed { failures: vec!["a@b.cd".to_owned()] }));
        assert!(status("<html>").is_none());
        assert!(status(r#"{"status":"completed","failure":[{}]}"#).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _outcome = import(StatusCode::from_u16(status).unwrap_or_default(), None, &body, 3);
            let _status = import_status(&body);
        }
    }
}
