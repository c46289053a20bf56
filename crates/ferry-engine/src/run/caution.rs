//! Caution in an outage: after some failures in a row one request at a time goes out, after longer and longer waits,
//! until one gets through. So an outage costs few requests, however many batches wait for their turn.

use super::retry;
use std::time::{Duration, Instant};

/// How the last requests of one kind went.
#[derive(Debug)]
pub(super) struct Caution {
    failures: u32,
    probes: u32,
    next_probe: Instant,
}

impl Caution {
    pub(super) fn new(now: Instant) -> Self {
        Self { failures: 0, probes: 0, next_probe: now }
    }

    /// Whether nothing has got through for a while.
    pub(super) fn is_on(&self) -> bool {
        self.failures >= retry::FAILURES_BEFORE_CAUTION
    }

    /// Whether a request may go out beside those that are on their way.
    pub(super) fn allows(&self, under_way: usize, now: Instant) -> bool {
        !self.is_on() || (under_way == 0 && self.next_probe <= now)
    }

    /// When the next one may go out, if it is a matter of time.
    pub(super) fn next_probe(&self, now: Instant) -> Option<Instant> {
        (self.is_on() && self.next_probe > now).then_some(self.next_probe)
    }

    /// A request failed. The last one of those that were on their way together says how long to wait.
    pub(super) fn failed(&mut self, under_way: usize, now: Instant, real: impl Fn(Duration) -> Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.is_on() && under_way == 0 {
            self.next_probe = now + real(retry::backoff(self.probes, retry::random()));
            self.probes = self.probes.saturating_add(1);
        }
    }

    pub(super) fn got_through(&mut self) {
        (self.failures, self.probes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_four_failures_requests_go_one_by_one_and_later_and_later() {
        let start = Instant::now();
        let mut caution = Caution::new(start);
        for under_way in [3, 2, 1] {
            caution.failed(under_way, start, |wait| wait);
            assert!(caution.allows(under_way, start));
        }
        caution.failed(0, start, |wait| wait);
        assert!(!caution.allows(0, start));
        let (mut now, mut waits) = (start, Vec::new());
        for _ in 0..6 {
            let next = caution.next_probe(now).unwrap_or(now);
            waits.push(next - now);
            now = next;
            assert!(caution.allows(0, now) && !caution.allows(1, now));
            caution.failed(0, now, |wait| wait);
        }
        assert!(waits.windows(2).all(|two| two[0] <= two[1]) && waits[5] >= Duration::from_secs(30), "{waits:?}");
        caution.got_through();
        assert!(caution.allows(4, now) && caution.next_probe(now).is_none());
    }
}
