//! When something is due: local times on chosen days ([`RefreshTimes`]), or five fields of cron ([`Recurrence`]), in a
//! time zone. No I/O, no clock, no database: the instants follow from the arguments and the tables that are built in.
//!
//! Both are sets of local times, to the minute. Each local time takes place at one instant:
//!
//! - that at which the clocks show it;
//! - where a change of the clocks leaves it out, at the change;
//! - where the clocks show it twice, the first time only.
//!
//! So a later local time is never at an earlier instant, and the next instant is found by walking forward from the local
//! time of now. Several local times that one change leaves out are one instant: `*/15 * * * *` is due once at the change
//! in spring, and not at all in the hour that comes again in autumn.
//!
//! The time zones are those of the IANA database that jiff brings (`tzdb-bundle-always`): the machine's own are not read,
//! so two machines agree, and an update of them is an update of Ferry.
//!
//! The fields of cron are read here and not by a library. croner, the best kept one, lets what has a wildcard in its hour
//! or minute run in both of two equal hours and skips what the change leaves out; that is not the rule above, and cannot
//! be configured.

mod cron;
mod days;
mod local;
mod recurrence;
mod refresh;
mod zone;

pub use cron::CronError;
pub use days::Days;
pub use recurrence::{CRON_CHARS, Recurrence, RecurrenceError};
pub use refresh::{RefreshError, RefreshTimes, TIMES_MAX, TimeOfDay};
pub use zone::{UnknownZone, Zone};

#[cfg(test)]
mod tests;
