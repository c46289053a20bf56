//! Why a run stops, in the terms of whoever has to mend it. Everybody who may see the run reads these texts, so they
//! name no host: that is for administrators.

use ferry_destinations::activecampaign::CallError;
use ferry_domain::{Culprit, Error, PauseReason, Reason, RunError, RunState, Severity, Timestamp};
use ferry_segments::{SnapshotError, SourceError};
use ferry_store::{LeaseError, Pause};

/// The end of the work on a run, other than having done it all.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The run ends in this state, with this error.
    Ended(RunState, RunError),
    /// It was asked to stop; the store knows why.
    Cancelled,
    /// Its connection was removed: it is to stop, and the destination is asked nothing more.
    Removed,
    /// The destination asked to be left alone for so long that nobody sits it out.
    LongWait {
        /// When it may be asked again.
        until: Timestamp,
    },
    /// This process is being stopped; the run goes on at the next start.
    Shutdown,
    /// Somebody else owns the run now; nothing may be written any more.
    Fenced,
    /// The keys of its files cannot be had, so what it sent cannot be accounted for; it goes on at the next start.
    Unsealed,
    /// What it does cannot be put on record just now, so it does nothing; it is given back, and goes on once it can be.
    Unrecorded,
}

/// A record of the send path that could not be written. Nothing is sent without it, and nobody says how the run ended:
/// its account may not be whole.
pub(crate) fn unrecorded(error: LeaseError) -> Stop {
    match error {
        LeaseError::Fenced => Stop::Fenced,
        LeaseError::Failed(error) => {
            log(&error);
            Stop::Unrecorded
        }
    }
}

fn log(error: &Error) {
    match error {
        Error::Internal(inside) | Error::Unavailable(inside) => {
            tracing::error!(cause = %inside.0, "a run was stopped by a failure of Ferry's own");
        }
        other => tracing::error!(cause = %other, "a run was stopped by a failure of Ferry's own"),
    }
}

impl From<LeaseError> for Stop {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Fenced => Self::Fenced,
            LeaseError::Failed(error) => error.into(),
        }
    }
}

impl From<Error> for Stop {
    /// Our own failure. The cause goes to the log, the run says no more than that it was ours.
    fn from(error: Error) -> Self {
        log(&error);
        internal("Ferry could not go on with this run; try again, and report it if it happens twice")
    }
}

/// How a run goes on that waits for a time alone.
const BY_ITSELF: &str = "the run goes on by itself at its resume_time";
/// How a run goes on whose connection was mended elsewhere, which nobody tells Ferry.
const MENDED: &str = "the run goes on once an administrator has called VerifyConnection after that";
/// When a store of secrets that could not be reached is asked again.
const SECRET_AGAIN: std::time::Duration = std::time::Duration::from_secs(300);

/// What a run that meets this waits for, if waiting helps: nothing that it has planned is lost by that.
pub(crate) fn pause(stop: &Stop, now: Timestamp) -> Option<Pause> {
    if let Stop::LongWait { until } = stop {
        let error = long_wait(BY_ITSELF);
        return Some(Pause { reason: PauseReason::RetryAfter, resume_time: Some(*until), error });
    }
    let Stop::Ended(RunState::Failed, error) = stop else { return None };
    let (reason, then) = match error.reason {
        Reason::CredentialsRefused => (PauseReason::Credentials, "the run goes on with that"),
        Reason::SecretUnavailable => (PauseReason::Credentials, MENDED),
        Reason::AccountLapsed | Reason::AccountFull => (PauseReason::Account, MENDED),
        _ => return None,
    };
    // A store of secrets that cannot be reached comes back without anybody's doing.
    let resume_time = (error.severity == Severity::Temporary).then(|| now.plus(SECRET_AGAIN));
    let then = if resume_time.is_some() { BY_ITSELF } else { then };
    let message = format!("{}; {then}", error.message);
    Some(Pause { reason, resume_time, error: RunError { message, ..error.clone() } })
}

/// The plan of a dry run may hold somebody who was erased since.
pub(crate) fn person_erased() -> Stop {
    let message = "the plan of this run no longer stands: a person was erased since; nothing was sent, plan again";
    failed(Reason::PlanExpired, Culprit::User, Severity::Temporary, message)
}

/// A failure of Ferry's own, whose cause has been logged.
pub(crate) fn internal(message: &str) -> Stop {
    failed(Reason::Internal, Culprit::System, Severity::Temporary, message)
}

/// The run fails.
pub(crate) fn failed(reason: Reason, culprit: Culprit, severity: Severity, message: impl Into<String>) -> Stop {
    Stop::Ended(RunState::Failed, RunError { reason, message: message.into(), severity, culprit })
}

/// The run is skipped: by rule, nothing was sent.
pub(crate) fn skipped(reason: Reason, culprit: Culprit, message: impl Into<String>) -> Stop {
    let error = RunError { reason, message: message.into(), severity: Severity::Permanent, culprit };
    Stop::Ended(RunState::Skipped, error)
}

/// What a snapshot that could not be taken means for its run.
pub(crate) fn from_snapshot(error: SnapshotError) -> Stop {
    match error {
        SnapshotError::Cancelled => Stop::Cancelled,
        SnapshotError::TooManyProfiles { members } => skipped(
            Reason::TooManyProfiles,
            Culprit::User,
            format!(
                "the segments have more than {} members (at least {members}); split them over several exports",
                ferry_domain::limits::PROFILES_PER_RUN
            ),
        ),
        SnapshotError::Source { segment, error } => from_source(&segment, &error),
        other => {
            tracing::error!(cause = %other, "a plan could not be written");
            internal("the plan of this run could not be written; check the disk of the service")
        }
    }
}

