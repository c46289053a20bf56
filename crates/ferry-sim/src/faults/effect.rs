//! What a fault puts in the place of an answer, and how it spoils one.

use std::io::Write;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{FaultKind, ForbiddenShape};
use crate::api::{Answer, reply};

/// Whether the fault is the refusal of a whole import for its contacts: their places from 1 and the text.
pub(crate) fn refuses(fault: Option<&FaultKind>, n_contacts: usize) -> Option<Vec<(usize, String)>> {
    let format = || "Field 'email' incorrect format".to_owned();
    match fault? {
        FaultKind::RefuseContact { contact, text } => Some(vec![(*contact, text.clone())]),
        FaultKind::RefuseAllContacts => Some((1..=n_contacts).map(|contact| (contact, format())).collect()),
        FaultKind::RefuseOutOfRange => Some(vec![(0, format()), (n_contacts + 1, format())]),
        // A wildcard, because all other kinds strike elsewhere.
        _ => None,
    }
}

/// The answer that a fault gives in the service's place.
pub(crate) fn instead(fault: &FaultKind, api_token: &str) -> Option<Answer> {
    let answer = match fault {
        FaultKind::RateLimit429 { retry_after } => reply::too_many_requests(*retry_after),
        FaultKind::RateLimit400 => reply::import_rate_limit(),
        FaultKind::ServerError => Answer::text(500, "text/plain", "Internal Server Error"),
        FaultKind::BadGateway => Answer::json(502, &cloudflare_502()),
        FaultKind::Unavailable { retry_after } => {
            reply::with_retry_after(Answer::text(503, "text/plain", "Service Unavailable"), *retry_after)
        }
        FaultKind::HtmlPage => html_page(),
        FaultKind::Forbidden { shape } => match shape {
            ForbiddenShape::Empty => Answer::empty(403),
            ForbiddenShape::Message => Answer::json(403, &json!({"message": "Forbidden"})),
            ForbiddenShape::Errors => Answer::json(
                403,
                &json!({"errors": [{"status": 403, "title": "Forbidden",
                    "detail": "You do not have permission to view lists."}]}),
            ),
        },
        FaultKind::EchoKey { status } => Answer::json(*status, &echo(api_token)),
        FaultKind::PaymentRequired => Answer::empty(402),
        FaultKind::PlanLimit => reply::plan_limit_403(),
        // A wildcard, because all other kinds strike elsewhere.
        _ => return None,
    };
    Some(answer)
}

fn echo(key: &str) -> Value {
    let told = format!("The key {key} may not do this.");
    json!({
        "message": told, "error": told, "errors": [{"title": told, "detail": told, "code": key}],
        "success": 1, "batchId": key, "status": key, "user": {"id": key}, "list": {"id": key, "name": key},
        "fields": [{"id": "1", "title": key}], "failureReasons": [{"contact": 1, "failureReason": told}]
    })
}

fn html_page() -> Answer {
    let page = "<!DOCTYPE html><html><head><title>Log In</title></head><body><form>Log in</form></body></html>";
    Answer::text(200, "text/html; charset=UTF-8", page)
}

fn cloudflare_502() -> Value {
    json!({
        "type": "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/",
        "title": "Error 502: Bad gateway", "status": 502, "error_code": 502, "error_name": "bad_gateway",
        "cloudflare_error": true, "retryable": true, "retry_after": 60
    })
}

/// Spoils the body of an answer to a request that was carried out.
pub(crate) fn spoil(fault: &FaultKind, answer: Answer) -> Answer {
    let changed = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(object) = body.as_object_mut() {
            change(object);
        }
        answer.with_json(&body)
    };
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    match fault {
        FaultKind::GatewayTimeoutAfterwards => Answer::text(504, "text/html", "<html>504 Gateway Time-out</html>"),
        FaultKind::InvalidJson => {
            let half = answer.body.slice(..answer.body.len() / 2);
            answer.with_body(half)
        }
        FaultKind::ByteOrderMark => answer.with_body(format!("\u{feff}{}", text())),
        FaultKind::Utf16 => {
            let units: Vec<u8> = text().encode_utf16().flat_map(u16::to_le_bytes).collect();
            answer.with_body([&[0xff, 0xfe], units.as_slice()].concat())
        }
        FaultKind::DuplicateKeys => {
            let rest = text();
            let wrong = r#"{"success":0,"status":"waiting","batchId":"00000000-0000-0000-0000-000000000000","#;
            answer.with_body(format!("{wrong}{}", rest.strip_prefix('{').unwrap_or("}")))
        }
        FaultKind::DeepNesting => answer.with_body(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        FaultKind::NullBody => answer.with_body("null"),
        FaultKind::SuccessCapital => changed(&|body| {
            if let Some(value) = body.remove("success") {
                body.insert("Success".to_owned(), value);
            }
        }),
        FaultKind::SuccessZero => changed(&|body| {
            body.insert("success".to_owned(), json!(0));
        }),
        FaultKind::MissingBatchId => changed(&|body| {
            body.remove("batchId");
        }),
        FaultKind::QueuedMismatch => changed(&|body| {
            body.insert("queued_contacts".to_owned(), json!(7));
        }),
        FaultKind::GzipBomb => {
            let mut bomb = answer.with_body(gzip_bomb());
            bomb.header("content-encoding", "gzip");
            bomb
        }
        // A wildcard, because all other kinds strike elsewhere.
        _ => answer,
    }
}

fn gzip_bomb() -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&zeros).expect("a vector takes every write");
    }
    encoder.finish().expect("a vector takes every write").into()
}
