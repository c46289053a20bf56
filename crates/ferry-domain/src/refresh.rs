//! When the exports of a tenant that go with the refresh run by themselves.

use crate::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// How often a refresh takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// On chosen days of the week.
    #[default]
    Weekly,
    /// Each day.
    Daily,
}

/// The refresh schedule of a tenant. Each has one; before the first change it is off and says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshSchedule {
    /// Whose.
    pub tenant: TenantId,
    /// Whether it takes place.
    pub active: bool,
    /// How often.
    pub cadence: Cadence,
    /// Days of the week, 1 for Monday to 7 for Sunday, each once; none with a daily cadence.
    pub days: Vec<u8>,
    /// Times of a day, as `HH:MM`, each once.
    pub times: Vec<String>,
    /// An IANA name.
    pub time_zone: String,
    /// When it takes place next; nothing while it is off.
    pub next_time: Option<Timestamp>,
    /// The subject of the token that changed it last; empty before.
    pub updated_by: String,
    /// Raised by each change; the etag.
    pub version: i64,
    /// When it was last changed.
    pub update_time: Option<Timestamp>,
}

impl RefreshSchedule {
    /// As it is before the first change.
    #[must_use]
    pub fn untouched(tenant: TenantId) -> Self {
        Self {
            tenant,
            active: false,
            cadence: Cadence::Weekly,
            days: Vec::new(),
            times: Vec::new(),
            time_zone: "UTC".to_owned(),
            next_time: None,
            updated_by: String::new(),
            version: 0,
            update_time: None,
        }
    }
}
