//! The limits of one destination account, all classes together.
//!
//! ActiveCampaign documents three: 100 imports of several contacts a minute, 20 imports of one contact a minute, and
//! 5 requests a second over everything (rate limits page, bulk import page). Whether the last also counts imports is
//! not documented; Ferry assumes it does.

use crate::pace::TimeScale;
use crate::window::{Opening, Ticket, Window};
use ferry_telemetry::RequestClass;
use std::time::{Duration, Instant};

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A bulk import of several contacts.
    ImportMany,
    /// A bulk import of one contact.
    ImportOne,
    /// A look at a batch's state.
    Poll,
    /// Anything else.
    Other,
}

impl From<Class> for RequestClass {
    fn from(class: Class) -> Self {
        match class {
            Class::ImportMany => Self::ImportMany,
            Class::ImportOne => Self::ImportOne,
            Class::Poll => Self::Poll,
            Class::Other => Self::Other,
        }
    }
}

impl Class {
    pub(crate) fn is_import(self) -> bool {
        match self {
            Self::ImportMany | Self::ImportOne => true,
            Self::Poll | Self::Other => false,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Even sending leaves others of the account, and our polls, their share of each second. The limits do not rest on it:
/// the windows keep them, so the pace can be the limit itself.
const MANY_INTERVAL: Duration = Duration::from_millis(600);
const ONE_INTERVAL: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const OTHER_INTERVAL: Duration = Duration::from_millis(250);
/// How far a class that was held up may catch up with its schedule. An import that was late once would otherwise make
/// every later one late.
const IMPORTS_CATCH_UP: Duration = Duration::from_secs(10);
const CATCH_UP: Duration = Duration::from_millis(300);

/// Even spacing with some catching up.
#[derive(Debug)]
struct Spacing {
    interval: Duration,
    catch_up: Duration,
    next: Instant,
}

impl Spacing {
    fn new(interval: Duration, catch_up: Duration, scale: TimeScale, now: Instant) -> Self {
        Self { interval: scale.real(interval), catch_up: scale.real(catch_up), next: now }
    }

    fn granted(&mut self, now: Instant) {
        let earliest = now.checked_sub(self.catch_up).unwrap_or(now);
        self.next = self.next.max(earliest) + self.interval;
    }
}

/// A granted request, to be ended by [`Limiter::arrived`] or [`Limiter::give_back`].
#[derive(Debug)]
pub(crate) struct Grant {
    class: Class,
    own: Option<Ticket>,
    all: Option<Ticket>,
}

#[derive(Debug)]
pub(crate) struct Limiter {
    many: Window,
    one: Window,
    all: Window,
    many_spacing: Spacing,
    one_spacing: Spacing,
    poll_spacing: Spacing,
    other_spacing: Spacing,
    held_until: Option<Instant>,
    /// Nothing but a wait that the destination asks for is kept.
    lifted: bool,
}

impl Limiter {
    /// `recent_imports`: how many imports an earlier owner may have sent in the minute before `now`. The window of the
    /// second before `begun`, when this process took over, is taken as full, since polls are not on record.
    pub(crate) fn new(scale: TimeScale, recent_imports: usize, begun: Instant, now: Instant) -> Self {
        let mut limiter = Self {
            many: Window::new(100, scale.real(MINUTE)),
            one: Window::new(20, scale.real(MINUTE)),
            all: Window::new(5, scale.real(Duration::from_secs(1))),
            many_spacing: Spacing::new(MANY_INTERVAL, IMPORTS_CATCH_UP, scale, now),
            one_spacing: Spacing::new(ONE_INTERVAL, IMPORTS_CATCH_UP, scale, now),
            poll_spacing: Spacing::new(POLL_INTERVAL, CATCH_UP, scale, now),
            other_spacing: Spacing::new(OTHER_INTERVAL, CATCH_UP, scale, now),
            held_until: None,
            lifted: false,
        };
        limiter.many.assume_used(recent_imports, now);
        limiter.one.assume_used(recent_imports, now);
        limiter.all.assume_used(5, begun);
        limiter
    }

    /// For a destination that has no limits.
    pub(crate) fn lifted(now: Instant) -> Self {
        Self { lifted: true, ..Self::new(TimeScale::REAL, 0, now, now) }
    }

    /// Nothing is granted before `until`: the destination said so.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// Until when nothing is granted, if that is still to come.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| *until > now)
    }

    /// When a request of this class may be granted.
    pub(crate) fn opening(&self, class: Class, now: Instant) -> Opening {
        let held = self.held_until.unwrap_or(now);
        if self.lifted {
            return Opening::At(held);
        }
        let own = match class {
            Class::ImportMany => self.many.opening(now),
            Class::ImportOne => self.one.opening(now),
            Class::Poll | Class::Other => Opening::At(now),
        };
        let (Opening::At(own), Opening::At(all)) = (own, self.all.opening(now)) else {
            return Opening::AfterAnAnswer;
        };
        let spaced = self.spacing(class).next;
        Opening::At(own.max(all).max(spaced).max(held))
    }

    pub(crate) fn grant(&mut self, class: Class, now: Instant) -> Grant {
        if self.lifted {
            return Grant { class, own: None, all: None };
        }
        let own = match class {
            Class::ImportMany => Some(self.many.grant(now)),
            Class::ImportOne => Some(self.one.grant(now)),
            Class::Poll | Class::Other => None,
        };
        self.spacing_mut(class).granted(now);
        Grant { class, own, all: Some(self.all.grant(now)) }
    }

    /// The answer is here, or can no longer come.
    pub(crate) fn arrived(&mut self, grant: &Grant, now: Instant) {
        if let Some(ticket) = grant.all {
            self.all.arrived(ticket, now);
        }
        if let (Some(ticket), Some(window)) = (grant.own, self.own_window(grant.class)) {
            window.arrived(ticket, now);
        }
    }

    /// It was not sent after all.
    pub(crate) fn give_back(&mut self, grant: &Grant) {
        if let Some(ticket) = grant.all {
            self.all.give_back(ticket);
        }
        if let (Some(ticket), Some(window)) = (grant.own, self.own_window(grant.class)) {
            window.give_back(ticket);
        }
    }

    /// How much of the imports of a minute is used up, from 0 to 1.
    pub(crate) fn ceiling_use(&self, now: Instant) -> f64 {
        self.many.part_used(now).max(self.one.part_used(now))
    }

    fn own_window(&mut self, class: Class) -> Option<&mut Window> {
        match class {
            Class::ImportMany => Some(&mut self.many),
            Class::ImportOne => Some(&mut self.one),
            Class::Poll | Class::Other => None,
        }
    }

    fn spacing(&self, class: Class) -> &Spacing {
        match class {
            Class::ImportMany => &self.many_spacing,
            Class::ImportOne => &self.one_spacing,
            Class::Poll => &self.poll_spacing,
            Class::Other => &self.other_spacing,
        }
    }

    fn spacing_mut(&mut self, class: Class) -> &mut Spacing {
        match class {
            Class::ImportMany => &mut self.many_spacing,
            Class::ImportOne => &mut self.one_spacing,
            Class::Poll => &mut self.poll_spacing,
            Class::Other => &mut self.other_spacing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(limiter: &Limiter, class: Class, now: Instant) -> Instant {
        match limiter.opening(class, now) {
            Opening::At(at) => at,
            Opening::AfterAnAnswer => unreachable!("every request was answered"),
        }
    }

    /// Sends as fast as allowed, each answered after `latency`, and returns the instants.
    fn send(limiter: &mut Limiter, class: Class, count: usize, start: Instant, latency: Duration) -> Vec<Instant> {
        let mut now = start;
        (0..count)
            .map(|_| {
                now = now.max(at(limiter, class, now));
                let grant = limiter.grant(class, now);
                limiter.arrived(&grant, now + latency);
                now
            })
            .collect()
    }

    #[test]
    fn four_thousand_imports_take_forty_minutes_and_little_more() {
        let start = Instant::now();
        let mut limiter = Limiter::new(TimeScale::REAL, 0, start, start);
        let sent = send(&mut limiter, Class::ImportMany, 4_000, start, Duration::from_millis(300));
        let took = sent[3_999] - start;
        assert!(took < Duration::from_secs(40 * 60 + 30), "{took:?}");
        assert!(took > Duration::from_secs(39 * 60), "{took:?}");
    }

    #[test]
    fn imports_that_were_held_up_catch_up() {
        let start = Instant::now();
        let mut limiter = Limiter::new(TimeScale::REAL, 0, start, start);
        send(&mut limiter, Class::ImportMany, 10, start, Duration::ZERO);
        let late = start + MANY_INTERVAL * 10 + Duration::from_secs(5);
        let sent = send(&mut limiter, Class::ImportMany, 20, late, Duration::ZERO);
        assert!(sent[19] <= start + MANY_INTERVAL * 30, "{:?}", sent[19] - start);
    }

    #[test]
    fn single_contacts_keep_to_twenty_a_minute() {
        let start = Instant::now();
        let mut limiter = Limiter::new(TimeScale::REAL, 0, start, start);
        let sent = send(&mut limiter, Class::ImportOne, 41, start, Duration::ZERO);
        assert!(sent[20] - sent[0] >= MINUTE);
        assert!(sent[40] - sent[20] >= MINUTE);
    }

    #[test]
    fn a_new_owner_takes_the_last_minute_as_used() {
        let start = Instant::now();
        let limiter = Limiter::new(TimeScale::REAL, 100, start, start);
        assert!(at(&limiter, Class::ImportMany, start) >= start + MINUTE);
    }

    /// The most of the sorted arrivals that lie in any span shorter than `window`.
    fn most_in(arrivals: &[Instant], window: Duration) -> usize {
        let inside = |last: usize| arrivals[..=last].iter().filter(|at| **at + window > arrivals[last]).count();
        (0..arrivals.len()).map(inside).max().unwrap_or(0)
    }

    /// Requests of every class that wait at the same time, each with the part of its latency after which it arrives.
    fn arrivals(limiter: &mut Limiter, start: Instant, requests: Vec<(Class, u64, f64)>) -> Vec<(Class, Instant)> {
        let (mut now, mut waiting, mut on_their_way, mut arrivals) = (start, requests, Vec::new(), Vec::new());
        while !waiting.is_empty() {
            on_their_way.sort_by_key(|(answer, _)| std::cmp::Reverse(*answer));
            while on_their_way.last().is_some_and(|(answer, _)| *answer <= now) {
                let Some((answer, grant)) = on_their_way.pop() else { break };
                limiter.arrived(&grant, answer);
            }
            let openings = waiting.iter().map(|(class, ..)| match limiter.opening(*class, now) {
                Opening::At(at) => Some(at),
                Opening::AfterAnAnswer => None,
            });
            let openings: Vec<Option<Instant>> = openings.collect();
            if let Some(position) = openings.iter().position(|at| at.is_some_and(|at| at <= now)) {
                let (class, latency, part) = waiting.remove(position);
                let latency = Duration::from_millis(latency);
                arrivals.push((class, now + latency.mul_f64(part)));
                on_their_way.push((now + latency, limiter.grant(class, now)));
            } else {
                let answer = on_their_way.last().map(|(answer, _)| *answer);
                now = openings.into_iter().flatten().chain(answer).min().unwrap_or(now);
            }
        }
        arrivals.sort_by_key(|(_, at)| *at);
        arrivals
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// By the destination's clock, whatever the latency, with the spacing and without: the windows alone keep them.
        #[test]
        fn no_limit_of_the_account_is_ever_exceeded(
            spaced in any::<bool>(),
            slowest in prop_oneof![Just(1_u64), Just(50), Just(1_000), Just(8_000)],
            requests in proptest::collection::vec((0_u8..40, 0.0_f64..=1.0, 0.0_f64..=1.0), 200..400),
        ) {
            let start = Instant::now();
            let mut limiter = Limiter::new(TimeScale::REAL, 0, start, start);
            if !spaced {
                for class in [Class::ImportMany, Class::ImportOne, Class::Poll, Class::Other] {
                    limiter.spacing_mut(class).interval = Duration::ZERO;
                }
            }
            let requests = requests.into_iter().map(|(kind, latency, part)| {
                let class = match kind {
                    0..4 => Class::ImportOne,
                    4..6 => Class::Poll,
                    6 => Class::Other,
                    _ => Class::ImportMany,
                };
                (class, (slowest as f64 * latency) as u64, part)
            });
            let arrivals = arrivals(&mut limiter, start, requests.collect());
            let of = |wanted: Class| -> Vec<Instant> {
                arrivals.iter().filter(|(class, _)| *class == wanted).map(|(_, at)| *at).collect()
            };
            let all: Vec<Instant> = arrivals.iter().map(|(_, at)| *at).collect();
            prop_assert!(most_in(&of(Class::ImportMany), MINUTE) <= 100);
            prop_assert!(most_in(&of(Class::ImportOne), MINUTE) <= 20);
            prop_assert!(most_in(&all, Duration::from_secs(1)) <= 5);
        }
    }

    #[test]
    fn a_hold_stops_every_class() {
        let start = Instant::now();
        let mut limiter = Limiter::new(TimeScale::REAL, 0, start, start);
        limiter.hold(start + Duration::from_secs(30));
        limiter.hold(start + Duration::from_secs(10));
        for class in [Class::ImportMany, Class::ImportOne, Class::Poll, Class::Other] {
            assert!(at(&limiter, class, start) >= start + Duration::from_secs(30));
        }
    }
}
