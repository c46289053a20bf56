//! The lanes of this process: one account each, made when first needed and forgotten when long unused.

use crate::hold;
use crate::lane::{Account, Beginning, Lane};
use crate::limiter::Limiter;
use crate::pace::{AccountLimits, TimeScale};
use crate::people::{Marker, People, Recovering};
use ferry_domain::Timestamp;
use ferry_store::Store;
use ferry_telemetry::Telemetry;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The longest window. What was sent before it counts no more, so an account that was unused so long can be forgotten.
const MINUTE: Duration = Duration::from_secs(60);
/// An import arrives at most so long after its intent: the time that an intent is good for, and the deadline of a
/// request (real time).
const LATEST_ARRIVAL: Duration = Duration::from_secs(10);

/// All lanes.
pub struct Lanes {
    store: Store,
    scale: TimeScale,
    limits: AccountLimits,
    begun: Instant,
    accounts: tokio::sync::Mutex<HashMap<String, Arc<Account>>>,
    marker: Arc<Marker>,
    /// Kept as long as anybody is on the way to an account, or may be.
    people: Mutex<HashMap<String, Weak<People>>>,
    telemetry: Telemetry,
}

impl Lanes {
    /// None yet.
    #[must_use]
    pub fn new(store: Store, scale: TimeScale) -> Self {
        Self {
            store,
            scale,
            limits: AccountLimits::Documented,
            begun: Instant::now(),
            accounts: tokio::sync::Mutex::default(),
            marker: Arc::default(),
            people: Mutex::default(),
            telemetry: Telemetry::default(),
        }
    }

    /// Keeps these limits instead of all that are documented.
    #[must_use]
    pub fn limited_by(self, limits: AccountLimits) -> Self {
        Self { limits, ..self }
    }

    /// Tells of waits and requests.
    #[must_use]
    pub fn observed_by(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// How much of its limit the busiest account uses, from 0 to 1.
    pub async fn ceiling_use(&self) -> f64 {
        self.accounts.lock().await.values().map(|account| account.ceiling_use()).fold(0.0, f64::max)
    }

    /// How the destinations' time relates to ours.
    #[must_use]
    pub fn scale(&self) -> TimeScale {
        self.scale
    }

    /// A way to an account. The first one reads what an earlier owner recorded.
    pub async fn lane(&self, account: &str, now: Timestamp) -> ferry_domain::Result<Lane> {
        let mut accounts = self.accounts.lock().await;
        let unused = self.scale.real(MINUTE) + LATEST_ARRIVAL;
        accounts.retain(|_, account| !account.end_if_unused(unused));
        if let Some(account) = accounts.get(account) {
            return Ok(account.lane());
        }
        let found = Account::start(self.beginning(account, now).await?);
        accounts.insert(account.to_owned(), Arc::clone(&found));
        Ok(found.lane())
    }

    /// A run to this account that an earlier process began is about to tell whom that process left on the way.
    pub fn recovering(&self, account: &str) -> Recovering {
        self.people(account).recovering()
    }

    async fn beginning(&self, account: &str, now: Timestamp) -> ferry_domain::Result<Beginning> {
        let before = self.scale.real(MINUTE) + LATEST_ARRIVAL;
        let before = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp::from_millis(now.as_millis().saturating_sub(before));
        let recent = self.store.recent_intents(account, since).await?.len();
        let record = self.store.lane_load(account).await?;
        let at = Instant::now();
        let mut limiter = match self.limits {
            AccountLimits::Documented => Limiter::new(self.scale, recent, self.begun, at),
            AccountLimits::Lifted { .. } => Limiter::lifted(at),
        };
        if let Some(left) = record.and_then(|record| hold::left(&record, now, self.scale)) {
            limiter.hold(at + left);
        }
        Ok(Beginning {
            name: account.to_owned(),
            store: self.store.clone(),
            scale: self.scale,
            unanswered_imports: self.limits.unanswered_imports(),
            marker: Arc::clone(&self.marker),
            people: self.people(account),
            telemetry: self.telemetry.clone(),
            limiter,
        })
    }

    fn people(&self, account: &str) -> Arc<People> {
        let mut all = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(people) = all.get(account).and_then(Weak::upgrade) {
            return people;
        }
        all.retain(|_, people| people.strong_count() > 0);
        let people = Arc::new(People::default());
        all.insert(account.to_owned(), Arc::downgrade(&people));
        people
    }
}
