//! Requests to one destination, and what is certain about each when it fails.

use crate::DevelopmentDestination;
use crate::host::HostName;
use crate::resolver::{DevelopmentResolver, guarded};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;

/// No connection takes longer than this; it leaves room for the request within its deadline.
const CONNECT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(30);
/// Of an answer's body; the rest is not read.
const ANSWER_BYTES: usize = 1024 * 1024;

/// A client for one host.
#[derive(Clone)]
pub struct DestinationClient {
    client: reqwest::Client,
    base: String,
}

/// One request.
pub struct Request {
    method: Method,
    path_and_query: String,
    secret_header: Option<(HeaderName, SecretString)>,
    body: Option<Bytes>,
    attempt_id: Option<String>,
    deadline: Duration,
}

/// What came back, whatever its status.
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
            body: None,
            attempt_id: None,
            deadline,
        }
    }

    /// A header whose value is a secret.
    #[must_use]
    pub fn secret_header(mut self, name: HeaderName, value: SecretString) -> Self {
        self.secret_header = Some((name, value));
        self
    }

    /// A JSON body.
    #[must_use]
    pub fn json(mut self, body: Bytes) -> Self {
        self.body = Some(body);
        self
    }

    /// Sent as `x-request-id`, so that both sides' records can be compared.
    #[must_use]
    pub fn attempt_id(mut self, id: &str) -> Self {
        self.attempt_id = Some(id.to_owned());
        self
    }
}

fn builder(user_agent: &str) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(user_agent)
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
}

impl DestinationClient {
    pub(crate) fn new(
        host: &HostName,
        development: Option<&DevelopmentDestination>,
        user_agent: &str,
    ) -> Result<Self, reqwest::Error> {
        let (client, base) = match development {
            None => (builder(user_agent).https_only(true).dns_resolver(guarded()), format!("https://{host}")),
            Some(DevelopmentDestination { addr, ca_pem, .. }) => {
                let resolver = DevelopmentResolver { host: host.as_str().to_owned(), addr: *addr };
                let authority = reqwest::Certificate::from_pem(ca_pem.as_bytes())?;
                let client = builder(user_agent).https_only(true).dns_resolver(Arc::new(resolver));
                (client.tls_certs_only([authority]), format!("https://{host}:{}", addr.port()))
            }
        };
        Ok(Self { client: client.build()?, base })
    }

    /// Sends a request once.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        let deadline = request.deadline;
        let built = self.build(request).ok_or(SendError::NotSent(Cause::Invalid))?;
        match tokio::time::timeout(deadline, exchange(&self.client, built, ANSWER_BYTES)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::Unknown(Cause::Deadline)),
        }
    }

    fn build(&self, request: Request) -> Option<reqwest::Request> {
        let url = format!("{}{}", self.base, request.path_and_query);
        let mut building = self.client.request(request.method, url).header(http::header::ACCEPT, "application/json");
        if let Some((name, secret)) = request.secret_header {
            let mut value = HeaderValue::from_str(secret.expose_secret()).ok()?;
            value.set_sensitive(true);
            building = building.header(name, value);
        }
        if let Some(id) = request.attempt_id {
            building = building.header("x-request-id", id);
        }
        if let Some(body) = request.body {
            building = building.header(http::header::CONTENT_TYPE, "application/json").body(body);
        }
        building.build().ok()
    }
}

async fn exchange(client: &reqwest::Client, request: reqwest::Request, most: usize) -> Result<Answer, SendError> {
    let mut response = client.execute(request).await.map_err(|error| classify(&error))?;
    let status = response.status();
    let headers = response.headers().clone();
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| SendError::Unknown(Cause::Broken))? {
        if body.len() + chunk.len() > most {
            return Err(SendError::Unknown(Cause::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

/// Only a connection that was never made is certain; every other failure leaves the effect open.
fn classify(error: &reqwest::Error) -> SendError {
    if error.is_connect() {
        SendError::NotSent(Cause::Unreachable)
    } else if error.is_builder() {
        SendError::NotSent(Cause::Invalid)
    } else if error.is_timeout() {
        SendError::Unknown(Cause::Deadline)
    } else {
        SendError::Unknown(Cause::Broken)
    }
}

/// A client for one address that the operator configured.
pub(crate) struct OperatorClient {
    client: reqwest::Client,
    url: reqwest::Url,
}

pub(crate) fn operator_client(url: &str, user_agent: &str) -> Result<OperatorClient, SendError> {
    let invalid = SendError::NotSent(Cause::Invalid);
    let url = reqwest::Url::parse(url).map_err(|_| invalid)?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(_)) | None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err(invalid);
    }
    let client = builder(user_agent).build().map_err(|_| invalid)?;
    Ok(OperatorClient { client, url })
}

impl OperatorClient {
    pub(crate) async fn get(self, max_bytes: usize, deadline: Duration) -> Result<Bytes, SendError> {
        let request = reqwest::Request::new(Method::GET, self.url);
        match tokio::time::timeout(deadline, exchange(&self.client, request, max_bytes)).await {
            Ok(Ok(answer)) if answer.status == StatusCode::OK => Ok(answer.body),
            Ok(Ok(_)) => Err(SendError::Unknown(Cause::Broken)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SendError::Unknown(Cause::Deadline)),
        }
    }
}
