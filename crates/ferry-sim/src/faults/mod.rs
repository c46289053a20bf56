//! The switchboard of faults: rules that are asked at each request, first match first.

mod effect;
mod kind;

pub use kind::{FaultKind, ForbiddenShape, RetryAfter};

pub(crate) use effect::{instead, refuses, spoil};
pub(crate) use kind::Stage;

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::Micros;
use crate::lock;
use crate::rng::Rng;

/// A fault, and which requests it strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// How often.
    #[serde(default)]
    pub when: When,
    /// For which requests.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// For which account only, by its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// For how many simulated seconds from its first request on; without it, until it is used up or cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl FaultRule {
    /// A fault of the next request that it can strike.
    pub fn once(kind: FaultKind) -> Self {
        Self { kind, when: When::Next(1), endpoint: Endpoint::Any, account: None, seconds: None }
    }

    /// The same fault with another frequency.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The same fault for one class of requests.
    #[must_use]
    pub fn on(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }
}

/// How often a rule strikes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The next so many requests.
    Next(u64),
    /// Each request with this probability, drawn from the seeded generator.
    Probability(f64),
    /// Each request.
    Always,
}

impl Default for When {
    fn default() -> Self {
        Self::Next(1)
    }
}

/// The requests that a rule can strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// All of them.
    #[default]
    Any,
    /// `POST import/bulk_import`.
    Import,
    /// `GET import/info` and `GET import/bulk_import`.
    Status,
    /// Everything else.
    Other,
}

/// The rules in force. It may be changed at any time, from any thread.
pub struct Faults {
    board: Mutex<Board>,
    released: watch::Sender<u64>,
}

struct Board {
    rules: Vec<(FaultRule, Option<Micros>)>,
    struck: u64,
    rng: Rng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let board = Mutex::new(Board { rules: Vec::new(), struck: 0, rng: Rng::new(seed) });
        Self { board, released: watch::Sender::new(0) }
    }

    /// Adds a rule behind those that are there.
    pub fn add(&self, rule: FaultRule) {
        lock(&self.board).rules.push((rule, None));
    }

    /// Adds a fault of the next request that it can strike.
    pub fn once(&self, kind: FaultKind) {
        self.add(FaultRule::once(kind));
    }

    /// Takes all rules away and lets go what is held.
    pub fn clear(&self) {
        lock(&self.board).rules.clear();
        self.release();
    }

    /// The rules that can still strike.
    pub fn rules(&self) -> Vec<FaultRule> {
        lock(&self.board).rules.iter().map(|(rule, _)| rule.clone()).collect()
    }

    /// How many requests were struck by now, those included of which no record can be made.
    pub fn struck(&self) -> u64 {
        lock(&self.board).struck
    }

    /// Lets go every request and answer that is held now.
    pub fn release(&self) {
        self.released.send_modify(|times| *times += 1);
    }

    /// Waits for the next [`Self::release`].
    pub(crate) async fn held(&self) {
        // An error means that the simulator is gone, and with it the need to hold.
        let _ = self.released.subscribe().changed().await;
    }

    /// Draws the fault of a request, if it has one.
    pub(crate) fn draw(&self, account: &str, endpoint: Endpoint, at: Micros) -> Option<FaultKind> {
        let mut board = lock(&self.board);
        let Board { rules, struck, rng } = &mut *board;
        rules.retain(|(rule, until)| until.is_none_or(|until| at < until) && rule.when != When::Next(0));
        let (rule, until) = rules.iter_mut().find(|(rule, _)| rule.strikes(account, endpoint, rng))?;
        *struck += 1;
        *until = until.or(rule.seconds.map(|seconds| at + (seconds * 1e6) as Micros));
        if let When::Next(left) = &mut rule.when {
            *left -= 1;
        }
        let kind = rule.kind.clone();
        rules.retain(|(rule, _)| rule.when != When::Next(0));
        Some(kind)
    }
}

impl FaultRule {
    fn strikes(&self, account: &str, endpoint: Endpoint, rng: &mut Rng) -> bool {
        let meant = |wanted: Endpoint| wanted == Endpoint::Any || wanted == endpoint;
        let matches = meant(self.endpoint)
            && self.kind.only_for().is_none_or(meant)
            && self.account.as_deref().is_none_or(|host| host == account);
        matches
            && match self.when {
                When::Next(left) => left > 0,
                When::Probability(probability) => rng.fraction() < probability,
                When::Always => true,
            }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn faults() -> Faults {
        Faults::new(7)
    }

    #[test]
    fn a_rule_for_the_next_two_strikes_twice_and_is_gone() {
        let faults = faults();
        faults.add(FaultRule::once(FaultKind::ServerError).when(When::Next(2)).on(Endpoint::Import));
        assert!(faults.draw("a", Endpoint::Status, 0).is_none());
        assert!(faults.draw("a", Endpoint::Import, 0).is_some());
        assert!(faults.draw("a", Endpoint::Import, 0).is_some());
        assert!(faults.draw("a", Endpoint::Import, 0).is_none());
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn a_kind_of_imports_leaves_other_requests_alone() {
        let faults = faults();
        faults.once(FaultKind::RateLimit400);
        assert!(faults.draw("a", Endpoint::Other, 0).is_none());
        assert!(faults.draw("a", Endpoint::Import, 0).is_some());
    }

    #[test]
    fn a_rule_ends_with_its_time_which_its_first_request_begins() {
        let faults = faults();
        let mut rule = FaultRule::once(FaultKind::ServerError).when(When::Always);
        rule.seconds = Some(10.0);
        faults.add(rule);
        assert!(faults.draw("a", Endpoint::Other, 60_000_000).is_some());
        assert!(faults.draw("a", Endpoint::Other, 69_000_000).is_some());
        assert!(faults.draw("a", Endpoint::Other, 70_000_000).is_none());
        assert_eq!(faults.struck(), 2);
    }

    #[test]
    fn one_in_ten_is_about_one_in_ten_and_the_same_for_the_same_seed() {
        let drawn = || {
            let faults = faults();
            faults.add(FaultRule::once(FaultKind::ServerError).when(When::Probability(0.1)));
            (0..1_000).filter(|_| faults.draw("a", Endpoint::Other, 0).is_some()).count()
        };
        assert!((60..140).contains(&drawn()));
        assert_eq!(drawn(), drawn());
    }

    #[test]
    fn rules_are_read_from_json() {
        let text = r#"{"kind":"rate_limit_429","retry_after":{"date":30},"when":{"next":3},"endpoint":"import"}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(rule.kind, FaultKind::RateLimit429 { retry_after: RetryAfter::Date(30) });
        assert_eq!(rule.when, When::Next(3));
        assert_eq!(rule.kind.name(), "rate_limit_429");
        let plain: FaultRule = serde_json::from_str(r#"{"kind":"server_error","when":"always"}"#).unwrap();
        assert_eq!(plain.when, When::Always);
    }
}
