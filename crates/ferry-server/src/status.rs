//! The one mapping from [`Error`] to a status. There is no default arm: an error without a line here does not compile.

use ferry_domain::authz::Actor;
use ferry_domain::error::Refusal;
use ferry_domain::{Error, Reason};
use std::sync::{Arc, OnceLock};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "ferry.v1";
/// In the metadata of `ErrorInfo`.
const RESUME_TOKEN: &str = "resume_token";

/// A request on its way: its id, for the caller and for the log, and what is noted of it for the edge. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Asked(Arc<Notes>);

#[derive(Debug)]
struct Notes {
    id: String,
    resource: OnceLock<String>,
    refusal: OnceLock<Refusal>,
    actor: OnceLock<Actor>,
}

impl Asked {
    pub(crate) fn new(id: String) -> Self {
        Self(Arc::new(Notes { id, resource: OnceLock::new(), refusal: OnceLock::new(), actor: OnceLock::new() }))
    }

    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// Notes who asks.
    pub(crate) fn by(&self, actor: &Actor) {
        let _first = self.0.actor.set(actor.clone());
    }

    /// Who asks, once that is known.
    pub(crate) fn actor(&self) -> Option<&Actor> {
        self.0.actor.get()
    }

    /// Notes what the request is about.
    pub(crate) fn about(&self, resource: Option<&str>) {
        let _first = self.0.resource.set(resource.unwrap_or_default().to_owned());
    }

    /// What the request is about; empty on the operator's plane, or if it was not read.
    pub(crate) fn resource(&self) -> &str {
        self.0.resource.get().map_or("", String::as_str)
    }

    /// What was refused for want of a right. Set by [`status`], so there is no answer without it.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.get()
    }
}

/// The status that a caller gets.
pub(crate) fn status(error: Error, asked: &Asked) -> Status {
    let message = error.to_string();
    if let Some(refusal) = error.refusal() {
        let _first = asked.0.refusal.set(refusal);
    }
    let mut details = ErrorDetails::new();
    let (code, reason) = match error {
        Error::InvalidArgument(violations) => {
            let reason = violations.first().map_or(Reason::InvalidFields, |violation| violation.reason);
            for violation in &violations {
                details.add_bad_request_violation(&violation.field, &violation.description);
            }
            (Code::InvalidArgument, reason)
        }
        Error::Unauthenticated => (Code::Unauthenticated, Reason::TokenInvalid),
        Error::PermissionDenied { permission, .. } => {
            // Who it was is personal, and stands in the audit log.
            tracing::info!(request.id = %asked.id(), permission, "a request was denied");
            (Code::PermissionDenied, Reason::RoleTooLow)
        }
        Error::OwnRun { permission, .. } => {
            tracing::info!(request.id = %asked.id(), permission, "a request was denied to who started the run");
            (Code::PermissionDenied, Reason::OwnRun)
        }
        Error::NotFound { kind, name } => {
            details.set_resource_info(kind, name, "", "it does not exist");
            (Code::NotFound, Reason::ResourceNotFound)
        }
        Error::AlreadyRemoved { kind, name, .. } => {
            details.set_resource_info(kind, name, "", "it was removed");
            (Code::NotFound, Reason::ResourceNotFound)
        }
        Error::AlreadyExists { reason, kind, name } => {
            details.set_resource_info(kind, name, "", "it exists");
            (Code::AlreadyExists, reason)
        }
        Error::FailedPrecondition { reason, causes, .. } => {
            for cause in causes {
                details.add_precondition_failure_violation(cause.kind, cause.subject, cause.description);
            }
            (Code::FailedPrecondition, reason)
        }
        Error::Aborted { .. } => (Code::Aborted, Reason::EtagMismatch),
        Error::ResourceExhausted { retry_after, .. } => {
            details.set_retry_info(Some(retry_after));
            (Code::ResourceExhausted, Reason::QuotaExceeded)
        }
        Error::DestinationBusy { retry_after } => {
            details.set_retry_info(Some(retry_after));
            (Code::Unavailable, Reason::DestinationRateLimited)
        }
        Error::ResumeTokenExpired => (Code::OutOfRange, Reason::ResumeTokenExpired),
        Error::Unimplemented(_) => (Code::Unimplemented, Reason::NotImplemented),
        Error::Unavailable(inside) => {
            tracing::error!(request.id = %asked.id(), cause = %inside.0, "a request could not be served");
            details.set_retry_info(Some(std::time::Duration::from_secs(1)));
            (Code::Unavailable, Reason::Unavailable)
        }
        Error::Internal(inside) => {
            tracing::error!(request.id = %asked.id(), cause = %inside.0, "a request failed by a fault of Ferry's own");
            details.set_request_info(asked.id(), "");
            (Code::Internal, Reason::Internal)
        }
    };
    details.set_error_info(reason.as_str(), DOMAIN, std::collections::HashMap::new());
    Status::with_error_details(code, message, details)
}

/// The end of a watcher's stream, with the token that goes on from there.
pub(crate) fn with_token(ended: &Status, token: Option<&str>) -> Status {
    let Some(token) = token else { return ended.clone() };
    let mut details = ended.get_error_details();
    let reason = details.error_info().map_or_else(|| Reason::Unavailable.as_str(), |info| info.reason.clone());
    let more = std::collections::HashMap::from([(RESUME_TOKEN.to_owned(), token.to_owned())]);
    details.set_error_info(reason, DOMAIN, more);
    Status::with_error_details(ended.code(), ended.message(), details)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use ferry_domain::error::Inside;

    fn mapped(error: Error) -> (Code, String, Status) {
        let status = status(error, &Asked::new("id-1".to_owned()));
        (status.code(), status.get_details_error_info().unwrap().reason, status)
    }

    #[test]
    fn what_is_inside_stays_inside() {
        for error in [Error::Internal(Inside("canary".to_owned())), Error::Unavailable(Inside("canary".to_owned()))] {
            let (_, _, status) = mapped(error);
            assert!(!format!("{status:?}").contains("canary"));
        }
        let (code, reason, status) = mapped(Error::Internal(Inside(String::new())));
        assert_eq!((code, reason.as_str()), (Code::Internal, "INTERNAL"));
        assert_eq!(status.get_details_request_info().unwrap().request_id, "id-1");
    }

    #[test]
    fn every_violation_is_told() {
        let mut violations = ferry_domain::Violations::new();
        violations.add("a", "one");
        violations.add("b", "two");
        let (code, reason, status) = mapped(violations.into_error());
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 2);
    }
}
