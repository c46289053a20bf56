//! A sliding window that holds by evidence, not by luck.
//!
//! The destination counts a request when it arrives, at an instant that Ferry cannot see. Two bounds are certain: it
//! arrives after its slot was granted, and before its answer was here (or, without an answer, before its deadline).
//! So if a request is granted only once `span` has passed since the *latest possible* arrival of the one `limit`
//! places before it, no sliding window of length `span` can hold more than `limit` requests, whatever the network does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A request that the window has granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    ticket: u64,
    /// The latest instant at which it can have arrived; unknown while it is on its way.
    latest_arrival: Option<Instant>,
}

/// At most `limit` arrivals in any `span`.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    span: Duration,
    entries: VecDeque<Entry>,
    next_ticket: u64,
}

/// When the next request may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// At this instant (which may have passed).
    At(Instant),
    /// Not before a request on its way has been answered.
    AfterAnAnswer,
}

impl Window {
    pub(super) fn new(limit: usize, span: Duration) -> Self {
        Self { limit, span, entries: VecDeque::with_capacity(limit), next_ticket: 0 }
    }

    /// Counts requests of an owner before us, of which only the number is known.
    pub(super) fn assume_used(&mut self, count: usize, now: Instant) {
        for _ in 0..count.min(self.limit) {
            let ticket = self.grant();
            self.arrived(ticket, now);
        }
    }

    pub(super) fn opening(&self, now: Instant) -> Opening {
        let Some(position) = self.entries.len().checked_sub(self.limit) else {
            return Opening::At(now);
        };
        match self.entries.get(position).map(|entry| entry.latest_arrival) {
            None => Opening::At(now),
            Some(Some(arrival)) => Opening::At(arrival + self.span),
            Some(None) => Opening::AfterAnAnswer,
        }
    }

    /// Grants a request. The caller has asked [`Window::opening`] and waited.
    pub(super) fn grant(&mut self) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.entries.push_back(Entry { ticket, latest_arrival: None });
        // Only the newest `limit` matter: an older one can no longer share a window with the next request.
        while self.entries.len() > self.limit {
            self.entries.pop_front();
        }
        Ticket(ticket)
    }

    /// The request's answer is here, or its deadline has passed.
    pub(super) fn arrived(&mut self, ticket: Ticket, now: Instant) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.ticket == ticket.0) {
            entry.latest_arrival = Some(now);
        }
    }

    /// The request was not sent after all.
    pub(super) fn give_back(&mut self, ticket: Ticket) {
        self.entries.retain(|entry| entry.ticket != ticket.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_window_is_open_at_once() {
        let now = Instant::now();
        assert_eq!(Window::new(2, Duration::from_secs(60)).opening(now), Opening::At(now));
    }

    #[test]
    fn a_request_on_its_way_keeps_the_window_shut() {
        let now = Instant::now();
        let mut window = Window::new(1, Duration::from_secs(60));
        let ticket = window.grant();
        assert_eq!(window.opening(now), Opening::AfterAnAnswer);
        window.arrived(ticket, now + Duration::from_secs(3));
        assert_eq!(window.opening(now), Opening::At(now + Duration::from_secs(63)));
    }

    #[test]
    fn a_request_given_back_does_not_count() {
        let now = Instant::now();
        let mut window = Window::new(1, Duration::from_secs(60));
        let ticket = window.grant();
        window.give_back(ticket);
        assert_eq!(window.opening(now), Opening::At(now));
    }

    proptest! {
        /// Whatever each request's latency and true arrival within it, no sliding window holds more than the limit.
        #[test]
        fn no_sliding_window_is_ever_exceeded(
            limit in 1_usize..8,
            requests in proptest::collection::vec((0_u64..900, 0.0_f64..=1.0, 0_u64..300), 1..80),
        ) {
            let start = Instant::now();
            let span = Duration::from_millis(1_000);
            let mut window = Window::new(limit, span);
            let mut now = start;
            let mut on_their_way: Vec<(Ticket, Instant)> = Vec::new();
            let mut arrivals: Vec<Instant> = Vec::new();
            for (latency, part, pause) in requests {
                now += Duration::from_millis(pause);
                loop {
                    on_their_way.sort_by_key(|(_, answer)| *answer);
                    while on_their_way.first().is_some_and(|(_, answer)| *answer <= now) {
                        let (ticket, answer) = on_their_way.remove(0);
                        window.arrived(ticket, answer);
                    }
                    match window.opening(now) {
                        Opening::At(at) if at <= now => break,
                        Opening::At(at) => now = at,
                        Opening::AfterAnAnswer => now = on_their_way[0].1,
                    }
                }
                let ticket = window.grant();
                let latency = Duration::from_millis(latency);
                arrivals.push(now + latency.mul_f64(part));
                on_their_way.push((ticket, now + latency));
            }
            arrivals.sort();
            for (index, arrival) in arrivals.iter().enumerate() {
                let inside = arrivals[..=index].iter().filter(|earlier| **earlier + span > *arrival).count();
                prop_assert!(inside <= limit, "{inside} requests in a window for {limit}");
            }
        }
    }
}
