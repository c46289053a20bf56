//! Names to addresses, with the guard in between. Asked for each new connection, and the connection goes to what it
//! answered, so an answer that changes between check and use is checked again.

use crate::address::is_public;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// For one question to one name server. All of them must fit into the time of a connection.
const QUESTION: Duration = Duration::from_secs(1);

/// Refuses a name if any of its addresses is not public.
pub(crate) struct GuardedResolver {
    name_servers: Vec<SocketAddr>,
    port: u16,
    allowed: fn(IpAddr) -> bool,
}

/// Resolves one name to one loopback address, and no other name.
pub(crate) struct DevelopmentResolver {
    pub(crate) host: String,
    pub(crate) addr: SocketAddr,
}

/// A name that leads where nothing may be sent.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is not public, or to none")]
pub(crate) struct Refused;

impl GuardedResolver {
    /// Asks these name servers, or the system's if there are none; connections go to port 443.
    pub(crate) fn new(name_servers: Vec<SocketAddr>) -> Self {
        Self { name_servers, port: 443, allowed: is_public }
    }

    /// Another port, and a second loopback address that counts as public: nothing public can be reached in a test.
    #[cfg(test)]
    pub(crate) fn in_test(name_servers: Vec<SocketAddr>, port: u16, allowed: fn(IpAddr) -> bool) -> Self {
        Self { name_servers, port, allowed }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = resolver(&self.name_servers).inspect_err(|error| {
            tracing::error!(%error, "this machine names no name servers, so no destination can be found");
        });
        let (port, allowed) = (self.port, self.allowed);
        Box::pin(async move {
            // The dot at the end: no search domain of this machine turns the name into another one.
            let answer = resolver?.lookup_ip(format!("{}.", name.as_str())).await?;
            let found: Vec<SocketAddr> = answer.iter().map(|address| SocketAddr::new(address, port)).collect();
            if found.is_empty() || !found.iter().all(|address| allowed(address.ip())) {
                tracing::warn!(host = name.as_str(), "{Refused}; nothing is sent there");
                return Err(Refused.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A new one for each connection, so that no cached answer outlives its check, and so that a machine's changed
/// name servers are seen.
fn resolver(name_servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if name_servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = name_servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = QUESTION;
    options.attempts = 1;
    options.cache_size = 0;
    builder.build()
}

fn name_server(addr: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = addr.port());
    NameServerConfig::new(addr.ip(), true, connections)
}

impl Resolve for DevelopmentResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let known = name.as_str() == self.host;
        let addr = self.addr;
        Box::pin(async move { if known { Ok(Box::new(std::iter::once(addr)) as Addrs) } else { Err(Refused.into()) } })
    }
}
