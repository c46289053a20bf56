//! The API itself, under `/api/3`.

use crate::account::{Account, Fate};
use crate::fault::Fault;
use crate::import;
use crate::journal::Fact;
use crate::server::Shared;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

type Answer = Result<Response, Response>;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/3/users/me", get(users_me))
        .route("/api/3/settings/account", get(settings))
        .route("/api/3/lists", get(lists))
        .route("/api/3/lists/{id}", get(list))
        .route("/api/3/fields", get(fields))
        .route("/api/3/contacts", get(contacts))
        .route("/api/3/import/info", get(info))
        .route("/api/3/import/bulk_import", get(outstanding).post(bulk_import))
        .layer(axum::extract::DefaultBodyLimit::max(8 * 1024 * 1024))
}

fn empty(status: StatusCode) -> Response {
    (status, Body::empty()).into_response()
}

fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

/// What every call passes: the account, the key, a fault, the limit of a second.
async fn enter(
    shared: &Shared,
    headers: &HeaderMap,
    path: &str,
    class: &'static str,
) -> Result<Option<Fault>, Response> {
    let now = shared.now();
    let fault = shared.faults.meet(path);
    if let Some(Fault::Slow { millis }) = fault {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    let key = headers.get("api-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let limited = {
        let mut accounts = shared.accounts();
        let account = accounts.get_mut(&host(headers)).ok_or_else(|| empty(StatusCode::NOT_FOUND))?;
        account.count(class);
        account.work(now);
        if account.key != key {
            return Err(empty(StatusCode::FORBIDDEN));
        }
        !account.all.admit(now)
    };
    if limited {
        let fact = Fact::Limited { at: now, account: host(headers), class: "second".to_owned() };
        // Losing this line loses no contact.
        let _best_effort = shared.journal.write(&fact).await;
        return Err(too_many(Some("1")));
    }
    match fault {
        Some(fault) => before(&fault).map_or(Ok(Some(fault)), Err),
        None => Ok(None),
    }
}

fn too_many(retry_after: Option<&str>) -> Response {
    let mut response = empty(StatusCode::TOO_MANY_REQUESTS);
    for (name, value) in
        [("ratelimit-limit", Some("5")), ("ratelimit-remaining", Some("0")), ("retry-after", retry_after)]
    {
        if let Some(value) = value.and_then(|value| value.parse().ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Faults that come before anything is accepted.
fn before(fault: &Fault) -> Option<Response> {
    match fault {
        Fault::TooManyRequests { retry_after } => Some(too_many(retry_after.as_deref())),
        Fault::BulkRateLimit => Some((StatusCode::BAD_REQUEST, Json(import::rate_limited())).into_response()),
        Fault::ServerError => Some(empty(StatusCode::INTERNAL_SERVER_ERROR)),
        Fault::BadGateway => {
            let body = json!({"error_code": 502, "cloudflare_error": true, "retryable": true, "retry_after": 60});
            Some((StatusCode::BAD_GATEWAY, Json(body)).into_response())
        }
        Fault::LoginPage => Some(axum::response::Html("<!DOCTYPE html><title>Log in</title>").into_response()),
        Fault::Nonsense => Some((StatusCode::OK, "{\"success\":").into_response()),
        Fault::KeyRevoked => Some(empty(StatusCode::FORBIDDEN)),
        Fault::AccountLapsed => Some(empty(StatusCode::PAYMENT_REQUIRED)),
        Fault::Reset => Some(broken()),
        Fault::GatewayTimeoutAfterAccepting
        | Fault::NoAnswerAfterAccepting
        | Fault::ResetAfterAccepting
        | Fault::Slow { .. }
        | Fault::BatchFails
        | Fault::BatchInterrupted
        | Fault::BatchStuck => None,
    }
}

/// A body that fails breaks the connection.
fn broken() -> Response {
    let failing =
        futures::stream::once(async { Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) });
    let mut response = Response::new(Body::from_stream(failing));
    response.headers_mut().insert(header::CONTENT_LENGTH, header::HeaderValue::from_static("100"));
    response
}

/// A read-only call.
async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    path: &str,
    class: &'static str,
    answer: impl FnOnce(&mut Account, f64) -> Response,
) -> Answer {
    enter(shared, headers, path, class).await?;
    let now = shared.now();
    let mut accounts = shared.accounts();
    let account = accounts.get_mut(&host(headers)).ok_or_else(|| empty(StatusCode::NOT_FOUND))?;
    let mut response = answer(account, now);
    let left = account.all.left().to_string();
    if let (Ok(limit), Ok(left)) = ("5".parse(), left.parse()) {
        response.headers_mut().insert("ratelimit-limit", limit);
        response.headers_mut().insert("ratelimit-remaining", left);
    }
    Ok(response)
}

async fn users_me(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let me = json!({"user": {"username": "admin", "firstName": "Ada", "lastName": "Admin", "email": "admin@example.com", "id": "1"}});
    read(&shared, &headers, "/users/me", "other", |_, _| Json(me).into_response()).await
}

async fn settings(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    read(&shared, &headers, "/settings/account", "other", |account, _| {
        let total = account.people.values().filter(|person| person.view.is_some()).count();
        Json(json!({"account": "demo", "status": "active", "subscriber_limit": account.contact_limit, "subscriber_total": total})).into_response()
    })
    .await
}

async fn lists(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    read(&shared, &headers, "/lists", "other", |account, _| {
        let lists: Vec<Value> =
            account.lists.iter().map(|(id, name)| json!({"id": id.to_string(), "name": name})).collect();
        let total = lists.len().to_string();
        Json(json!({"lists": lists, "meta": {"total": total}})).into_response()
    })
    .await
}

async fn list(State(shared): State<Arc<Shared>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    read(&shared, &headers, "/lists/", "other", |account, _| {
        match account.lists.iter().find(|(number, _)| number.to_string() == id) {
            Some((number, name)) => Json(json!({"list": {"id": number.to_string(), "name": name}})).into_response(),
            None => {
                let message = format!("No Result found for _List with id {id}");
                (StatusCode::NOT_FOUND, Json(json!({"message": message}))).into_response()
            }
        }
    })
    .await
}

async fn fields(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (limit, offset) = (number("limit", 20).min(100), number("offset", 0));
    read(&shared, &headers, "/fields", "other", |account, _| {
        let page: Vec<Value> = account
            .fields
            .iter()
            .skip(offset)
            .take(limit)
            .map(|(id, title)| json!({"id": id.to_string(), "title": title, "type": "text"}))
            .collect();
        let total = account.fields.len().to_string();
        Json(json!({"fieldOptions": [], "fieldRels": [], "fields": page, "meta": {"total": total}})).into_response()
    })
    .await
}

async fn contacts(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let email = query.get("email").map(|email| email.to_lowercase()).unwrap_or_default();
    read(&shared, &headers, "/contacts", "other", |account, _| {
        let found = account.people.get(&email).and_then(|person| person.view.as_ref());
        let found: Vec<Value> = found
            .iter()
            .map(|view| json!({"id": view.id.to_string(), "email": view.email, "firstName": view.first_name, "lastName": view.last_name, "phone": view.phone}))
            .collect();
        let total = found.len().to_string();
        Json(json!({"scoreValues": [], "contacts": found, "meta": {"total": total, "sortable": true}})).into_response()
    })
    .await
}

async fn info(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    read(&shared, &headers, "/import/info", "status", |account, now| match query.get("batchId") {
        Some(id) => Json(account.status(id, now)).into_response(),
        None => {
            let body = json!({"success": 0, "message": "'batchId' is a required field."});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    })
    .await
}

async fn outstanding(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    read(&shared, &headers, "/import/bulk_import", "other", |account, _| {
        let size = |done: bool| -> (usize, usize) {
            let batches = account.batches.values().filter(|batch| batch.done == done);
            batches.fold((0, 0), |(count, contacts), batch| (count + 1, contacts + batch.size))
        };
        let day = |(batches, contacts): (usize, usize)| match batches {
            0 => json!([]),
            _ => json!([{"forDate": "2026-11-24", "batches": batches.to_string(), "contacts": contacts.to_string()}]),
        };
        Json(json!({"outstanding": day(size(false)), "recentlyCompleted": day(size(true))})).into_response()
    })
    .await
}

async fn bulk_import(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    let arrived = shared.now();
    let fault = enter(&shared, &headers, "/import/bulk_import", "import").await?;
    let contacts = import::check(&body).map_err(|refusal| (StatusCode::BAD_REQUEST, Json(refusal)).into_response())?;
    let account = host(&headers);
    let admitted = {
        let mut accounts = shared.accounts();
        let account = accounts.get_mut(&account).ok_or_else(|| empty(StatusCode::NOT_FOUND))?;
        let window = if contacts.len() == 1 { &mut account.one } else { &mut account.many };
        window.admit(arrived)
    };
    if !admitted {
        let class = if contacts.len() == 1 { "import_one" } else { "import_many" };
        let fact = Fact::Limited { at: arrived, account, class: class.to_owned() };
        let _best_effort = shared.journal.write(&fact).await;
        return Err((StatusCode::BAD_REQUEST, Json(import::rate_limited())).into_response());
    }
    accept(&shared, account, &headers, body.len(), contacts, arrived, fault).await
}

/// On the disk first, then in the account, then the answer.
async fn accept(
    shared: &Shared,
    host: String,
    headers: &HeaderMap,
    bytes: usize,
    contacts: Vec<Value>,
    at: f64,
    fault: Option<Fault>,
) -> Answer {
    let batch = uuid::Uuid::new_v4().to_string();
    let attempt = headers.get("x-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let count = contacts.len();
    let fact = Fact::Accepted { at, account: host.clone(), batch: batch.clone(), attempt, bytes, contacts };
    shared.journal.write(&fact).await.map_err(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))?;
    let Fact::Accepted { contacts, .. } = fact else { return Err(empty(StatusCode::INTERNAL_SERVER_ERROR)) };
    let fate = match fault {
        Some(Fault::BatchFails) => Fate::Fails,
        Some(Fault::BatchInterrupted) => Fate::Interrupted,
        Some(Fault::BatchStuck) => Fate::Stuck,
        _ => Fate::Completes,
    };
    if let Some(account) = shared.accounts().get_mut(&host) {
        account.bytes += bytes as u64;
        account.largest = account.largest.max(bytes);
        account.accept(batch.clone(), contacts, shared.now(), fate);
    }
    match fault {
        Some(Fault::GatewayTimeoutAfterAccepting) => Err(empty(StatusCode::GATEWAY_TIMEOUT)),
        Some(Fault::NoAnswerAfterAccepting) => std::future::pending().await,
        Some(Fault::ResetAfterAccepting) => Err(broken()),
        _ => Ok(Json(
            json!({"success": 1, "queued_contacts": count, "batchId": batch, "message": "Contact import queued"}),
        )
        .into_response()),
    }
}
