//! Sets of local times, and the next one's instant.

use crate::zone::Zone;
use jiff::civil::{Date, DateTime};

/// Days that are looked at. The calendar repeats after 400 years, and so does each set of days; the longest that one can
/// keep quiet is the 40 years to a 29 February on a given weekday across 2100.
const DAYS_MAX: u32 = 146_097;

/// Local times, to the minute.
pub(crate) trait LocalTimes {
    /// Whether there are any on this day.
    fn takes(&self, day: Date) -> bool;
    /// The minutes of such a day, ascending.
    fn minutes(&self) -> &[u16];
}

/// The next instant strictly after this one, both in milliseconds since 1970 UTC. Nothing past the end of the calendar.
pub(crate) fn next(times: &impl LocalTimes, zone: &Zone, after: i64) -> Option<i64> {
    let shown = zone.local(after);
    let mut day = shown.date();
    for _ in 0..=DAYS_MAX {
        if times.takes(day) {
            for minute in times.minutes() {
                let local = at(day, *minute)?;
                // What the clocks show now, or showed before, was now or before: no later local time is earlier.
                if local <= shown {
                    continue;
                }
                let instant = zone.place(local)?;
                if instant > after {
                    return Some(instant);
                }
            }
        }
        day = day.tomorrow().ok()?;
    }
    None
}

/// Whether there ever is one.
pub(crate) fn ever(times: &impl LocalTimes) -> bool {
    if times.minutes().is_empty() {
        return false;
    }
    let mut day = Date::constant(2000, 1, 1);
    for _ in 0..DAYS_MAX {
        if times.takes(day) {
            return true;
        }
        let Ok(next) = day.tomorrow() else { return false };
        day = next;
    }
    false
}

fn at(day: Date, minute: u16) -> Option<DateTime> {
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    DateTime::new(day.year(), day.month(), day.day(), hour, minute, 0, 0).ok()
}
