//! The one way out: every request that Ferry makes to another host goes through here.
//!
//! A destination is a host name and nothing else: no scheme, port, path or address in any spelling. The name must be on
//! the operator's list, is resolved once for each new connection, every address is classified, and the connection goes
//! to a checked address. https with verification; no redirect is followed, so a key never travels to another host; no
//! proxy is taken from the environment; time and size of answers are bounded.

mod address;
mod client;
mod host;
mod resolver;
mod retry_after;

pub use client::{Answer, Cause, DestinationClient, Request, SendError};
pub use host::{HostName, HostNameError};
pub use retry_after::retry_after;

use client::operator_client;
use std::net::SocketAddr;
use std::time::Duration;

/// Suffixes of ActiveCampaign's hosts. The vendor does not promise that there are no others, so it is configuration.
const DEFAULT_SUFFIXES: [&str; 2] = [".api-us1.com", ".activehosted.com"];

/// What the operator allows.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// Suffixes of allowed destinations, each with its leading dot.
    pub allowed_suffixes: Vec<String>,
    /// Destinations on this machine, for development.
    pub development: Vec<DevelopmentDestination>,
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
    /// The authority that signed its certificate, in PEM.
    pub ca_pem: String,
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

/// Makes clients for destinations.
#[derive(Debug, Clone)]
pub struct Egress {
    config: EgressConfig,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allowed_suffixes: DEFAULT_SUFFIXES.map(str::to_owned).to_vec(),
            development: Vec::new(),
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
        let malformed = |suffix: &&String| !suffix.starts_with('.') || suffix.len() < 2;
        if let Some(suffix) = config.allowed_suffixes.iter().find(malformed) {
            return Err(EgressError::Suffix(suffix.clone()));
        }
        Ok(Self { config })
    }

    /// A client for one destination, if the operator allows it.
    pub fn destination(&self, host: &HostName) -> Result<DestinationClient, HostRefused> {
        let development = self.config.development.iter().find(|destination| destination.host == *host);
        let listed = self.config.allowed_suffixes.iter().any(|suffix| host.as_str().ends_with(suffix.as_str()));
        if development.is_none() && !listed {
            return Err(HostRefused(host.clone()));
        }
        DestinationClient::new(host, development, &self.config.user_agent).map_err(|error| {
            tracing::error!(%error, "a client for a destination cannot be made");
            HostRefused(host.clone())
        })
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
        operator_client(url, &self.config.user_agent)?.get(max_bytes, deadline).await
    }
}

#[cfg(test)]
mod tests;
