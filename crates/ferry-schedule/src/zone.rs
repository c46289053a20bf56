//! Time zones, and at which instant a local time takes place.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// Names of the database that are no zones for people: a placeholder, and what stands for "the machine's own".
const NO_ZONES: [&str; 3] = ["Factory", "localtime", "posixrules"];

/// The name is not in the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone of the IANA database, like `Europe/Lisbon`")]
pub struct UnknownZone(pub String);

/// A time zone of the IANA database.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

impl Zone {
    /// Takes a name as the database spells it.
    pub fn parse(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone(name.chars().take(64).collect());
        if NO_ZONES.contains(&name) {
            return Err(unknown());
        }
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| unknown())?;
        // The look-up does not mind the case; a name that is stored and compared has one spelling.
        if zone.iana_name() != Some(name) {
            return Err(unknown());
        }
        Ok(Self { name: name.to_owned(), zone })
    }

    /// All of them, by name.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let database = TimeZoneDatabase::bundled();
        let mut all: Vec<Self> = database.available().filter_map(|name| Self::parse(name.as_str()).ok()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all.dedup_by(|one, other| one.name == other.name);
        all
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its offset from UTC at an instant, in seconds; summer time is in it.
    #[must_use]
    pub fn offset_seconds(&self, millis: i64) -> i32 {
        self.zone.to_offset(instant(millis)).seconds()
    }

    /// What its clocks show.
    pub(crate) fn local(&self, millis: i64) -> DateTime {
        self.zone.to_datetime(instant(millis))
    }

    /// The instant at which a local time takes place; nothing past the end of the calendar.
    pub(crate) fn place(&self, local: DateTime) -> Option<i64> {
        let at = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok()?,
            // It comes twice; the first time is the one before the change.
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok()?,
            AmbiguousOffset::Gap { before, after } => {
                let (early, late) = (after.to_timestamp(local).ok()?, before.to_timestamp(local).ok()?);
                self.change_in(early, late)
            }
        };
        Some(at.as_millisecond())
    }

    /// The change of the clocks that leaves out a local time: after the instant that it would be by the new offset, and
    /// not after the one by the old.
    fn change_in(&self, early: Timestamp, late: Timestamp) -> Timestamp {
        let just_before = early.checked_sub(SignedDuration::from_secs(1)).unwrap_or(early);
        let old = self.zone.to_offset(just_before);
        let changes = self.zone.following(just_before).map(|change| change.timestamp());
        let found = changes.take_while(|at| *at <= late).find(|at| self.zone.to_offset(*at).seconds() > old.seconds());
        found.unwrap_or(late)
    }
}

/// An instant within the calendar.
fn instant(millis: i64) -> Timestamp {
    let limit = if millis < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(millis).unwrap_or(limit)
}
