//! The one error type. The edge maps it to a gRPC status by an exhaustive match; nothing else does.
//!
//! Texts are for the caller. What only an operator may read is an [`Inside`], which has no `Display` and so cannot
//! slip into an answer.

use crate::Timestamp;
use crate::violation::Violation;
use serde::{Deserialize, Serialize};

/// What went wrong, or `T`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The machine-readable cause, the same words as `ferry.v1.ErrorReason` without its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "each value is described, with an example, in proto/ferry/v1/error_reason.proto")]
pub enum Reason {
    InvalidFields,
    PageTokenInvalid,
    RequestIdReused,
    TokenInvalid,
    RoleTooLow,
    ResourceNotFound,
    ResourceExists,
    RunInProgress,
    EtagMismatch,
    ConsentRequired,
    ConsentTextStale,
    ConnectionInUse,
    ConnectionNotReady,
    ConnectionRemoved,
    ExportUserLost,
    SecretUnavailable,
    OwnRun,
    RunNotHeld,
    CredentialsRefused,
    HostUnreachable,
    AccountLapsed,
    AccountFull,
    HostNotAllowed,
    DestinationFailed,
    DestinationRateLimited,
    ListNotFound,
    FieldNotFound,
    ColumnNotFound,
    SegmentNotFound,
    SegmentUnreadable,
    SegmentChangedDuringRead,
    SegmentEmpty,
    SegmentFailed,
    SegmentInactive,
    TooManyProfiles,
    ExportDetached,
    RunNotCancellable,
    RunNotFinished,
    OutcomeUnknown,
    TimedOut,
    CancelledByCaller,
    PlanExpired,
    QuotaExceeded,
    ResumeTokenExpired,
    NotImplemented,
    DeadlineExceeded,
    Unavailable,
    Internal,
}

impl Reason {
    /// The word that goes into `ErrorInfo.reason`.
    #[must_use]
    pub fn as_str(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word,
            _ => "INTERNAL".to_owned(),
        }
    }
}

/// What an operator needs and a caller must not see. Written to the log once, where the error is answered.
#[derive(Debug)]
pub struct Inside(pub String);

/// One state that forbids what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// The kind of obstacle, upper snake case.
    pub kind: &'static str,
    /// The resource that stands in the way.
    pub subject: String,
    /// What it is and what to do.
    pub description: String,
}

/// Everything an RPC can answer instead of its response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields that cannot be taken as they are; all of them.
    #[error("the request has {} invalid field(s)", .0.len())]
    InvalidArgument(Vec<Violation>),
    /// No valid token. One text for all causes.
    #[error("the request has no valid access token")]
    Unauthenticated,
    /// The caller may not do this; `resource` is as the caller wrote it.
    #[error("`{permission}` on `{resource}` is not allowed for this caller")]
    PermissionDenied {
        /// The RPC, as the permission to call it.
        permission: &'static str,
        /// The resource's name as the caller wrote it.
        resource: String,
    },
    /// It takes another person than the one who started the run.
    #[error("`{permission}` on `{resource}` takes another administrator than the one who started it")]
    OwnRun {
        /// The RPC.
        permission: &'static str,
        /// The run.
        resource: String,
    },
    /// The parent may be seen, and has no such child.
    #[error("{kind} `{name}` does not exist")]
    NotFound {
        /// `connection`, `export`, ….
        kind: &'static str,
        /// Its full name.
        name: String,
    },
    /// It was there, and was removed.
    #[error("{kind} `{name}` was already removed, at {}; audit entry {entry} of its tenant says how", .time.to_rfc3339())]
    AlreadyRemoved {
        /// `connection`.
        kind: &'static str,
        /// Its full name.
        name: String,
        /// When.
        time: Timestamp,
        /// The number of the tenant's audit entry that records it.
        entry: u64,
    },
    /// The id is taken, or a run is going on.
    #[error("{kind} `{name}` already exists")]
    AlreadyExists {
        /// `RESOURCE_EXISTS` or `RUN_IN_PROGRESS`.
        reason: Reason,
        /// `connection`, `export`, `run`, ….
        kind: &'static str,
        /// The full name of the one that exists.
        name: String,
    },
    /// A state forbids it; the caller changes the state first.
    #[error("{message}")]
    FailedPrecondition {
        /// The machine-readable cause.
        reason: Reason,
        /// What stands in the way and what to do.
        message: String,
        /// Each obstacle.
        causes: Vec<Precondition>,
    },
    /// Somebody else changed it meanwhile: read again, then repeat the whole.
    #[error("`{name}` was changed since it was read; read it again and repeat")]
    Aborted {
        /// The resource's full name.
        name: String,
    },
    /// A limit of this tenant is reached.
    #[error("{message}")]
    ResourceExhausted {
        /// Which limit, and its value.
        message: String,
        /// When to try again.
        retry_after: std::time::Duration,
    },
    /// The destination asked to be left alone for a while, or its limits are used up just now.
    #[error("the destination asked for a wait, or its limits are used up; try again in {} s", .retry_after.as_secs() + 1)]
    DestinationBusy {
        /// When to try again.
        retry_after: std::time::Duration,
    },
    /// A watcher comes back with a token from before the kept log.
    #[error("the resume token is older than the kept log of a day; begin again without one")]
    ResumeTokenExpired,
    /// The RPC exists in the API and is not built yet.
    #[error("`{0}` is not implemented yet")]
    Unimplemented(&'static str),
    /// Something Ferry needs cannot be reached just now.
    #[error("the service is unavailable; try again")]
    Unavailable(Inside),
    /// Anything else: the caller gets a fixed text and a request id.
    #[error("internal error")]
    Internal(Inside),
}

/// What was refused to a caller for want of a right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The RPC.
    pub permission: &'static str,
    /// The resource's name as the caller wrote it.
    pub resource: String,
    /// `ROLE_TOO_LOW` or `OWN_RUN`.
    pub reason: Reason,
}

impl Error {
    /// What was refused, if this is a want of rights: such a call goes on record before it is answered.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        let (permission, resource, reason) = match self {
            Self::PermissionDenied { permission, resource } => (permission, resource, Reason::RoleTooLow),
            Self::OwnRun { permission, resource } => (permission, resource, Reason::OwnRun),
            _ => return None,
        };
        Some(Refusal { permission, resource: resource.clone(), reason })
    }

    /// An internal error from any cause, whose text stays inside.
    pub fn internal(context: &str, cause: impl std::fmt::Display) -> Self {
        Self::Internal(Inside(format!("{context}: {cause}")))
    }

    /// A single invalid field.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::InvalidArgument(vec![Violation {
            field: field.into(),
            description: description.into(),
            reason: Reason::InvalidFields,
        }])
    }

    /// A state that forbids what was asked, with one obstacle.
    pub fn precondition(
        reason: Reason,
        kind: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        let cause = Precondition { kind, subject: subject.into(), description: message.clone() };
        Self::FailedPrecondition { reason, message, causes: vec![cause] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_upper_snake_case() {
        assert_eq!(Reason::SegmentChangedDuringRead.as_str(), "SEGMENT_CHANGED_DURING_READ");
    }
}
