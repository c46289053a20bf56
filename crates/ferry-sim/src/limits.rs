//! The limits of one account: requests a second, imports a minute.

use std::collections::VecDeque;

use crate::clock::{Micros, SECOND};
use crate::config::{Options, Window};
use crate::journal::Class;

/// The documented requests per second of an account.
pub(crate) const PER_SECOND: u32 = 5;
/// The documented imports of several contacts a minute.
pub(crate) const MANY_PER_MINUTE: u32 = 100;
/// The documented imports of one contact a minute.
pub(crate) const ONE_PER_MINUTE: u32 = 20;

/// Counts the requests let through in one window.
pub(crate) struct Limiter {
    limit: Option<usize>,
    window: Micros,
    kind: Window,
    /// Arrivals that were let through, in order, as far back as they can still matter.
    admitted: VecDeque<Micros>,
}

impl Limiter {
    fn new(limit: Option<u32>, window: Micros, kind: Window) -> Self {
        Self { limit: limit.map(|limit| limit as usize), window, kind, admitted: VecDeque::new() }
    }

    /// Lets a request through, or answers how long (simulated) until one more would fit.
    pub(crate) fn admit(&mut self, at: Micros) -> Result<usize, Micros> {
        let Some(limit) = self.limit else { return Ok(usize::MAX) };
        // Requests are stamped before their bodies are read, so they can come a little out of order.
        while self.admitted.front().is_some_and(|oldest| oldest + 2 * self.window < at) {
            self.admitted.pop_front();
        }
        let wait = match self.kind {
            Window::Sliding => self.wait_sliding(at, limit),
            Window::Fixed => self.wait_fixed(at, limit),
        };
        if wait > 0 {
            return Err(wait);
        }
        self.record(at);
        let start = at.saturating_sub(self.window);
        let used = self.admitted.iter().rev().take_while(|&&earlier| earlier > start).count();
        Ok(limit.saturating_sub(used))
    }

    /// Counts a request without asking, as at a replay.
    pub(crate) fn record(&mut self, at: Micros) {
        if self.limit.is_some() {
            let place = self.admitted.partition_point(|&earlier| earlier <= at);
            self.admitted.insert(place, at);
        }
    }

    fn wait_sliding(&self, at: Micros, limit: usize) -> Micros {
        if limit == 0 {
            return self.window;
        }
        let place = self.admitted.partition_point(|&earlier| earlier <= at);
        // With `at` put in at `place`, no run of limit + 1 arrivals may fit into one window.
        for first in place.saturating_sub(limit)..=place {
            let with_new = |index: usize| match index.cmp(&place) {
                std::cmp::Ordering::Less => self.admitted.get(index).copied(),
                std::cmp::Ordering::Equal => Some(at),
                std::cmp::Ordering::Greater => self.admitted.get(index - 1).copied(),
            };
            if let (Some(begin), Some(end)) = (with_new(first), with_new(first + limit))
                && end - begin < self.window
            {
                return (begin + self.window).saturating_sub(at).max(1);
            }
        }
        0
    }

    fn wait_fixed(&self, at: Micros, limit: usize) -> Micros {
        let window = at / self.window;
        let used = self.admitted.iter().filter(|&&earlier| earlier / self.window == window).count();
        if used < limit { 0 } else { (window + 1) * self.window - at }
    }
}

/// The limiters of one account.
pub(crate) struct Limits {
    pub(crate) per_second: Limiter,
    pub(crate) import_many: Limiter,
    pub(crate) import_one: Limiter,
}

impl Limits {
    pub(crate) fn new(options: &Options) -> Self {
        let minute = 60 * SECOND;
        Self {
            per_second: Limiter::new(options.requests_per_second, SECOND, options.window),
            import_many: Limiter::new(options.imports_per_minute, minute, options.window),
            import_one: Limiter::new(options.single_imports_per_minute, minute, options.window),
        }
    }

    /// Counts a request of an earlier life.
    pub(crate) fn replay(&mut self, class: Class, at: Micros) {
        self.per_second.record(at);
        match class {
            Class::ImportMany => self.import_many.record(at),
            Class::ImportOne => self.import_one.record(at),
            Class::Status | Class::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::largest_window;

    #[test]
    fn a_sliding_window_frees_a_place_when_the_oldest_leaves() {
        let mut limiter = Limiter::new(Some(2), 100, Window::Sliding);
        assert!(limiter.admit(0).is_ok());
        assert!(limiter.admit(50).is_ok());
        assert_eq!(limiter.admit(99), Err(1));
        assert!(limiter.admit(100).is_ok());
        assert_eq!(limiter.admit(149), Err(1));
    }

    #[test]
    fn a_fixed_window_starts_again_at_its_boundary() {
        let mut limiter = Limiter::new(Some(2), 100, Window::Fixed);
        assert!(limiter.admit(98).is_ok());
        assert!(limiter.admit(99).is_ok());
        assert_eq!(limiter.admit(99), Err(1));
        assert!(limiter.admit(100).is_ok());
    }

    proptest! {
        #[test]
        fn no_sliding_window_ever_holds_more_than_the_limit(
            steps in proptest::collection::vec((0_u64..40, 0_u64..15), 1..200),
        ) {
            let mut limiter = Limiter::new(Some(5), 100, Window::Sliding);
            let (mut now, mut admitted) = (1_000, Vec::new());
            for (forward, late) in steps {
                now += forward;
                let at = now - late;
                if limiter.admit(at).is_ok() {
                    admitted.push(at);
                }
            }
            admitted.sort_unstable();
            prop_assert!(largest_window(&admitted, 100) <= 5);
        }
    }
}
