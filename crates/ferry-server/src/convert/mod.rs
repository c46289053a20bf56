//! Between the API's messages and the domain.

mod audit;
mod connection;
mod erasure;
mod export;
mod notification;
mod recipient;
mod refresh;
mod run;
mod segment;

pub(crate) use audit::{checkpoint, entry, exported};
pub(crate) use connection::{connection, connection_input, destination_type, removal_receipt};
pub(crate) use erasure::erasure_receipt;
pub(crate) use export::{batch_update_schedules, export, export_input, validation};
pub(crate) use notification::{created_webhook, notification, webhook, webhook_input};
pub(crate) use recipient::recipient;
pub(crate) use refresh::{refresh_schedule, refresh_schedule_input, time_zone};
pub(crate) use run::{rejected, run, run_with, watched};
pub(crate) use segment::{column, segment};

use ferry_domain::Timestamp;

/// A point in time.
pub(crate) fn time(time: Timestamp) -> prost_types::Timestamp {
    let millis = time.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: millis.div_euclid(1_000), nanos }
}

/// A duration.
pub(crate) fn duration(duration: std::time::Duration) -> prost_types::Duration {
    let nanos = i32::try_from(duration.subsec_nanos()).unwrap_or(0);
    prost_types::Duration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos }
}

/// A count.
pub(crate) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
