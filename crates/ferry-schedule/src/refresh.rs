//! Local times on chosen days.

use crate::days::Days;
use crate::local::{self, LocalTimes};
use crate::zone::Zone;
use jiff::civil::Date;
use std::fmt;

/// Times of a day that something can be due at.
pub const TIMES_MAX: usize = 4;

/// Why days and times are none to go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// No day.
    #[error("must have at least one day")]
    NoDay,
    /// None, or more than can be.
    #[error("must have 1 to {TIMES_MAX} times, and has {0}")]
    Times(usize),
    /// Another form.
    #[error("`{0}` is no time of a day; times are written `00:00` to `23:59`")]
    Malformed(String),
    /// The same twice.
    #[error("`{0}` stands twice")]
    Twice(TimeOfDay),
}

/// A time of a day, to the minute, as `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Reads `00:00` to `23:59`.
    pub fn parse(text: &str) -> Result<Self, RefreshError> {
        let malformed = || RefreshError::Malformed(text.chars().take(16).collect());
        let bytes = text.as_bytes();
        let [h1, h2, b':', m1, m2] = bytes else { return Err(malformed()) };
        let digits = [h1, h2, m1, m2];
        if !digits.iter().all(|digit| digit.is_ascii_digit()) {
            return Err(malformed());
        }
        let number = |tens: &u8, ones: &u8| u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
        let (hour, minute) = (number(h1, h2), number(m1, m2));
        if hour > 23 || minute > 59 {
            return Err(malformed());
        }
        Ok(Self(hour * 60 + minute))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// One to four times of each of some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshTimes {
    days: Days,
    minutes: Vec<u16>,
    zone: Zone,
}

impl RefreshTimes {
    /// Takes days and times; each time once.
    pub fn new(days: Days, times: &[TimeOfDay], zone: Zone) -> Result<Self, RefreshError> {
        if days.is_empty() {
            return Err(RefreshError::NoDay);
        }
        if times.is_empty() || times.len() > TIMES_MAX {
            return Err(RefreshError::Times(times.len()));
        }
        let mut minutes: Vec<u16> = Vec::with_capacity(times.len());
        for time in times {
            if minutes.contains(&time.0) {
                return Err(RefreshError::Twice(*time));
            }
            minutes.push(time.0);
        }
        minutes.sort_unstable();
        Ok(Self { days, minutes, zone })
    }

    /// The next instant strictly after this one, both in milliseconds since 1970 UTC; nothing past the year 9999.
    #[must_use]
    pub fn next_after(&self, millis: i64) -> Option<i64> {
        local::next(self, &self.zone, millis)
    }
}

impl LocalTimes for RefreshTimes {
    fn takes(&self, day: Date) -> bool {
        self.days.has(day.weekday())
    }

    fn minutes(&self) -> &[u16] {
        &self.minutes
    }
}
