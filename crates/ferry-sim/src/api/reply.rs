//! The service's error bodies.

use serde_json::{Value, json};

use super::Answer;
use crate::faults::RetryAfter;

const NOT_QUEUED: &str = "JSON payload did not pass validation. Please fix failureReasons and retry. \
    The import was not queued for processing.";

/// The limit per second.
pub(crate) fn too_many_requests(retry_after: RetryAfter) -> Answer {
    with_retry_after(Answer::empty(429), retry_after)
}

/// The answer with the header.
pub(crate) fn with_retry_after(mut answer: Answer, retry_after: RetryAfter) -> Answer {
    for value in retry_after.values() {
        answer.header("retry-after", &value);
    }
    answer.keep_away_s = retry_after.seconds();
    answer
}

/// The imports' own limit, which is a 400.
pub(crate) fn import_rate_limit() -> Answer {
    import_refused(
        "Rate limit exceeded.",
        &json!(["You may request up to 100 imports per minute. Please batch your requests or retry in one minute."]),
    )
}

/// A refusal of the whole import for some of its contacts, whose places count from 1.
pub(crate) fn contacts_refused(problems: &[(usize, String)]) -> Answer {
    let reasons: Vec<Value> =
        problems.iter().map(|(contact, text)| json!({"contact": contact, "failureReason": text})).collect();
    import_refused(NOT_QUEUED, &json!(reasons))
}

/// A refusal of the whole import for what it is.
pub(crate) fn import_malformed(reason: &str) -> Answer {
    import_refused(NOT_QUEUED, &json!([reason]))
}

fn import_refused(message: &str, reasons: &Value) -> Answer {
    Answer::json(400, &json!({"success": 0, "message": message, "failureReasons": reasons}))
}

pub(crate) fn plan_limit_403() -> Answer {
    message(403, "The account's contact limit has been reached.")
}

pub(crate) fn message(status: u16, text: &str) -> Answer {
    Answer::json(status, &json!({"message": text}))
}

/// One entry of the `errors` envelope.
pub(crate) fn error(title: &str, code: &str, error: Option<&str>, pointer: &str) -> Value {
    let mut entry = json!({"title": title, "detail": "", "code": code, "source": {"pointer": pointer}});
    if let Some(error) = error {
        entry["error"] = json!(error);
    }
    entry
}

pub(crate) fn errors(status: u16, entries: &[Value]) -> Answer {
    Answer::json(status, &json!({"errors": entries}))
}
