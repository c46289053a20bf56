//! The issuer's public keys: a file or an address, read again when they may have changed.
//!
//! A known key answers at once, whatever the issuer does. Only two callers wait for the issuer, at most for the
//! deadline of a fetch: one with a key id that is not known, and one after five minutes in which nobody asked, because
//! the key may have been removed since.
//!
//! An issuer that cannot be reached does not keep the service from starting, or an outage of theirs would outlast itself
//! here. Until the first set is read no key is known, so nobody is believed.

use super::jwk::{Key, parse};
use super::verify::Clock;
use ferry_domain::Timestamp;
use ferry_egress::{Egress, OperatorOrigin};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Mutex;

/// Where the key set is.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file in JWKS form.
    File(PathBuf),
    /// An https address (or http on loopback) that answers in JWKS form. Its content type does not matter.
    Url(String),
}

/// Nobody can make us fetch more often than this, whatever key ids their tokens name, and also after failures.
const FETCH_FLOOR: Duration = Duration::from_secs(30);
/// The set is read again in the background after this.
const AGEING: Duration = Duration::from_secs(150);
/// A set that nobody tried to read for this long is not used before it is read again, so a removed key ends.
const FRESH: Duration = Duration::from_secs(285);
/// After an outage this long the last known keys are no longer believed.
const BELIEVED: Duration = Duration::from_secs(3_600);
/// Whoever waits for the first set looks this often whether the floor allows to ask again.
const LOOK: Duration = Duration::from_secs(1);
const SET_BYTES: usize = 1024 * 1024;
/// A clock that was set back by more than this makes every age unknown.
const SET_BACK: i64 = 60_000;

/// The keys and when they were asked for; no time means never.
#[derive(Default)]
struct Known {
    keys: HashMap<String, Key>,
    /// The set is as it was then.
    loaded: Option<Timestamp>,
    /// The last fetch began.
    tried: Option<Timestamp>,
    /// The last fetch had begun then and has ended, well or not.
    answered: Option<Timestamp>,
}

#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    source: KeySource,
    deadline: Duration,
    egress: Egress,
    clock: Clock,
    known: RwLock<Known>,
    /// Held during a fetch, so that there is one at a time.
    fetching: Mutex<()>,
}

impl Keys {
    /// Reads the set for the first time. A file that cannot be read is a mistake of whoever starts the service, and so
    /// is an address of another form; an issuer that does not answer is not.
    pub(super) async fn load(
        source: KeySource,
        deadline: Duration,
        egress: Egress,
        clock: Clock,
    ) -> Result<Self, String> {
        let is_file = match &source {
            KeySource::File(_) => true,
            KeySource::Url(url) => {
                OperatorOrigin::split(url).map_err(|error| format!("its address {error}"))?;
                false
            }
        };
        let (known, fetching) = (RwLock::default(), Mutex::default());
        let inner = Inner { source, deadline, egress, clock, known, fetching };
        match inner.refresh().await {
            Err(error) if is_file => return Err(error),
            Err(error) => tracing::warn!(%error, "the issuer's key set cannot be read; nobody is believed until it is"),
            Ok(()) => {}
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Whether a set was ever read.
    pub(super) fn are_known(&self) -> bool {
        self.0.read().loaded.is_some()
    }

    /// Asks for the set until it was read once.
    pub(super) async fn known(&self) {
        while !self.are_known() {
            tokio::time::sleep(LOOK).await;
            self.0.refresh_or_tell().await;
        }
    }

    /// The key of this id.
    pub(super) async fn find(&self, kid: &str) -> Option<Key> {
        let now = (self.0.clock)();
        let (is_known, ageing, unasked) = {
            let known = self.0.read();
            let ageing = older(known.loaded, AGEING, now) && older(known.tried, FETCH_FLOOR, now);
            (known.keys.contains_key(kid), ageing, older(known.answered, FRESH, now))
        };
        if !is_known || unasked || ageing {
            // A task of its own: a caller that goes away must not take the fetch, and its turn, with it.
            let inner = Arc::clone(&self.0);
            let refreshing = tokio::spawn(async move { inner.refresh_or_tell().await });
            if !is_known || unasked {
                let _ended = refreshing.await;
            }
        }
        let known = self.0.read();
        if older(known.loaded, BELIEVED, (self.0.clock)()) {
            return None;
        }
        known.keys.get(kid).cloned()
    }
}

impl Inner {
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh_or_tell(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the issuer's key set cannot be read; the last known keys stay");
        }
    }

    /// Waits for a fetch that is on its way, then fetches if the floor allows.
    async fn refresh(&self) -> Result<(), String> {
        let _turn = self.fetching.lock().await;
        let began = (self.clock)();
        if !older(self.read().tried, FETCH_FLOOR, began) {
            return Ok(());
        }
        self.write().tried = Some(began);
        let fetched = self.fetch().await;
        let mut known = self.write();
        known.answered = Some(began);
        known.keys = fetched?;
        known.loaded = Some(began);
        Ok(())
    }

    async fn fetch(&self) -> Result<HashMap<String, Key>, String> {
        let bytes = match &self.source {
            KeySource::File(path) => {
                tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display()))?
            }
            KeySource::Url(url) => {
                // The path and the query stay out of the log: they may hold what only the issuer should see.
                let (origin, _) = OperatorOrigin::split(url).map_err(|error| format!("its address {error}"))?;
                let answer = self.egress.operator_get(url, SET_BYTES, self.deadline).await;
                answer.map_err(|error| format!("{origin}: {error}"))?.to_vec()
            }
        };
        parse(&bytes)
    }
}

/// Whether `limit` has passed since then. Two threads may read the clock in the other order than they come here.
fn older(then: Option<Timestamp>, limit: Duration, now: Timestamp) -> bool {
    then.is_none_or(|then| {
        let ahead = then.as_millis().saturating_sub(now.as_millis());
        ahead > SET_BACK || now.since(then) >= limit
    })
}
