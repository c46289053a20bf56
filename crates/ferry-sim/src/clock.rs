//! The simulated time: monotonic, and faster than real time by a fixed factor.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds of simulated time since the journal's first start.
pub(crate) type Micros = u64;

/// One simulated second.
pub(crate) const SECOND: Micros = 1_000_000;

/// Turns real time into simulated time. It never goes back, also not over a restart on the same journal.
#[derive(Clone)]
pub(crate) struct Clock {
    started: Instant,
    origin: Micros,
    scale: f64,
    epoch_unix_ms: u64,
}

impl Clock {
    /// A clock that shows `origin` now; `epoch_unix_ms` is the calendar time of its zero.
    pub(crate) fn new(scale: f64, origin: Micros, epoch_unix_ms: u64) -> Self {
        Self { started: Instant::now(), origin, scale, epoch_unix_ms }
    }

    pub(crate) fn now(&self) -> Micros {
        self.origin + self.simulated(self.started.elapsed())
    }

    /// How much simulated time passes in a span of real time.
    fn simulated(&self, real: Duration) -> Micros {
        (real.as_secs_f64() * self.scale * 1e6) as Micros
    }

    /// The real time until `at`, zero when it has passed.
    pub(crate) fn until(&self, at: Micros) -> Duration {
        let simulated = at.saturating_sub(self.now());
        Duration::from_secs_f64((simulated as f64 / 1e6 / self.scale).min(1e6))
    }

    /// The calendar time of `at` as seconds since 1970.
    pub(crate) fn unix_seconds(&self, at: Micros) -> u64 {
        self.epoch_unix_ms / 1000 + at / SECOND
    }
}

/// The real calendar time in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// `YYYY-MM-DD` and `hh:mm:ss` in UTC.
pub(crate) fn date_and_time(unix_seconds: u64) -> (String, String) {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Days to civil date, in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_leap_years_are_right() {
        assert_eq!(date_and_time(0), ("1970-01-01".to_owned(), "00:00:00".to_owned()));
        assert_eq!(date_and_time(951_782_400).0, "2000-02-29");
        assert_eq!(date_and_time(1_709_251_199), ("2024-02-29".to_owned(), "23:59:59".to_owned()));
        assert_eq!(date_and_time(1_735_603_200).0, "2024-12-31");
    }

    #[test]
    fn a_scaled_clock_runs_faster_and_starts_at_its_origin() {
        let clock = Clock::new(1_000.0, 5 * SECOND, 0);
        assert!(clock.now() >= 5 * SECOND);
        assert!(clock.until(clock.now() + 1_000 * SECOND) <= Duration::from_secs(1));
    }
}
