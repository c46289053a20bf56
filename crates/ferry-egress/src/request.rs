//! What is asked, what comes back, and what is certain when nothing does.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// Of an answer's body, unless the request says less or more; the rest is not read.
const ANSWER_BYTES: usize = 1024 * 1024;

/// One request.
pub struct Request {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    secret_header: Option<(HeaderName, SecretString)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<(Bytes, &'static str)>,
    attempt_id: Option<String>,
    pub(crate) most: usize,
    pub(crate) deadline: Duration,
}

/// What came back, whatever its status. A redirect is an answer too: nobody follows it.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A request without a usable answer. The difference decides whether its effect is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Certainly nothing of it arrived.
    #[error("not sent: {0}")]
    NotSent(Cause),
    /// It may have arrived.
    #[error("no usable answer: {0}")]
    Unknown(Cause),
}

/// What went wrong, in words that hold no address and no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Name, address, connection or TLS.
    #[error("the host could not be reached")]
    Unreachable,
    /// The deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The answer's body is longer than what is read.
    #[error("the answer is too large")]
    TooLarge,
    /// The request could not be made.
    #[error("the request could not be made")]
    Invalid,
}

impl Request {
    /// A request with its total deadline.
    #[must_use]
    pub fn new(method: Method, path_and_query: impl Into<String>, deadline: Duration) -> Self {
        Self {
            method,
            path_and_query: path_and_query.into(),
            secret_header: None,
            headers: Vec::new(),
            body: None,
            attempt_id: None,
            most: ANSWER_BYTES,
            deadline,
        }
    }

    /// A header whose value is a secret.
    #[must_use]
    pub fn secret_header(mut self, name: HeaderName, value: SecretString) -> Self {
        self.secret_header = Some((name, value));
        self
    }

    /// A header whose value is not.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A JSON body.
    #[must_use]
    pub fn json(self, body: Bytes) -> Self {
        self.body(body, "application/json")
    }

    /// A body of another type.
    #[must_use]
    pub fn body(mut self, body: Bytes, content_type: &'static str) -> Self {
        self.body = Some((body, content_type));
        self
    }

    /// Sent as `x-request-id`, so that both sides' records can be compared.
    #[must_use]
    pub fn attempt_id(mut self, id: &str) -> Self {
        self.attempt_id = Some(id.to_owned());
        self
    }

    /// The longest body that is read of the answer; of 0 nothing is read, and whatever there is does not matter.
    #[must_use]
    pub fn answer_limit(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// The headers; nothing if a value cannot be one.
    pub(crate) fn headers(&self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some((name, secret)) = &self.secret_header {
            let mut value = HeaderValue::from_str(secret.expose_secret()).ok()?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(id) = &self.attempt_id {
            headers.insert("x-request-id", HeaderValue::from_str(id).ok()?);
        }
        if let Some((_, content_type)) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Some(headers)
    }

    pub(crate) fn into_body(self) -> Option<Bytes> {
        self.body.map(|(body, _)| body)
    }
}

/// Neither the body nor the query: they may hold personal data.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Neither the headers nor the body: they may hold personal data.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.body.len();
        f.debug_struct("Answer").field("status", &self.status).field("bytes", &bytes).finish_non_exhaustive()
    }
}
