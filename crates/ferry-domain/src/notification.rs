//! Facts that a person must know, and where they are sent.
//!
//! What heals by itself is no such fact: a retried answer, a wait that the destination asked for, a run that pauses and
//! goes on. What is said here of a run holds for those that take people off a list too: if one fails, people stay where
//! they should not be. A dry run sends nothing and somebody waits for its answer, so it is told only if every run will
//! fail like it, or if it took too long.

use crate::{ConnectionName, NotificationName, Reason, Run, RunState, Severity, Timestamp, WebhookName};

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotificationKind {
    /// A run failed: retries were used up, or could not help.
    RunFailed,
    /// A run took longer than its time limit.
    RunTimedOut,
    /// A run was skipped because of its segments.
    RunSkipped,
    /// A connection came to need attention.
    ConnectionNeedsAttention,
    /// A guard holds a run.
    RunAwaitingApproval,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::RunFailed,
        Self::RunTimedOut,
        Self::RunSkipped,
        Self::ConnectionNeedsAttention,
        Self::RunAwaitingApproval,
    ];

    /// The word that is stored, and that events are named by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::RunTimedOut => "run_timed_out",
            Self::RunSkipped => "run_skipped",
            Self::ConnectionNeedsAttention => "connection_needs_attention",
            Self::RunAwaitingApproval => "run_awaiting_approval",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A fact, in the words of whoever must act. No personal data of profiles, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToTell {
    /// What it is about.
    pub kind: NotificationKind,
    /// The cause, if there is one.
    pub reason: Option<Reason>,
    /// What happened and what to do.
    pub message: String,
}

impl ToTell {
    /// What a person must know of the state that a run has just come into.
    #[must_use]
    pub fn of_run(run: &Run) -> Option<Self> {
        let error = run.error.as_ref();
        let reason = error.map(|error| error.reason);
        let (kind, what) = match run.state {
            RunState::Failed if !run.dry_run || error.is_some_and(|error| error.severity == Severity::Permanent) => {
                (NotificationKind::RunFailed, "A run failed")
            }
            RunState::TimedOut => (NotificationKind::RunTimedOut, "A run took longer than its time limit"),
            // Whatever else a run is skipped for, its connection has told it.
            RunState::Skipped if !run.dry_run && reason.is_some_and(is_upstream) => {
                (NotificationKind::RunSkipped, "A run was skipped")
            }
            RunState::AwaitingApproval => return Some(Self::held(run)),
            _ => return None,
        };
        let cause = error.map_or("Ferry cannot say why", |error| error.message.as_str());
        Some(Self { kind, reason, message: format!("{what}: {cause}") })
    }

    fn held(run: &Run) -> Self {
        let reasons = run.approval.as_ref().map(|approval| approval.reasons.join("; ")).unwrap_or_default();
        let message = format!(
            "A run waits for an approval, and nothing of it is sent before: {reasons}. Another administrator than the \
             one who started it lets it go on with ApproveRun within 24 hours, or stops it with CancelRun"
        );
        Self { kind: NotificationKind::RunAwaitingApproval, reason: None, message }
    }

    /// A connection came to need attention, for this cause.
    #[must_use]
    pub fn of_connection(name: &ConnectionName, reason: Reason) -> Self {
        let what = match reason {
            Reason::ExportUserLost => {
                "its export user may no longer run exports; an administrator takes their place with BindExportUser"
            }
            Reason::SecretUnavailable => {
                "the secret that it names cannot be read; an administrator mends it, then calls VerifyConnection"
            }
            Reason::AccountLapsed | Reason::AccountFull => {
                "its account takes nothing more; its owner mends that, then an administrator calls VerifyConnection"
            }
            _ => {
                "its key was refused; an administrator sets a valid one with UpdateConnection, or calls \
                 VerifyConnection once it is mended"
            }
        };
        let message = format!("`{name}` cannot carry runs until somebody acts: {what}");
        Self { kind: NotificationKind::ConnectionNeedsAttention, reason: Some(reason), message }
    }
}

/// Whether a run was skipped for what it should have read.
fn is_upstream(reason: Reason) -> bool {
    matches!(reason, Reason::SegmentFailed | Reason::SegmentInactive | Reason::TooManyProfiles)
}

/// A notification as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its name.
    pub name: NotificationName,
    /// What it is about.
    pub kind: NotificationKind,
    /// The name of the run or connection.
    pub subject: String,
    /// The cause, an error reason; empty where there is none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// When it happened.
    pub create_time: Timestamp,
}

/// A webhook as stored, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub name: WebhookName,
    /// Never used again, even if the id is. Its key in the vault is bound to it.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// Where events are sent.
    pub url: String,
    /// Which kinds are sent; all if empty.
    pub kinds: Vec<NotificationKind>,
    /// Nothing is sent while set.
    pub disabled: bool,
    /// Raised by each change; the etag.
    pub version: i64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
}

