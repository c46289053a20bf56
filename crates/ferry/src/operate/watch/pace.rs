//! How fast a run goes, and how long it will still take: smooth enough to be read.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is that of so long. Outcomes come in lumps, a batch at a time.
const WINDOW: Duration = Duration::from_secs(60);
/// Before this a rate says nothing.
const LEAST: Duration = Duration::from_secs(3);
/// A new guess of the time left weighs in over about so many seconds at most, and sooner the less is left.
const SETTLING: f64 = 10.0;
/// No more is ever told.
const MOST: Duration = Duration::from_secs(99 * 24 * 3_600);

/// The pace of one run.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When how many were done, the oldest first; the first may be older than the window.
    seen: VecDeque<(Instant, i64)>,
    /// When a time left was told, and which, in seconds.
    told: Option<(Instant, f64)>,
}

impl Pace {
    /// Notes how many are done.
    pub(super) fn note(&mut self, at: Instant, done: i64) {
        match self.seen.back() {
            // Another plan, or another run: what was seen says nothing.
            Some((_, before)) if done < *before => *self = Self::default(),
            Some((_, before)) if done == *before => return,
            _ => {}
        }
        self.seen.push_back((at, done));
        while self.seen.get(1).is_some_and(|(then, _)| at.saturating_duration_since(*then) >= WINDOW) {
            self.seen.pop_front();
        }
    }

    /// People a second; nothing while that cannot be said.
    fn rate(&self, at: Instant) -> Option<f64> {
        let ((first, from), (_, to)) = (self.seen.front()?, self.seen.back()?);
        let span = at.saturating_duration_since(*first);
        if span < LEAST || to <= from {
            return None;
        }
        // Fits: a run has fewer people than 2^53.
        #[allow(clippy::cast_precision_loss, reason = "fewer than 2^53")]
        let done = (to - from) as f64;
        Some(done / span.as_secs_f64())
    }

    /// People a minute; nothing while that cannot be said.
    pub(super) fn per_minute(&self, at: Instant) -> Option<i64> {
        // Fits: it is at most the number of people times twenty.
        #[allow(clippy::cast_possible_truncation, reason = "people times twenty at most")]
        self.rate(at).map(|rate| (rate * 60.0).round() as i64)
    }

    /// The time that is left; nothing while that cannot be said. It goes down with the clock, and bends slowly to what
    /// is seen.
    pub(super) fn left(&mut self, at: Instant, total: i64) -> Option<Duration> {
        let done = self.seen.back()?.1;
        if total <= done {
            self.told = None;
            return (total > 0).then_some(Duration::ZERO);
        }
        let Some(rate) = self.rate(at) else {
            self.told = None;
            return None;
        };
        #[allow(clippy::cast_precision_loss, reason = "fewer than 2^53")]
        let guess = ((total - done) as f64 / rate).min(MOST.as_secs_f64());
        let left = match self.told {
            None => guess,
            Some((then, before)) => {
                let gone = at.saturating_duration_since(then).as_secs_f64();
                let settling = (guess / 3.0).clamp(0.5, SETTLING);
                let expected = (before - gone).max(0.0);
                expected + (guess - expected) * (1.0 - (-gone / settling).exp())
            }
        };
        self.told = Some((at, left));
        Some(Duration::from_secs_f64(left.clamp(0.0, MOST.as_secs_f64())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn seconds(base: Instant, seconds: f64) -> Instant {
        base + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let base = Instant::now();
        let mut pace = Pace::default();
        assert_eq!((pace.per_minute(base), pace.left(base, 100)), (None, None));
        pace.note(base, 0);
        pace.note(base, 50);
        assert_eq!((pace.per_minute(base), pace.left(base, 100)), (None, None), "no time has passed");
        assert_eq!(pace.left(base, 50), Some(Duration::ZERO), "all is done");
        assert_eq!(pace.left(base, 0), None, "the plan is not there yet");
        assert_eq!(pace.left(base, -7), None);
    }

    #[test]
    fn a_steady_run_has_its_rate_and_its_end() {
        let base = Instant::now();
        let mut pace = Pace::default();
        for step in 0..=30 {
            pace.note(seconds(base, f64::from(step)), i64::from(step) * 100);
        }
        let now = seconds(base, 30.0);
        assert_eq!(pace.per_minute(now), Some(6_000));
        assert_eq!(pace.left(now, 6_000).unwrap().as_secs(), 30);
    }

    #[test]
    fn the_rate_forgets_what_is_long_ago() {
        let base = Instant::now();
        let mut pace = Pace::default();
        for step in 0..300 {
            let done = if step < 100 { step * 1_000 } else { 100_000 + step };
            pace.note(seconds(base, f64::from(step)), i64::from(done));
        }
        let rate = pace.per_minute(seconds(base, 299.0)).unwrap();
        assert!((55..=65).contains(&rate), "{rate}");
    }

    #[test]
    fn a_stall_slows_the_rate_and_nothing_is_negative() {
        let base = Instant::now();
        let mut pace = Pace::default();
        for step in 0..10 {
            pace.note(seconds(base, f64::from(step)), i64::from(step) * 100);
        }
        let mut before = i64::MAX;
        for step in 10..1_000 {
            let now = seconds(base, f64::from(step));
            pace.note(now, 900);
            let rate = pace.per_minute(now).unwrap();
            assert!(rate <= before && rate >= 0, "{rate} after {before}");
            before = rate;
            assert!(pace.left(now, 1_000).unwrap() <= MOST);
        }
    }

    #[test]
    fn lumps_do_not_make_it_jump() {
        let base = Instant::now();
        let mut pace = Pace::default();
        let (total, lump) = (100_000_i64, 250_i64);
        let (mut done, mut last) = (0, None::<f64>);
        // A batch each 2 s, or two at once after 4 s; told each second.
        for step in 0..600_u32 {
            let now = seconds(base, f64::from(step));
            match step % 8 {
                0 | 2 => done += lump,
                6 => done += 2 * lump,
                _ => {}
            }
            pace.note(now, done);
            let left = pace.left(now, total).map(|left| left.as_secs_f64());
            if let (Some(before), Some(left), true) = (last, left, step > 60) {
                let jump = (left - (before - 1.0)).abs() / before;
                assert!(jump < 0.03, "from {before} to {left} at {step}");
            }
            last = left;
        }
        let expected = f64::from(u32::try_from(total - done).unwrap()) / 125.0;
        let left = last.unwrap();
        assert!((left - expected).abs() / expected < 0.1, "{left} and not about {expected}");
    }

    #[test]
    fn counts_that_go_back_begin_anew() {
        let base = Instant::now();
        let mut pace = Pace::default();
        pace.note(base, 0);
        pace.note(seconds(base, 5.0), 500);
        pace.note(seconds(base, 6.0), 10);
        assert_eq!(pace.per_minute(seconds(base, 7.0)), None);
        assert_eq!(pace.left(seconds(base, 7.0), 100), None);
    }

    #[test]
    fn a_clock_that_stands_still_divides_by_nothing() {
        let base = Instant::now();
        let mut pace = Pace::default();
        for done in 0..1_000 {
            pace.note(base, done);
            assert_eq!(pace.per_minute(base), None);
            assert!(pace.left(base, 2_000).is_none());
        }
    }
}
