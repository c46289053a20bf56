//! Requests a second: for each tenant, and for each caller where no tenant of the caller's own is named.
//!
//! One instant per bucket says it all: when the bucket is full again. A request moves it by one interval, and may not
//! move it further ahead than the burst. The clock is monotonic.

use super::RequestRate;
use ferry_domain::authz::Actor;
use ferry_domain::name::tenant_in;
use ferry_domain::{Error, TenantId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// With fewer buckets nothing is swept.
const FEW: usize = 1_024;

/// Whose budget a request uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Payer {
    Tenant(TenantId),
    Subject(String),
    /// For calls that are refused: each is written down, so they cost more than others, and never a tenant.
    Refused(String),
}

impl Payer {
    /// The tenant pays only for those who have a role there; else an outsider could use up its budget.
    fn of(actor: &Actor, resource: Option<&str>) -> Self {
        let tenant = resource.and_then(tenant_in);
        match tenant.filter(|tenant| actor.role_in(tenant).is_some()) {
            Some(tenant) => Self::Tenant(tenant),
            None => Self::Subject(actor.subject().to_owned()),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Tenant(tenant) => format!("tenant `{tenant}`"),
            Self::Subject(_) => "this caller".to_owned(),
            Self::Refused(_) => "what is refused to this caller".to_owned(),
        }
    }
}

/// A refused call costs its caller as much as so many others: each writes an entry, wherever the caller points.
const REFUSAL_COSTS: u32 = 10;

/// The budgets of all payers.
pub(crate) struct Rates {
    rate: RequestRate,
    interval: Duration,
    /// How far ahead of now a bucket's instant may be when a request comes.
    slack: Duration,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    full_at: HashMap<Payer, Instant>,
    /// The number of buckets at which the full ones are dropped.
    sweep_at: usize,
}

impl Rates {
    pub(crate) fn new(rate: RequestRate) -> Self {
        let interval = Duration::from_secs(1) / rate.per_second.max(1);
        let slack = interval * rate.burst.saturating_sub(1);
        let buckets = Mutex::new(Buckets { full_at: HashMap::new(), sweep_at: FEW });
        Self { rate, interval, slack, buckets }
    }

    /// Takes one request out of the budget of whoever pays for it. `resource` is the name that the request asks about.
    pub(crate) fn charge(&self, actor: &Actor, resource: Option<&str>) -> Result<(), Error> {
        let payer = Payer::of(actor, resource);
        let told = payer.told();
        self.take(payer, 1, Instant::now()).map_err(|retry_after| {
            let RequestRate { per_second, burst } = self.rate;
            let message = format!("{told} is over {per_second} requests a second with a burst of {burst}");
            Error::ResourceExhausted { message, retry_after }
        })
    }

    /// Takes a refused call out of its caller's own budget for those, whoever has paid for the call.
    pub(crate) fn charge_refusal(&self, actor: &Actor) -> Result<(), Error> {
        let payer = Payer::Refused(actor.subject().to_owned());
        let told = payer.told();
        self.take(payer, REFUSAL_COSTS, Instant::now()).map_err(|retry_after| {
            let message = format!("{told} is more than may be written down; ask an administrator for the role");
            Error::ResourceExhausted { message, retry_after }
        })
    }

    /// One request at this instant, or how long until there is room for one. `cost` stretches the whole bucket: as many
    /// at once, and so many times as seldom in the long run.
    fn take(&self, payer: Payer, cost: u32, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.full_at.get(&payer).copied().unwrap_or(now).max(now);
        let wait = (full_at - now).saturating_sub(self.slack * cost);
        if !wait.is_zero() {
            return Err(wait);
        }
        buckets.full_at.insert(payer, full_at + self.interval * cost);
        buckets.sweep(now);
        Ok(())
    }
}

impl Buckets {
    /// A full bucket is like none, so only those of the last seconds are kept. The next sweep waits until the map has
    /// doubled, which makes its cost a constant for each request.
    fn sweep(&mut self, now: Instant) {
        if self.full_at.len() >= self.sweep_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = FEW.max(self.full_at.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use ferry_domain::Timestamp;
    use ferry_domain::authz::{Role, Standing, Token};
    use std::collections::BTreeMap;

    fn rates() -> Rates {
        Rates::new(RequestRate { per_second: 10, burst: 5 })
    }

    fn subject(name: &str) -> Payer {
        Payer::Subject(name.to_owned())
    }

    #[test]
    fn after_the_burst_the_wait_that_is_told_is_the_one_that_helps() {
        let (rates, begin) = (rates(), Instant::now());
        for _ in 0..5 {
            rates.take(subject("ada"), 1, begin).unwrap();
        }
        let wait = rates.take(subject("ada"), 1, begin).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(rates.take(subject("ada"), 1, begin + wait - Duration::from_nanos(1)).is_err());
        rates.take(subject("ada"), 1, begin + wait).unwrap();
        rates.take(subject("bob"), 1, begin).unwrap();
    }

    #[test]
    fn over_any_ten_seconds_no_more_than_the_rate_and_one_burst_pass() {
        let (rates, begin) = (rates(), Instant::now());
        let asked = (0..10_000).map(|milli| begin + Duration::from_millis(milli));
        let passed = asked.filter(|now| rates.take(subject("ada"), 1, *now).is_ok()).count();
        assert_eq!(passed, 104, "5 at once, then one each 100 ms");
    }

    #[test]
    fn a_refusal_comes_as_often_at_once_and_a_tenth_as_often_later() {
        let (rates, begin) = (rates(), Instant::now());
        let asked = (0..10_000).map(|milli| begin + Duration::from_millis(milli));
        let passed = asked.filter(|now| rates.take(subject("ada"), REFUSAL_COSTS, *now).is_ok()).count();
        assert_eq!(passed, 14, "5 at once, then one each second");
    }

    #[test]
    fn buckets_that_are_full_again_are_dropped() {
        let (rates, begin) = (rates(), Instant::now());
        for number in 0..100_000_u32 {
            rates.take(subject(&number.to_string()), 1, begin + Duration::from_millis(number.into())).unwrap();
        }
        assert!(rates.buckets.lock().unwrap().full_at.len() <= 2 * FEW);
    }

    #[test]
    fn a_tenant_pays_only_for_those_who_have_a_role_there() {
        let acme = TenantId::parse("acme").unwrap();
        let token = Token {
            lists_tenants: true,
            subject: "ada".to_owned(),
            tenants: BTreeMap::from([(acme.clone(), Role::Viewer)]),
            operator: false,
            issue_time: Timestamp::from_millis(0),
            expire_time: Timestamp::from_millis(1),
        };
        let actor = Actor::admit(token, &Standing { tenants: BTreeMap::from([(acme.clone(), None)]) });
        let cases = [
            (Some("tenants/acme"), Payer::Tenant(acme.clone())),
            (Some("tenants/acme/exports/-"), Payer::Tenant(acme)),
            (Some("tenants/globex/exports/weekly"), subject("ada")),
            (Some("tenants/ACME"), subject("ada")),
            (Some("exports/acme"), subject("ada")),
            (Some(""), subject("ada")),
            (None, subject("ada")),
        ];
        for (resource, payer) in cases {
            assert_eq!(Payer::of(&actor, resource), payer, "{resource:?}");
        }
    }
}
