//! A sliding window that holds by evidence, not by luck.
//!
//! The destination counts a request when it arrives, at an instant that Ferry cannot see. Two bounds are certain: it
//! arrives after its slot was granted, and before its answer was here (or, without an answer, before its deadline).
//! So each request holds one of `limit` places from its grant until `span` after its latest possible arrival. Of
//! requests that arrive within one `span`, look at the one granted last: the others still held their places then. So
//! there are at most `limit` of them, whatever the network does, and however the requests are spaced.

use std::time::{Duration, Instant};

/// A request that the window has granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Place {
    ticket: Ticket,
    /// The latest instant at which its request can have arrived; unknown while that is on its way.
    latest_arrival: Option<Instant>,
}

impl Place {
    fn is_taken(&self, span: Duration, now: Instant) -> bool {
        self.latest_arrival.is_none_or(|arrival| arrival + span > now)
    }
}

/// At most `limit` arrivals in any `span`.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    span: Duration,
    /// Places taken, and perhaps some that are free again.
    places: Vec<Place>,
    next_ticket: u64,
}

/// When the next request may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// At this instant (which may have passed).
    At(Instant),
    /// Not before a request on its way has been answered.
    AfterAnAnswer,
}

impl Window {
    pub(crate) fn new(limit: usize, span: Duration) -> Self {
        Self { limit, span, places: Vec::with_capacity(limit), next_ticket: 0 }
    }

    /// Counts requests of an owner before us, of which only the number is known.
    pub(crate) fn assume_used(&mut self, count: usize, now: Instant) {
        for _ in 0..count.min(self.limit) {
            let ticket = self.grant(now);
            self.arrived(ticket, now);
        }
    }

    pub(crate) fn opening(&self, now: Instant) -> Opening {
        let taken = self.places.iter().filter(|place| place.is_taken(self.span, now));
        if taken.clone().count() < self.limit {
            return Opening::At(now);
        }
        let first = taken.filter_map(|place| place.latest_arrival).min();
        first.map_or(Opening::AfterAnAnswer, |arrival| Opening::At(arrival + self.span))
    }

    /// How much of the limit is used up, from 0 to 1.
    pub(crate) fn part_used(&self, now: Instant) -> f64 {
        let taken = self.places.iter().filter(|place| place.is_taken(self.span, now)).count();
        // Limits are small numbers.
        taken as f64 / self.limit.max(1) as f64
    }

    /// Grants a request. The caller has asked [`Window::opening`] and waited.
    pub(crate) fn grant(&mut self, now: Instant) -> Ticket {
        let span = self.span;
        self.places.retain(|place| place.is_taken(span, now));
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.places.push(Place { ticket, latest_arrival: None });
        ticket
    }

    /// The request's answer is here, or its deadline has passed.
    pub(crate) fn arrived(&mut self, ticket: Ticket, now: Instant) {
        if let Some(place) = self.places.iter_mut().find(|place| place.ticket == ticket) {
            place.latest_arrival = Some(now);
        }
    }

    /// The request was not sent after all.
    pub(crate) fn give_back(&mut self, ticket: Ticket) {
        self.places.retain(|place| place.ticket != ticket);
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
        let ticket = window.grant(now);
        assert_eq!(window.opening(now), Opening::AfterAnAnswer);
        window.arrived(ticket, now + Duration::from_secs(3));
        assert_eq!(window.opening(now), Opening::At(now + Duration::from_secs(63)));
    }

    #[test]
    fn a_request_given_back_does_not_count() {
        let now = Instant::now();
        let mut window = Window::new(1, Duration::from_secs(60));
        let ticket = window.grant(now);
        window.give_back(ticket);
        assert_eq!(window.opening(now), Opening::At(now));
    }

    #[test]
    fn a_slow_request_keeps_one_place_and_no_more() {
        let (now, span) = (Instant::now(), Duration::from_secs(60));
        let mut window = Window::new(2, span);
        let _slow = window.grant(now);
        for round in 0..3 {
            let now = now + span * round;
            assert_eq!(window.opening(now), Opening::At(now));
            let quick = window.grant(now);
            window.arrived(quick, now);
            assert_eq!(window.opening(now), Opening::At(now + span));
        }
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
                let ticket = window.grant(now);
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
