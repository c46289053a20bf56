//! The one way out: every request that Ferry makes to another host goes through here.
//!
//! There is one policy for each purpose, and no field of a tenant chooses between them:
//!
//! - *destination*: a host name on the operator's list of suffixes; or, by an explicit development setting, a
//!   simulator on loopback.
//! - *webhook*: any host name; or a receiver on loopback, by the same development setting.
//! - *operator*: the exact origin that the operator configured (key sets, secret stores), which may be private.
//!
//! A tenant's field holds a host name and nothing else: no scheme, port, path or address in any spelling. The name is
//! resolved once for each new connection, every address is classified, all are refused if one is not public, and the
//! connection goes to a checked address, at port 443. For all purposes: https with verification (http on loopback alone:
//! for the operator, and for a development destination that names no authority); no redirect is followed, so a key never travels to another host; no proxy is taken from
//! the environment; time and size of answers are bounded.

mod address;
mod client;
mod host;
mod origin;
mod request;
mod resolver;
mod retry_after;
mod webhook_url;

pub use client::{DestinationClient, OperatorClient, WebhookClient};
pub use host::{HostName, HostNameError};
pub use origin::{OperatorOrigin, OriginError};
pub use request::{Answer, Cause, Request, SendError};
pub use retry_after::retry_after;
pub use webhook_url::{WebhookUrl, WebhookUrlError};

use client::{Client, Connect};
use http::{Method, StatusCode};
use reqwest::dns::Resolve;
use resolver::{DevelopmentResolver, GuardedResolver};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Suffixes of ActiveCampaign's hosts. The vendor does not promise that there are no others, so it is configuration.
const DEFAULT_SUFFIXES: [&str; 2] = [".api-us1.com", ".activehosted.com"];

/// What the operator allows.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// Suffixes of allowed destinations, each with its leading dot.
    pub allowed_suffixes: Vec<String>,
    /// Destinations on this machine, for development.
    pub development: Vec<DevelopmentDestination>,
    /// Name servers for destinations and webhooks; the system's if there are none.
    pub name_servers: Vec<SocketAddr>,
    /// Sent as `User-Agent`.
    pub user_agent: String,
}

/// A host name that stands for a simulator on loopback.
#[derive(Debug, Clone)]
pub struct DevelopmentDestination {
    /// The name that connections use.
    pub host: HostName,
    /// Where it really is; refused unless it is loopback.
    pub addr: SocketAddr,
    /// The authority that signed its certificate, in PEM; without one it is spoken to in plain HTTP.
    pub ca_pem: Option<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A development destination is not on this machine.
    #[error("the development destination `{0}` is not on loopback")]
    NotLoopback(HostName),
    /// A suffix has another form.
    #[error("`{0}` is no suffix of host names; it begins with a dot, like .api-us1.com")]
    Suffix(String),
    /// The client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

/// The operator's list does not hold the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not among the destinations that the operator of this service allows")]
pub struct HostRefused(HostName);

/// Makes clients. A clone shares the operator's connections.
#[derive(Debug, Clone)]
pub struct Egress {
    config: EgressConfig,
    operator: reqwest::Client,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allowed_suffixes: DEFAULT_SUFFIXES.map(str::to_owned).to_vec(),
            development: Vec::new(),
            name_servers: Vec::new(),
            user_agent: concat!("ferry/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Egress {
    /// Checks the configuration.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        if let Some(outside) = config.development.iter().find(|destination| !destination.addr.ip().is_loopback()) {
            return Err(EgressError::NotLoopback(outside.host.clone()));
        }
        let malformed = |suffix: &&String| !is_suffix(suffix);
        if let Some(suffix) = config.allowed_suffixes.iter().find(malformed) {
            return Err(EgressError::Suffix(suffix.clone()));
        }
        let connect = Connect { user_agent: &config.user_agent, resolver: None, ca_pem: None, https_only: false };
        let operator = connect.client().map_err(unmade)?;
        Ok(Self { config, operator })
    }

