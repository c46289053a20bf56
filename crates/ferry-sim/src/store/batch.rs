//! Queued batches and what became of them.

use super::contact::NewContact;
use crate::clock::{Micros, SECOND};
use crate::journal::{Ended, Fate};

pub(crate) struct Batch {
    pub(crate) account: String,
    pub(crate) queued_at: Micros,
    pub(crate) finish_at: Option<Micros>,
    pub(crate) fate: Fate,
    pub(crate) n_contacts: u32,
    /// Taken when the batch is processed.
    pub(crate) contacts: Vec<NewContact>,
    pub(crate) outcome: Option<Outcome>,
}

pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) ended_at: Micros,
    pub(crate) success: Vec<u32>,
    pub(crate) failure: Vec<Box<str>>,
}

/// What the status endpoint says of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The service answers `false`: it has not looked at the batch yet, or does not know it.
    Unassigned,
    Waiting,
    Claimed,
    Active,
    Ended(Ended),
}

impl Batch {
    pub(crate) fn phase(&self, now: Micros) -> Phase {
        if self.fate == Fate::Forget {
            return Phase::Unassigned;
        }
        if let Some(outcome) = &self.outcome {
            return Phase::Ended(outcome.ended);
        }
        let age = now.saturating_sub(self.queued_at);
        let Some(finish_at) = self.finish_at else {
            return if age < SECOND { Phase::Unassigned } else { Phase::Waiting };
        };
        let whole = finish_at.saturating_sub(self.queued_at);
        match age {
            _ if age < SECOND.min(whole) => Phase::Unassigned,
            _ if age < whole / 2 => Phase::Waiting,
            _ if age < whole * 2 / 3 => Phase::Claimed,
            _ => Phase::Active,
        }
    }
}
