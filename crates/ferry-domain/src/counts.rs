//! The account of a run: every member of the snapshot in exactly one bucket.

use serde::{Deserialize, Serialize};

/// How many members ended where. While a run goes on, [`Counts::not_sent`] holds those that are still on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Members of the snapshot, before anything was taken out.
    pub members: u64,
    /// By Ferry: the row cannot go.
    pub rejected: u64,
    /// Joined to another row of the same identity.
    pub twins: u64,
    /// Suppressed or deferred by rule.
    pub excluded: u64,
    /// Already at the destination with the same values.
    pub unchanged: u64,
    /// Taken by the destination.
    pub confirmed: u64,
    /// Refused by the destination.
    pub refused: u64,
    /// Sent, and no answer could be had.
    pub unknown: u64,
    /// The run ended first.
    pub not_sent: u64,
    /// Sent and queued by the destination, result still to come; zero in every terminal state.
    pub queued: u64,
    /// Removals asked of the destination.
    pub removals: u64,
    /// Removals that it confirmed.
    pub removals_confirmed: u64,
    /// Removals that it refused.
    pub removals_refused: u64,
    /// Removals without an answer.
    pub removals_unknown: u64,
    /// Removals that the run's end came before.
    pub removals_not_sent: u64,
}

impl Counts {
    /// True if both equations of the account hold, as they must in every terminal state.
    #[must_use]
    pub fn add_up(&self) -> bool {
        let members = self.rejected
            + self.twins
            + self.excluded
            + self.unchanged
            + self.confirmed
            + self.refused
            + self.unknown
            + self.not_sent;
        let removals = self.removals_confirmed + self.removals_refused + self.removals_unknown + self.removals_not_sent;
        self.queued == 0 && self.members == members && self.removals == removals
    }

    /// Members that a destination has to be told about.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.members - self.rejected - self.twins - self.excluded - self.unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_without_a_bucket_shows() {
        let mut counts = Counts { members: 3, rejected: 1, confirmed: 1, ..Counts::default() };
        assert!(!counts.add_up());
        counts.not_sent = 1;
        assert!(counts.add_up());
        counts.queued = 1;
        assert!(!counts.add_up(), "queued is not an outcome");
    }
}
