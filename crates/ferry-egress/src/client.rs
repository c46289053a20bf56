//! The clients: one code for all purposes, one type for each, so that none can be used for another.

use crate::request::{Answer, Cause, Request, SendError};
use bytes::BytesMut;
use reqwest::dns::Resolve;
use reqwest::redirect::Policy;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// No connection takes longer than this, its name's resolution included; it leaves room for the request within its
/// deadline.
const CONNECT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(30);

/// A client for one destination.
#[derive(Debug, Clone)]
pub struct DestinationClient(pub(crate) Client);

/// A client for one receiver of events.
#[derive(Debug, Clone)]
pub struct WebhookClient {
    pub(crate) client: Client,
    pub(crate) is_development: bool,
}

/// A client for one origin that the operator configured.
#[derive(Debug, Clone)]
pub struct OperatorClient(pub(crate) Client);

impl DestinationClient {
    /// Sends a request once.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        self.0.send(request).await
    }
}

impl WebhookClient {
    /// Sends a request once.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        self.client.send(request).await
    }

    /// Whether the receiver is one on this machine, named by a development setting.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.is_development
    }
}

impl OperatorClient {
    /// Sends a request once.
    pub async fn send(&self, request: Request) -> Result<Answer, SendError> {
        self.0.send(request).await
    }
}

/// How a client connects.
pub(crate) struct Connect<'a> {
    pub(crate) user_agent: &'a str,
    /// Names to addresses; the system's way if there is none.
    pub(crate) resolver: Option<Arc<dyn Resolve>>,
    /// The only authorities that are believed, in PEM; the system's if there are none.
    pub(crate) ca_pem: Option<&'a str>,
    pub(crate) https_only: bool,
}

impl Connect<'_> {
    pub(crate) fn client(self) -> Result<reqwest::Client, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(self.user_agent)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .referer(false)
            .https_only(self.https_only)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE);
        if let Some(resolver) = self.resolver {
            builder = builder.dns_resolver(resolver);
        }
        if let Some(pem) = self.ca_pem {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes())?);
        }
        builder.build()
    }
}

/// A connection pool and the one origin that it is used for.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) origin: Url,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.origin)
    }
}

impl Client {
    async fn send(&self, request: Request) -> Result<Answer, SendError> {
        let (deadline, most) = (request.deadline, request.most);
        let built = self.build(request).ok_or(SendError::NotSent(Cause::Invalid))?;
        ferry_telemetry::begun();
        let late = |_| Err(SendError::Unknown(Cause::Deadline));
        let result = tokio::time::timeout(deadline, exchange(&self.http, built, most)).await.unwrap_or_else(late);
        match &result {
            Ok(answer) => ferry_telemetry::answered(answer.status.as_u16()),
            Err(SendError::NotSent(_)) => ferry_telemetry::not_sent(),
            Err(SendError::Unknown(_)) => ferry_telemetry::no_answer(),
        }
        result
    }

    fn build(&self, request: Request) -> Option<reqwest::Request> {
        let url = self.url(&request.path_and_query)?;
        let mut built = reqwest::Request::new(request.method.clone(), url);
        *built.headers_mut() = request.headers()?;
        ferry_telemetry::trace_headers(built.headers_mut());
        *built.body_mut() = request.into_body().map(Into::into);
        Some(built)
    }

    /// The path at this origin; nothing if the text would lead anywhere else, as `@elsewhere/` would.
    fn url(&self, path_and_query: &str) -> Option<Url> {
        if !path_and_query.starts_with('/') {
            return None;
        }
        let origin = self.origin.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{origin}{path_and_query}")).ok()?;
        let same = url.origin() == self.origin.origin() && url.username().is_empty() && url.password().is_none();
        same.then_some(url)
    }
}

async fn exchange(http: &reqwest::Client, request: reqwest::Request, most: usize) -> Result<Answer, SendError> {
    let mut response = http.execute(request).await.map_err(|error| classify(&error))?;
    let status = response.status();
    let headers = response.headers().clone();
    let mut body = BytesMut::new();
    if most == 0 {
        return Ok(Answer { status, headers, body: body.freeze() });
    }
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
