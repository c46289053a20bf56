//! Why a run stops, in the terms of whoever has to mend it. Everybody who may see the run reads these texts, so they
//! name no host: that is for administrators.

use ferry_destinations::activecampaign::CallError;
use ferry_domain::{Culprit, Error, Reason, RunError, RunState, Severity};
use ferry_segments::{SnapshotError, SourceError};
use ferry_store::LeaseError;

/// The end of the work on a run, other than having done it all.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The run ends in this state, with this error.
    Ended(RunState, RunError),
    /// It was asked to stop; the store knows why.
    Cancelled,
    /// This process is being stopped; the run goes on at the next start.
    Shutdown,
    /// Somebody else owns the run now; nothing may be written any more.
    Fenced,
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
        match &error {
            Error::Internal(inside) | Error::Unavailable(inside) => {
                tracing::error!(cause = %inside.0, "a run was stopped by a failure of Ferry's own");
            }
            other => tracing::error!(cause = %other, "a run was stopped by a failure of Ferry's own"),
        }
        internal("Ferry could not go on with this run; try again, and report it if it happens twice")
    }
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

pub(crate) fn not_an_account() -> Stop {
    failed(
        Reason::DestinationFailed,
        Culprit::User,
        Severity::Permanent,
        "the destination answers, but not as an ActiveCampaign account (HTTP 404); check the host name of the connection",
    )
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
