//! How much of the server one caller, one tenant and all of them together may use.

pub(crate) mod body;
pub(crate) mod method;
pub(crate) mod rate;
pub(crate) mod slots;

pub use slots::Bounds;

use crate::listener::Peer;
use ferry_domain::{Error, TenantId};
use slots::{Full, Slot, Slots};
use std::time::Duration;

/// How soon a refused caller may come again: a unary call ends in a moment.
const REQUEST_RETRY: Duration = Duration::from_secs(1);
/// A stream goes on for long.
const STREAM_RETRY: Duration = Duration::from_secs(5);
/// How often a stopping server looks whether it may end.
const LOOK: Duration = Duration::from_millis(20);

/// Requests a second, and how many may come at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// In the long run.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// The limits that an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections, for each peer by its address.
    pub connections: Bounds,
    /// Unary calls at work, for each caller by its token's subject. Calls that need no token are counted apart, by the
    /// peer's address, with the same bounds.
    pub requests: Bounds,
    /// Open streams, likewise.
    pub streams: Bounds,
    /// Those of them that watch runs, of each caller.
    pub watchers_of_caller: u32,
    /// The same, of each tenant.
    pub watchers_of_tenant: u32,
    /// Requests of a tenant.
    pub rate: RequestRate,
}

impl Limits {
    /// For a process with some gigabytes of memory.
    pub const DEFAULT: Self = Self {
        connections: Bounds { total: 5_000, each: 256 },
        requests: Bounds { total: 1_024, each: 64 },
        streams: Bounds { total: 12_000, each: 100 },
        watchers_of_caller: 20,
        watchers_of_tenant: 500,
        rate: RequestRate { per_second: 50, burst: 100 },
    };
}

/// The places of those who watch runs: each has one of its caller's and one of the tenant's that it watches.
pub(crate) struct Watchers {
    callers: Slots<String>,
    tenants: Slots<TenantId>,
}

/// A watcher's places.
pub(crate) struct Watching {
    _caller: Slot<String>,
    _tenant: Slot<TenantId>,
}

impl Watchers {
    pub(crate) fn new(limits: &Limits) -> Self {
        let of = |each| Bounds { total: limits.streams.total, each };
        Self { callers: Slots::new(of(limits.watchers_of_caller)), tenants: Slots::new(of(limits.watchers_of_tenant)) }
    }

    /// Places for one who may watch the tenant's runs.
    pub(crate) fn take(&self, caller: &str, tenant: &TenantId) -> Result<Watching, Error> {
        let refused = |who: &str, each: u32| Error::ResourceExhausted {
            message: format!("{who} has its {each} open watches; end one, or watch `exports/-` by one instead of many"),
            retry_after: STREAM_RETRY,
        };
        let caller = self.callers.take(caller.to_owned());
        let caller = caller.map_err(|_full| refused("this caller", self.callers.bounds().each))?;
        let tenant = self.tenants.take(tenant.clone());
        let tenant = tenant.map_err(|_full| refused("the tenant", self.tenants.bounds().each))?;
        Ok(Watching { _caller: caller, _tenant: tenant })
    }
}

/// Who holds a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// By its token.
    Subject(String),
    /// By its address, where no token is asked for.
    Peer(Peer),
}

/// The places of all calls. Those without a token have their own, so that they take none from those with one.
#[derive(Clone)]
pub(crate) struct Calls {
    known: Places,
    unknown: Places,
}

#[derive(Clone)]
struct Places {
    requests: Slots<Caller>,
    streams: Slots<Caller>,
}

impl Places {
    fn new(limits: &Limits) -> Self {
        Self { requests: Slots::new(limits.requests), streams: Slots::new(limits.streams) }
    }

    fn taken(&self) -> u32 {
        self.requests.taken() + self.streams.taken()
    }
}

impl Calls {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { known: Places::new(limits), unknown: Places::new(limits) }
    }

    /// A place for one call.
    pub(crate) fn take(&self, caller: Caller, streaming: bool) -> Result<Slot<Caller>, Error> {
        let places = match caller {
            Caller::Subject(_) => &self.known,
            Caller::Peer(_) => &self.unknown,
        };
        let (slots, what, retry_after) = if streaming {
            (&places.streams, "open streams", STREAM_RETRY)
        } else {
            (&places.requests, "requests at work", REQUEST_RETRY)
        };
        slots.take(caller).map_err(|full| {
            let Bounds { total, each } = slots.bounds();
            let message = match full {
                Full::Total => format!("the server has its {total} {what}; try again"),
                Full::Each => format!("this caller has its {each} {what}; end one or try again"),
            };
            Error::ResourceExhausted { message, retry_after }
        })
    }

    /// Returns once no call is open.
    pub(crate) async fn idle(&self) {
        while self.known.taken() + self.unknown.taken() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}
