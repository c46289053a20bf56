//! Names to addresses, with the guard in between. Asked for each new connection, and the connection goes to what it
//! answered, so an answer that changes between check and use is checked again.

use crate::address::is_public;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;
use std::sync::Arc;

/// Resolves by the system and refuses a name if any of its addresses is not public.
pub(crate) struct GuardedResolver;

/// Resolves one name to one loopback address, and no other name.
pub(crate) struct DevelopmentResolver {
    pub(crate) host: String,
    pub(crate) addr: SocketAddr,
}

/// A name that leads where nothing may be sent.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is not public, or to none")]
pub(crate) struct Refused;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 443)).await?.collect();
            if found.is_empty() || !found.iter().all(|address| is_public(address.ip())) {
                return Err(Refused.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Resolve for DevelopmentResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let known = name.as_str() == self.host;
        let addr = self.addr;
        Box::pin(async move { if known { Ok(Box::new(std::iter::once(addr)) as Addrs) } else { Err(Refused.into()) } })
    }
}

/// The resolver for a client.
pub(crate) fn guarded() -> Arc<GuardedResolver> {
    Arc::new(GuardedResolver)
}