    /// A client for one destination, if the operator allows it.
    pub fn destination(&self, host: &HostName) -> Result<DestinationClient, HostRefused> {
        let development = self.config.development.iter().find(|destination| destination.host == *host);
        let listed = self.config.allowed_suffixes.iter().any(|suffix| host.as_str().ends_with(suffix.as_str()));
        let client = match development {
            None if !listed => return Err(HostRefused(host.clone())),
            None => self.guarded(host),
            Some(development) => self.development(development),
        };
        client.map(DestinationClient).map_err(|error| {
            tracing::error!(%error, "a client for a destination cannot be made");
            HostRefused(host.clone())
        })
    }

    /// A client for a receiver of events, at any public host; or at one on this machine, if an explicit development
    /// setting names its host.
    pub fn webhook(&self, host: &HostName) -> Result<WebhookClient, EgressError> {
        let development = self.config.development.iter().find(|destination| destination.host == *host);
        let client = match development {
            None => self.guarded(host),
            Some(development) => self.development(development),
        };
        client.map(|client| WebhookClient { client, is_development: development.is_some() })
    }

    /// A client for an origin that the operator configured; `ca_pem` replaces the system's authorities.
    pub fn operator(&self, origin: &OperatorOrigin, ca_pem: Option<&str>) -> Result<OperatorClient, EgressError> {
        let http = match ca_pem {
            None => self.operator.clone(),
            Some(_) => Connect { user_agent: &self.config.user_agent, resolver: None, ca_pem, https_only: true }
                .client()
                .map_err(unmade)?,
        };
        Ok(OperatorClient(Client { http, origin: origin.clone().into_url() }))
    }

    fn guarded(&self, host: &HostName) -> Result<Client, EgressError> {
        let resolver = Arc::new(GuardedResolver::new(self.config.name_servers.clone()));
        self.named(&format!("https://{host}/"), resolver, None)
    }

    fn development(&self, destination: &DevelopmentDestination) -> Result<Client, EgressError> {
        let DevelopmentDestination { host, addr, ca_pem } = destination;
        let resolver = Arc::new(DevelopmentResolver { host: host.as_str().to_owned(), addr: *addr });
        let scheme = if ca_pem.is_some() { "https" } else { "http" };
        self.named(&format!("{scheme}://{host}:{}/", addr.port()), resolver, ca_pem.as_deref())
    }

    fn named(&self, origin: &str, resolver: Arc<dyn Resolve>, ca_pem: Option<&str>) -> Result<Client, EgressError> {
        let origin = Url::parse(origin).map_err(|error| EgressError::Client(error.to_string()))?;
        let https_only = origin.scheme() == "https";
        let connect = Connect { user_agent: &self.config.user_agent, resolver: Some(resolver), ca_pem, https_only };
        Ok(Client { http: connect.client().map_err(unmade)?, origin })
    }

    /// Whether every allowed destination is on this machine.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        self.config.allowed_suffixes.is_empty()
    }

    /// Reads a document from an address that the operator configured (a key set): https, or http on loopback.
    pub async fn operator_get(
        &self,
        url: &str,
        max_bytes: usize,
        deadline: Duration,
    ) -> Result<bytes::Bytes, SendError> {
        let invalid = SendError::NotSent(Cause::Invalid);
        let (origin, path_and_query) = OperatorOrigin::split(url).map_err(|_| invalid)?;
        let client = self.operator(&origin, None).map_err(|_| invalid)?;
        let request = Request::new(Method::GET, path_and_query, deadline).answer_limit(max_bytes);
        let answer = client.send(request).await?;
        if answer.status == StatusCode::OK { Ok(answer.body) } else { Err(SendError::Unknown(Cause::Broken)) }
    }
}

fn is_suffix(text: &str) -> bool {
    text.starts_with('.') && HostName::parse(&format!("a{text}")).is_ok_and(|name| name.as_str()[1..] == *text)
}

fn unmade(error: reqwest::Error) -> EgressError {
    EgressError::Client(error.to_string())
}

#[cfg(test)]
mod tests;