impl Webhook {
    /// Whether it gets notifications of a kind now.
    #[must_use]
    pub fn wants(&self, kind: NotificationKind) -> bool {
        !self.disabled && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::{Approval, ConnectionId, Counts, Culprit, RunError, RunName, Trigger};

    fn run(state: RunState, dry_run: bool, error: Option<(Reason, Severity)>) -> Run {
        let error = error.map(|(reason, severity)| RunError {
            reason,
            message: "mend it".to_owned(),
            severity,
            culprit: Culprit::User,
        });
        Run {
            name: RunName::parse("tenants/acme/exports/weekly/runs/0192").unwrap(),
            state,
            phase: None,
            trigger: Trigger::OnDemand,
            started_by: "ada".to_owned(),
            connection: ConnectionId::parse("news").unwrap(),
            counts: Counts::default(),
            batches_total: 0,
            batches_settled: 0,
            dry_run,
            plan_summary: None,
            plan_of: None,
            approval: None,
            pause_reason: None,
            resume_time: None,
            waited: std::time::Duration::ZERO,
            warnings: Vec::new(),
            error,
            estimated_end_time: None,
            create_time: Timestamp::from_millis(1),
            start_time: None,
            end_time: None,
            version: 1,
        }
    }

    fn kind(run: &Run) -> Option<NotificationKind> {
        ToTell::of_run(run).map(|told| told.kind)
    }

    #[test]
    fn stored_words_read_back() {
        for kind in NotificationKind::ALL {
            assert_eq!(NotificationKind::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn what_heals_or_was_wanted_is_not_told() {
        let paused = Some((Reason::DestinationRateLimited, Severity::Temporary));
        for state in [RunState::Queued, RunState::Processing, RunState::Paused, RunState::Cancelling] {
            assert_eq!(kind(&run(state, false, paused)), None, "{state:?}");
        }
        for state in [RunState::Succeeded, RunState::Cancelled] {
            assert_eq!(kind(&run(state, false, paused)), None, "{state:?}");
        }
        // Its connection has told it, or an administrator wanted it so.
        for reason in [Reason::CredentialsRefused, Reason::ExportUserLost, Reason::RoleTooLow] {
            assert_eq!(kind(&run(RunState::Skipped, false, Some((reason, Severity::Permanent)))), None);
        }
    }

    #[test]
    fn a_failure_a_time_out_and_a_skip_by_upstream_are_told() {
        let temporary = Some((Reason::DestinationFailed, Severity::Temporary));
        let permanent = Some((Reason::ListNotFound, Severity::Permanent));
        let failed = Some(NotificationKind::RunFailed);
        assert_eq!(kind(&run(RunState::Failed, false, temporary)), failed, "retries were used up");
        assert_eq!(kind(&run(RunState::Failed, false, permanent)), failed);
        assert_eq!(kind(&run(RunState::Failed, true, permanent)), failed, "so will the run");
        assert_eq!(kind(&run(RunState::Failed, true, temporary)), None, "whoever asked sees it");
        for dry_run in [false, true] {
            let late = run(RunState::TimedOut, dry_run, Some((Reason::TimedOut, Severity::Temporary)));
            assert_eq!(kind(&late), Some(NotificationKind::RunTimedOut));
        }
        for reason in [Reason::SegmentFailed, Reason::SegmentInactive, Reason::TooManyProfiles] {
            let skipped = run(RunState::Skipped, false, Some((reason, Severity::Temporary)));
            assert_eq!(kind(&skipped), Some(NotificationKind::RunSkipped), "{reason:?}");
        }
        let told = ToTell::of_run(&run(RunState::Failed, false, permanent)).unwrap();
        assert_eq!((told.reason, told.message.as_str()), (Some(Reason::ListNotFound), "A run failed: mend it"));
    }

    #[test]
    fn a_held_run_says_why_and_what_to_do() {
        let approval = Approval {
            reasons: vec!["many would go".to_owned()],
            approved_by: None,
            approve_time: None,
            expire_time: None,
        };
        let told =
            ToTell::of_run(&Run { approval: Some(approval), ..run(RunState::AwaitingApproval, false, None) }).unwrap();
        assert_eq!((told.kind, told.reason), (NotificationKind::RunAwaitingApproval, None));
        assert!(told.message.contains("many would go") && told.message.contains("ApproveRun"), "{}", told.message);
    }

    #[test]
    fn a_webhook_gets_the_kinds_that_it_names_or_all() {
        let webhook = |kinds: &[NotificationKind], disabled| Webhook {
            name: WebhookName::parse("tenants/acme/webhooks/hook").unwrap(),
            uid: "u".to_owned(),
            display_name: "Hook".to_owned(),
            url: "https://hooks.example.com/".to_owned(),
            kinds: kinds.to_vec(),
            disabled,
            version: 1,
            create_time: Timestamp::from_millis(1),
            update_time: Timestamp::from_millis(1),
        };
        let failed = NotificationKind::RunFailed;
        assert!(webhook(&[], false).wants(failed) && webhook(&[failed], false).wants(failed));
        assert!(!webhook(&[NotificationKind::RunSkipped], false).wants(failed) && !webhook(&[], true).wants(failed));
    }
}
