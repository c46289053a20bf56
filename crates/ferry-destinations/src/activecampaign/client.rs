//! Calls to one account.

use super::answer::{self, ImportOutcome, ImportStatus};
use super::fields::{self, FieldsPage};
use bytes::Bytes;
use ferry_egress::{Answer, Cause, DestinationClient, Egress, HostName, HostRefused, Request, SendError, retry_after};
use http::{HeaderName, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::{Duration, SystemTime};

const API_TOKEN: HeaderName = HeaderName::from_static("api-token");
/// For questions that carry nothing.
const DEADLINE: Duration = Duration::from_secs(8);

/// One account, by its host and a user's key.
pub struct ActiveCampaign {
    client: DestinationClient,
    key: SecretString,
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountUser {
    /// The user's number in the account.
    pub id: String,
}

/// A question without its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The key is wrong or revoked.
    #[error("the API key was refused")]
    CredentialsRefused,
    /// The key's user lacks the right.
    #[error("the API key has too few rights")]
    Forbidden,
    /// The account is unpaid.
    #[error("the account has lapsed")]
    AccountLapsed,
    /// There is no such thing, or no such account.
    #[error("not found")]
    NotFound,
    /// Too fast.
    #[error("the rate limit is exceeded")]
    RateLimited {
        /// How long to wait, if it says so.
        retry_after: Option<Duration>,
    },
    /// The host cannot be reached.
    #[error("{cause}")]
    Unreachable {
        /// Why.
        cause: Cause,
    },
    /// It answered, but not properly.
    #[error("no proper answer (HTTP {status:?})")]
    Failed {
        /// Of the answer, if there was one.
        status: Option<u16>,
    },
}

impl CallError {
    /// Whether asking again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unreachable { .. } | Self::Failed { .. } => true,
            Self::CredentialsRefused | Self::Forbidden | Self::AccountLapsed | Self::NotFound => false,
        }
    }
}

impl ActiveCampaign {
    /// Nothing is sent yet.
    pub fn new(egress: &Egress, host: &HostName, key: SecretString) -> Result<Self, HostRefused> {
        Ok(Self { client: egress.destination(host)?, key })
    }

    /// Whether the account takes the key (`users/me`).
    pub async fn verify(&self) -> Result<AccountUser, CallError> {
        let answer = self.ask("/api/3/users/me".to_owned()).await?;
        let id = answer::get(&answer, "user").and_then(|user| answer::get(user, "id")).and_then(answer::text);
        id.map(|id| AccountUser { id }).ok_or(CallError::Failed { status: Some(200) })
    }

    /// The name of a list; nothing if there is none with this number.
    pub async fn list(&self, id: u32) -> Result<Option<String>, CallError> {
        match self.ask(format!("/api/3/lists/{id}")).await {
            Ok(answer) => {
                let list = answer::get(&answer, "list").ok_or(CallError::Failed { status: Some(200) })?;
                Ok(Some(answer::get(list, "name").and_then(answer::text).unwrap_or_default()))
            }
            Err(CallError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of the custom fields. Each is a request of its own, which counts for the account's limits.
    pub async fn fields(&self, offset: usize) -> Result<FieldsPage, CallError> {
        let answer = self.ask(format!("/api/3/fields?limit={}&offset={offset}", fields::PAGE)).await?;
        let page = answer::get(&answer, "fields").and_then(Value::as_array);
        page.map(|page| FieldsPage::read(page)).ok_or(CallError::Failed { status: Some(200) })
    }

    /// Sends one import of `rows` contacts, once.
    pub async fn import(&self, body: Bytes, rows: usize, attempt_id: &str, deadline: Duration) -> ImportOutcome {
        let request = Request::new(Method::POST, "/api/3/import/bulk_import", deadline)
            .secret_header(API_TOKEN, self.key.clone())
            .attempt_id(attempt_id)
            .json(body);
        match self.exchange(request).await {
            Ok(answer) => answer::import(answer.status, wait(&answer), &answer.body, rows),
            Err(SendError::NotSent(_)) => ImportOutcome::NotSent,
            Err(SendError::Unknown(_)) => ImportOutcome::Unknown { retry_after: None },
        }
    }

    /// Asks how far a batch is.
    pub async fn import_status(&self, batch_id: &str, deadline: Duration) -> Result<ImportStatus, CallError> {
        let query: String = url_encoded(batch_id);
        let answer = self.get(format!("/api/3/import/info?batchId={query}"), deadline).await?;
        answer::import_status(&answer).ok_or(CallError::Failed { status: Some(200) })
    }

    async fn ask(&self, path: String) -> Result<Value, CallError> {
        let body = self.get(path, DEADLINE).await?;
        answer::object(&body).ok_or_else(|| {
            // A login page instead of JSON is what an expired key or a moved account looks like.
            if answer::is_html(&body) { CallError::CredentialsRefused } else { CallError::Failed { status: Some(200) } }
        })
    }

    async fn exchange(&self, request: Request) -> Result<Answer, SendError> {
        let answer = self.client.send(request).await?;
        Ok(Answer { body: redacted(answer.body, self.key.expose_secret()), ..answer })
    }

    async fn get(&self, path: String, deadline: Duration) -> Result<Bytes, CallError> {
        let request = Request::new(Method::GET, path, deadline).secret_header(API_TOKEN, self.key.clone());
        let answer = self.exchange(request).await.map_err(|error| match error {
            SendError::NotSent(cause) => CallError::Unreachable { cause },
            SendError::Unknown(_) => CallError::Failed { status: None },
        })?;
        match answer.status {
            status if status.is_success() => Ok(answer.body),
            StatusCode::UNAUTHORIZED => Err(CallError::CredentialsRefused),
            // An empty 403 is a refused key; one with a text is a right that the key's user lacks.
            StatusCode::FORBIDDEN if answer.body.is_empty() => Err(CallError::CredentialsRefused),
            StatusCode::FORBIDDEN => Err(CallError::Forbidden),
            StatusCode::PAYMENT_REQUIRED => Err(CallError::AccountLapsed),
            StatusCode::NOT_FOUND => Err(CallError::NotFound),
            StatusCode::TOO_MANY_REQUESTS => Err(CallError::RateLimited { retry_after: wait(&answer) }),
            // Overload may ask for a wait too, and who asks for one is not asked before.
            status => Err(match wait(&answer) {
                Some(wait) if status.is_server_error() => CallError::RateLimited { retry_after: Some(wait) },
                _ => CallError::Failed { status: Some(status.as_u16()) },
            }),
        }
    }
}

/// Longer than any part of an answer that has to stay; a real key has 72 characters.
const SHORTEST_REDACTED: usize = 8;

/// The body without the key, should the destination tell it back: names, numbers and texts of an answer are stored and
/// shown.
fn redacted(body: Bytes, key: &str) -> Bytes {
    let text = String::from_utf8_lossy(&body);
    if key.len() < SHORTEST_REDACTED || !text.contains(key) {
        return body;
    }
    Bytes::from(text.replace(key, "(redacted)"))
}

fn wait(answer: &Answer) -> Option<Duration> {
    // The wall clock stands against a date in a header; nothing else here looks at it.
    retry_after(&answer.headers, SystemTime::now())
}

fn url_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
