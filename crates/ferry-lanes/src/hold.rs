//! The wait that a destination asks for: on record before it is obeyed, so that it survives a restart.
//!
//! Here it is a moment of the monotonic clock, on record one of the wall clock. A wall clock that was set back between
//! the two, or forward before the record, must not make the wait longer than what was asked for.

use crate::pace::TimeScale;
use ferry_domain::Timestamp;
use ferry_store::LaneRecord;
use std::time::Duration;

/// No wait is longer, whatever is asked for or on record (the destination's time).
const LONGEST: Duration = Duration::from_secs(10 * 24 * 3_600);
/// A longer wait is worth telling: a run is better set aside than kept in memory for it (the destination's time).
const LONG: Duration = Duration::from_secs(3_600);

/// How long to wait, in real time, for a wait that the destination asked for.
pub(crate) fn asked(wait: Duration, scale: TimeScale) -> Duration {
    scale.real(wait.min(LONGEST))
}

/// What is left of a recorded wait.
pub(crate) fn left(record: &LaneRecord, now: Timestamp, scale: TimeScale) -> Option<Duration> {
    let until = record.hold_until?;
    let asked = until.since(record.update_time).min(scale.real(LONGEST));
    Some(until.since(now).min(asked)).filter(|left| *left > Duration::ZERO)
}

/// Whether a wait (real time) is so long that whoever waits should be told.
pub(crate) fn is_long(left: Duration, scale: TimeScale) -> bool {
    left > scale.real(LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Timestamp = Timestamp::from_millis(1_000_000);

    fn left_of(wait: Duration, now: Timestamp) -> Option<Duration> {
        let record = LaneRecord { hold_until: Some(ASKED.plus(wait)), update_time: ASKED };
        left(&record, now, TimeScale::REAL)
    }

    #[test]
    fn a_recorded_wait_goes_on() {
        let minute = Duration::from_secs(60);
        assert_eq!(left_of(minute, ASKED.plus(Duration::from_secs(20))), Some(Duration::from_secs(40)));
        assert_eq!(left_of(minute, ASKED.plus(minute)), None);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_wait_longer() {
        let (minute, a_day_before) = (Duration::from_secs(60), Timestamp::from_millis(1_000_000 - 86_400_000));
        assert_eq!(left_of(minute, a_day_before), Some(minute));
    }

    #[test]
    fn no_wait_is_longer_than_ten_days() {
        assert_eq!(left_of(LONGEST * 3, ASKED), Some(LONGEST));
        assert_eq!(asked(Duration::MAX, TimeScale::REAL), LONGEST);
    }

    #[test]
    fn more_than_an_hour_is_long() {
        let hour = Duration::from_secs(3_600);
        assert!(!is_long(hour, TimeScale::REAL) && is_long(hour + Duration::from_secs(1), TimeScale::REAL));
    }
}
