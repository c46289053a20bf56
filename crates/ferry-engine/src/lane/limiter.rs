//! The limits of one destination account, all classes together.
//!
//! ActiveCampaign documents three: 100 imports of several contacts a minute, 20 imports of one contact a minute, and
//! 5 requests a second over everything (rate limits page, bulk import page). Whether the last also counts imports is
//! not documented; Ferry assumes it does.

use super::window::{Opening, Ticket, Window};
use crate::pace::TimeScale;
use std::time::{Duration, Instant};

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// A bulk import of several contacts.
    ImportMany,
    /// A bulk import of one contact.
    ImportOne,
    /// A look at a batch's state.
    Poll,
    /// Anything else.
    Other,
}

const MINUTE: Duration = Duration::from_secs(60);
/// Smooth sending leaves room for jitter; the windows, not this pace, keep the limit.
const MANY_INTERVAL: Duration = Duration::from_micros(60_000_000 * 10 / 985);
const ONE_INTERVAL: Duration = Duration::from_micros(60_000_000 * 10 / 197);
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const OTHER_INTERVAL: Duration = Duration::from_millis(250);
/// How far a class that was held up may catch up with its schedule.
const CATCH_UP: Duration = Duration::from_millis(300);

/// Even spacing with a little catching up.
#[derive(Debug)]
struct Spacing {
    interval: Duration,
    catch_up: Duration,
    next: Instant,
}

impl Spacing {
    fn new(interval: Duration, scale: TimeScale, now: Instant) -> Self {
        Self { interval: scale.real(interval), catch_up: scale.real(CATCH_UP), next: now }
    }

    fn granted(&mut self, now: Instant) {
        let earliest = now.checked_sub(self.catch_up).unwrap_or(now);
        self.next = self.next.max(earliest) + self.interval;
    }
}

/// A granted request, to be ended by [`Limiter::arrived`] or [`Limiter::give_back`].
#[derive(Debug)]
pub(super) struct Grant {
    class: Class,
    own: Option<Ticket>,
    all: Ticket,
}

#[derive(Debug)]
pub(super) struct Limiter {
    many: Window,
    one: Window,
    all: Window,
    many_spacing: Spacing,
    one_spacing: Spacing,
    poll_spacing: Spacing,
    other_spacing: Spacing,
    held_until: Option<Instant>,
}

impl Limiter {
    /// `recent_imports`: how many imports an earlier owner may have sent in the minute before `now`. The second's
    /// window is taken as full, since polls are not on record.
    pub(super) fn new(scale: TimeScale, recent_imports: usize, now: Instant) -> Self {
        let mut limiter = Self {
            many: Window::new(100, scale.real(MINUTE)),
            one: Window::new(20, scale.real(MINUTE)),
            all: Window::new(5, scale.real(Duration::from_secs(1))),
            many_spacing: Spacing::new(MANY_INTERVAL, scale, now),
            one_spacing: Spacing::new(ONE_INTERVAL, scale, now),
            poll_spacing: Spacing::new(POLL_INTERVAL, scale, now),
            other_spacing: Spacing::new(OTHER_INTERVAL, scale, now),
            held_until: None,
        };
        limiter.many.assume_used(recent_imports, now);
        limiter.one.assume_used(recent_imports, now);
        limiter.all.assume_used(5, now);
        limiter
    }

    /// Nothing is granted before `until`: the destination said so.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// When a request of this class may be granted.
    pub(super) fn opening(&self, class: Class, now: Instant) -> Opening {
        let own = match class {
            Class::ImportMany => self.many.opening(now),
            Class::ImportOne => self.one.opening(now),
            Class::Poll | Class::Other => Opening::At(now),
        };
        let (Opening::At(own), Opening::At(all)) = (own, self.all.opening(now)) else {
            return Opening::AfterAnAnswer;
        };
        let spaced = self.spacing(class).next;
        let held = self.held_until.unwrap_or(now);
        Opening::At(own.max(all).max(spaced).max(held))
    }

    pub(super) fn grant(&mut self, class: Class, now: Instant) -> Grant {
        let own = match class {
            Class::ImportMany => Some(self.many.grant()),
            Class::ImportOne => Some(self.one.grant()),
            Class::Poll | Class::Other => None,
        };
        self.spacing_mut(class).granted(now);
        Grant { class, own, all: self.all.grant() }
    }

    /// The answer is here, or can no longer come.
    pub(super) fn arrived(&mut self, grant: &Grant, now: Instant) {
        self.all.arrived(grant.all, now);
        if let (Some(ticket), Some(window)) = (grant.own, self.own_window(grant.class)) {
            window.arrived(ticket, now);
        }
    }

    /// It was not sent after all.
    pub(super) fn give_back(&mut self, grant: &Grant) {
        self.all.give_back(grant.all);
        if let (Some(ticket), Some(window)) = (grant.own, self.own_window(grant.class)) {
            window.give_back(ticket);
        }
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

    fn at(limiter: &Limiter, class: Class, now: Instant) -> Instant {
        match limiter.opening(class, now) {
            Opening::At(at) => at,
            Opening::AfterAnAnswer => unreachable!("every request was answered"),
        }
    }

    /// Sends as fast as allowed, each answered at once, and returns the instants.
    fn send(limiter: &mut Limiter, class: Class, count: usize, start: Instant) -> Vec<Instant> {
        let mut now = start;
        (0..count)
            .map(|_| {
                now = now.max(at(limiter, class, now));
                let grant = limiter.grant(class, now);
                limiter.arrived(&grant, now);
                now
            })
            .collect()
    }

    #[test]
    fn four_thousand_imports_take_less_than_41_minutes() {
        let start = Instant::now();
        let mut limiter = Limiter::new(TimeScale::REAL, 0, start);
        let sent = send(&mut limiter, Class::ImportMany, 4_000, start);
        let took = sent[3_999] - start;
        assert!(took < Duration::from_secs(41 * 60), "{took:?}");
        assert!(took > Duration::from_secs(40 * 60), "{took:?}");
    }

    #[test]
    fn single_contacts_keep_to_twenty_a_minute() {
        let start = Instant::now();
        let mut limiter = Limiter::new(TimeScale::REAL, 0, start);
        let sent = send(&mut limiter, Class::ImportOne, 41, start);
        assert!(sent[20] - sent[0] >= MINUTE);
        assert!(sent[40] - sent[20] >= MINUTE);
    }

    #[test]
    fn a_new_owner_takes_the_last_minute_as_used() {
        let start = Instant::now();
        let limiter = Limiter::new(TimeScale::REAL, 100, start);
        assert!(at(&limiter, Class::ImportMany, start) >= start + MINUTE);
    }

    #[test]
    fn a_hold_stops_every_class() {
        let start = Instant::now();
        let mut limiter = Limiter::new(TimeScale::REAL, 0, start);
        limiter.hold(start + Duration::from_secs(30));
        limiter.hold(start + Duration::from_secs(10));
        for class in [Class::ImportMany, Class::ImportOne, Class::Poll, Class::Other] {
            assert!(at(&limiter, class, start) >= start + Duration::from_secs(30));
        }
    }
}
