//! What the removal of a connection did.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// What is told of a removal, to whoever asked for it and to whoever asks again. Names, numbers and times alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalReceipt {
    /// The name that was removed.
    pub connection: String,
    /// The names of the exports that lost it.
    pub detached_exports: Vec<String>,
    /// The names of the runs that were stopped.
    pub stopped_runs: Vec<String>,
    /// The names of the runs that take people off the lists before.
    pub retraction_runs: Vec<String>,
    /// Requests that were on their way when it was removed.
    pub requests_in_flight: u64,
    /// Data keys that were destroyed.
    pub keys_destroyed: u64,
    /// The numbers of the tenant's entries that record it, in order.
    pub audit_entries: Vec<u64>,
    /// When its keys were destroyed; nothing before.
    pub remove_time: Option<Timestamp>,
}

impl RemovalReceipt {
    /// The tenant's entries that a checkpoint must cover to cover the removal.
    #[must_use]
    pub fn covered_from(&self) -> u64 {
        self.audit_entries.last().copied().unwrap_or_default()
    }
}