fn from_source(segment: &str, error: &SourceError) -> Stop {
    let message = format!("segment `{segment}`: {error}");
    match error {
        SourceError::ColumnNotFound { .. } => {
            failed(Reason::ColumnNotFound, Culprit::User, Severity::Permanent, message)
        }
        SourceError::ChangedDuringRead => failed(
            Reason::SegmentChangedDuringRead,
            Culprit::User,
            Severity::Temporary,
            format!("{message}; run it again once the refresh has finished"),
        ),
        _ => failed(Reason::SegmentUnreadable, Culprit::User, Severity::Permanent, message),
    }
}

/// What a refused or failed call to the destination means for its run.
pub(crate) fn from_call(error: &CallError) -> Stop {
    match error {
        CallError::CredentialsRefused | CallError::Forbidden => credentials_refused(),
        CallError::AccountLapsed => account_lapsed(),
        CallError::NotFound => not_an_account(),
        CallError::RateLimited { .. } => failed(
            Reason::DestinationRateLimited,
            Culprit::Destination,
            Severity::Temporary,
            "the destination kept answering that its rate limit is exceeded; another integration of that account may be using it up",
        ),
        CallError::Unreachable { .. } => unreachable_host(),
        CallError::Failed { .. } => destination_failed(),
    }
}

pub(crate) fn credentials_refused() -> Stop {
    failed(
        Reason::CredentialsRefused,
        Culprit::User,
        Severity::Permanent,
        "the destination refused the API key; an administrator sets a valid one with UpdateConnection",
    )
}

pub(crate) fn account_lapsed() -> Stop {
    failed(
        Reason::AccountLapsed,
        Culprit::User,
        Severity::Permanent,
        "the account at the destination has lapsed (HTTP 402); its owner settles that with ActiveCampaign",
    )
}

pub(crate) fn account_full() -> Stop {
    failed(
        Reason::AccountFull,
        Culprit::User,
        Severity::Permanent,
        "the plan of the account at the destination takes no more contacts; its owner raises the limit with ActiveCampaign, or removes contacts there",
    )
}

pub(crate) fn list_deleted(list: u32) -> Stop {
    failed(
        Reason::ListNotFound,
        Culprit::User,
        Severity::Permanent,
        format!(
            "list {list} was deleted at the destination while this run was going on, so nobody is on it; choose another with UpdateExport, then run again"
        ),
    )
}

pub(crate) fn not_an_account() -> Stop {
    failed(
        Reason::DestinationFailed,
        Culprit::User,
        Severity::Permanent,
        "the destination answers, but not as an ActiveCampaign account (HTTP 404); check the host name of the connection",
    )
}

/// A run that has planned nothing does not wait.
pub(crate) fn too_long_to_wait() -> RunError {
    long_wait("this run has sent nothing, so it ended; run it again later")
}

fn long_wait(what_then: &str) -> RunError {
    RunError {
        reason: Reason::DestinationRateLimited,
        message: format!("the destination asked not to be sent anything for more than an hour; {what_then}"),
        severity: Severity::Temporary,
        culprit: Culprit::Destination,
    }
}

pub(crate) fn unreachable_host() -> Stop {
    failed(
        Reason::HostUnreachable,
        Culprit::Destination,
        Severity::Temporary,
        "the destination could not be reached; check the host name of the connection, then run again",
    )
}

pub(crate) fn destination_failed() -> Stop {
    failed(
        Reason::DestinationFailed,
        Culprit::Destination,
        Severity::Temporary,
        "the destination failed to answer properly too many times; run again later",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_waits_says_how_it_goes_on_and_one_that_ended_does_not() {
        let until = Timestamp::from_millis(5);
        let waits = pause(&Stop::LongWait { until }, until).expect("a pause");
        assert_eq!((waits.reason, waits.resume_time), (PauseReason::RetryAfter, Some(until)));
        assert!(waits.error.message.contains("goes on by itself"), "{}", waits.error.message);
        let ended = too_long_to_wait().message;
        assert!(!ended.contains("goes on") && ended.contains("run it again"), "{ended}");
        for (stop, how) in [
            (account_full(), "VerifyConnection"),
            (account_lapsed(), "VerifyConnection"),
            (credentials_refused(), "UpdateConnection"),
        ] {
            let Stop::Ended(_, error) = &stop else { panic!("{stop:?}") };
            assert!(!error.message.contains("the run goes on"), "it may have ended: {}", error.message);
            let waits = pause(&stop, until).expect("a pause");
            assert_eq!(waits.resume_time, None);
            let waits = waits.error.message;
            assert!(waits.contains("the run goes on") && waits.contains(how), "{waits}");
            assert!(!waits.contains("run again"), "{waits}");
        }
        let store_is_away =
            failed(Reason::SecretUnavailable, Culprit::User, Severity::Temporary, "its store cannot be reached");
        let waits = pause(&store_is_away, until).expect("a pause");
        assert!(waits.resume_time.is_some() && waits.error.message.contains("by itself"), "{}", waits.error.message);
    }
}
