//! Five fields of cron in a time zone.

use crate::cron::{Cron, CronError};
use crate::local;
use crate::zone::{UnknownZone, Zone};

/// Characters of an expression, at most.
pub const CRON_CHARS: usize = 100;

/// Why a recurrence is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceError {
    /// Its fields.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// Its time zone.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}

/// Five fields of cron in a time zone. It takes place some time: what never does is not parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    cron: Cron,
    zone: Zone,
}

impl Recurrence {
    /// Reads both.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, RecurrenceError> {
        Ok(Self { cron: Cron::parse(cron)?, zone: Zone::parse(zone)? })
    }

    /// The next instant strictly after this one, both in milliseconds since 1970 UTC; nothing past the year 9999.
    #[must_use]
    pub fn next_after(&self, millis: i64) -> Option<i64> {
        local::next(&self.cron, &self.zone, millis)
    }
}
