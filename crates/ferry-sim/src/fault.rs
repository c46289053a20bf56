//! Faults that can be switched on, one rule at a time.

use serde::{Deserialize, Serialize};
use std::sync::Mutex;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    /// 429, with this `Retry-After` or none.
    TooManyRequests {
        /// The header's value.
        retry_after: Option<String>,
    },
    /// The bulk limit's 400.
    BulkRateLimit,
    /// 500 without a body.
    ServerError,
    /// Cloudflare's 502.
    BadGateway,
    /// Accepted, then 504.
    GatewayTimeoutAfterAccepting,
    /// 200 with a login page.
    LoginPage,
    /// Accepted, then never an answer.
    NoAnswerAfterAccepting,
    /// Accepted, then the connection breaks.
    ResetAfterAccepting,
    /// The connection breaks before anything is accepted.
    Reset,
    /// Answered late, in real milliseconds.
    Slow {
        /// How late.
        millis: u64,
    },
    /// 200 with something that is no JSON.
    Nonsense,
    /// 403 with an empty body: the key is revoked.
    KeyRevoked,
    /// 402 with an empty body: the account has lapsed.
    AccountLapsed,
    /// The batch ends as `failed`.
    BatchFails,
    /// The batch ends as `interrupted`.
    BatchInterrupted,
    /// The batch waits for ever.
    BatchStuck,
}

/// Which requests meet a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What goes wrong.
    pub fault: Fault,
    /// Only paths that contain this.
    #[serde(default)]
    pub path: String,
    /// This many requests are spared first.
    #[serde(default)]
    pub after: u64,
    /// This many requests meet it; then the rule is used up.
    pub times: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Rule>>);

impl Faults {
    pub(crate) fn add(&self, rule: Rule) {
        self.lock().push(rule);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The fault that this request meets.
    pub(crate) fn meet(&self, path: &str) -> Option<Fault> {
        let mut rules = self.lock();
        for rule in rules.iter_mut().filter(|rule| path.contains(&rule.path) && rule.times > 0) {
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            rule.times -= 1;
            return Some(rule.fault.clone());
        }
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
