//! A run carries an export out once. Its states, and which may follow which.

use crate::{ConnectionId, Counts, ExportName, Reason, RunId, RunName, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a run stands.
///
/// ```text
/// queued ─▶ processing ─▶ succeeded | failed | skipped | timed_out
///   │          │  ▲   │
///   │          ▼  │   └─▶ awaiting_approval ─▶ processing
///   │        paused
///   └──────────┴─▶ cancelling ─▶ cancelled
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waits for a worker.
    Queued,
    /// Being carried out; see its phase.
    Processing,
    /// Held by a guard until another administrator lets it go on.
    AwaitingApproval,
    /// Waits for something outside; not counted against its time limit.
    Paused,
    /// Asked to stop; nothing new is sent.
    Cancelling,
    /// Everything that could go has gone and was settled.
    Succeeded,
    /// It could not be carried out; the error says why.
    Failed,
    /// It was not carried out, by rule; the error says which.
    Skipped,
    /// It was stopped by a person, by a new host of its connection, or because whoever it acts for lost their right.
    Cancelled,
    /// It took longer than its time limit.
    TimedOut,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Processing,
        Self::AwaitingApproval,
        Self::Paused,
        Self::Cancelling,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// A terminal state never changes again, and has an end time.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled | Self::TimedOut => true,
            Self::Queued | Self::Processing | Self::AwaitingApproval | Self::Paused | Self::Cancelling => false,
        }
    }

    /// Whether `next` may follow. The store asks this for every change of state (`ferry-store`, `run_change::update`).
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => {
                matches!(next, Self::Processing | Self::Cancelling | Self::Cancelled | Self::Skipped | Self::Failed)
            }
            Self::Processing => !matches!(next, Self::Queued | Self::Processing),
            Self::AwaitingApproval => {
                matches!(next, Self::Processing | Self::Cancelling | Self::Cancelled | Self::TimedOut | Self::Failed)
            }
            Self::Paused => {
                matches!(next, Self::Processing | Self::Cancelling | Self::Cancelled | Self::Skipped | Self::Failed)
            }
            Self::Cancelling => matches!(next, Self::Cancelled),
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled | Self::TimedOut => false,
        }
    }

    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What a run in progress is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading and normalising the segments.
    Reading,
    /// Writing the plan.
    Planning,
    /// Sending batches; earlier ones settle meanwhile.
    Sending,
    /// All is sent; waiting for the destination's results.
    Settling,
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person or a program by `RunExport`.
    OnDemand,
    /// The export's own schedule.
    Schedule,
    /// The tenant's refresh.
    Refresh,
    /// The removal of its connection: it takes off the list those whom the export put there, and reads no segment.
    Retraction,
    /// An erasure: it takes one person off the list, and reads no segment.
    Erasure,
}

impl Trigger {
    /// Whether such a run takes people off a list and reads no segment. It rests on nobody's right to run exports, and is
    /// never held.
    #[must_use]
    pub fn takes_off(self) -> bool {
        match self {
            Self::Retraction | Self::Erasure => true,
            Self::OnDemand | Self::Schedule | Self::Refresh => false,
        }
    }
}

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Culprit {
    /// Ferry or what it runs on.
    System,
    /// Whoever configured the connection, the export or the segment.
    User,
    /// The marketing tool.
    Destination,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The run goes on.
    Warning,
    /// The run ended by it; the next one may succeed.
    Temporary,
    /// Every run will end by it until somebody acts.
    Permanent,
}

/// Why a run ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The machine-readable cause.
    pub reason: Reason,
    /// For people: what went wrong and what to do. No personal data, no secret.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
    /// Who can mend it.
    pub culprit: Culprit,
}

/// Why a run waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The key was refused or cannot be had; an administrator must act.
    Credentials,
    /// The account has lapsed or is full; its owner must act.
    Account,
    /// The destination asked for a long wait; it goes on by itself.
    RetryAfter,
}

/// What carrying a plan out would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanSummary {
    /// People that are not known to be at the destination.
    pub adds: u64,
    /// People whose values have changed.
    pub changes: u64,
    /// People who left and are removed by the leave policy.
    pub removals: u64,
    /// People whom the destination is known to refuse.
    pub refusals: u64,
}

/// Why a guard held a run, and who let it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What the guard saw, for people. No personal data.
    pub reasons: Vec<String>,
    /// The subject of the administrator who let it go on.
    pub approved_by: Option<String>,
    /// When.
    pub approve_time: Option<Timestamp>,
    /// When the run ends unless somebody lets it go on before; set exactly while it is held, and derived from since when
    /// it is.
    #[serde(skip)]
    pub expire_time: Option<Timestamp>,
}

/// A run as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub name: RunName,
    /// Where it stands.
    pub state: RunState,
    /// What it is doing; nothing before it begins.
    pub phase: Option<Phase>,
    /// What started it.
    pub trigger: Trigger,
    /// The subject who started it, or for whom it acts.
    pub started_by: String,
    /// The connection it uses, as when it was started.
    pub connection: ConnectionId,
    /// The account so far.
    pub counts: Counts,
    /// Batches of the plan, once planned.
    pub batches_total: u64,
    /// Batches whose every row has an outcome.
    pub batches_settled: u64,
    /// True for a plan that sends nothing.
    pub dry_run: bool,
    /// What its plan does, once planned.
    pub plan_summary: Option<PlanSummary>,
    /// The dry run whose plan it carries out; nothing if it makes its own.
    pub plan_of: Option<RunId>,
    /// Why a guard held it, if one did.
    pub approval: Option<Approval>,
    /// Why it waits; set exactly while it is paused.
    pub pause_reason: Option<PauseReason>,
    /// When it goes on by itself; nothing while it waits for somebody, or does not wait.
    pub resume_time: Option<Timestamp>,
    /// How long it has waited, held or paused, since it began; not counted against its time limit.
    pub waited: Duration,
    /// Things to know that did not stop it.
    pub warnings: Vec<String>,
    /// Why it ended, unless it succeeded or a person cancelled it; while it is paused, what it met.
    pub error: Option<RunError>,
    /// When it should be done, once planned.
    pub estimated_end_time: Option<Timestamp>,
    /// When it was asked for.
    pub create_time: Timestamp,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended; set exactly in terminal states.
    pub end_time: Option<Timestamp>,
    /// Raised by each change; the etag.
    pub version: i64,
}

impl Run {
    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.name.run
    }

    /// The export it carries out.
    #[must_use]
    pub fn export(&self) -> ExportName {
        self.name.export_name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_are_final_and_no_state_follows_itself() {
        for from in RunState::ALL {
            for to in RunState::ALL {
                if from.is_terminal() || from == to {
                    assert!(!from.may_become(to), "{from:?} to {to:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_held_or_paused_begins_again_or_ends() {
        for waiting in [RunState::AwaitingApproval, RunState::Paused] {
            assert!(RunState::Processing.may_become(waiting) && waiting.may_become(RunState::Processing));
            assert!(waiting.may_become(RunState::Cancelled) && waiting.may_become(RunState::Failed));
        }
    }

    #[test]
    fn every_state_can_reach_an_end() {
        for from in RunState::ALL.into_iter().filter(|state| !state.is_terminal()) {
            assert!(RunState::ALL.into_iter().any(|to| to.is_terminal() && from.may_become(to)), "{from:?}");
        }
    }

    #[test]
    fn stored_words_read_back() {
        for state in RunState::ALL {
            assert_eq!(RunState::parse(state.as_str()), Some(state));
        }
    }
}
