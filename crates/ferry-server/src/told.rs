//! What the operational stream is told of calls: of each that only reads, and of each that failed. A change that was
//! made stands in the audit log instead.

use crate::limits::method::Streaming;
use crate::listener::Remote;
use crate::status::Asked;
use ferry_domain::Timestamp;
use ferry_domain::authz::{held, policy, required};
use ferry_domain::event::{ApiEvent, Ended, OPERATIONAL};
use ferry_domain::name::tenant_in;
use ferry_domain::{ConnectionAccess, TenantId};
use http::Response;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Level;

/// A call has its answer, or the head of it.
pub(crate) fn tell(
    methods: &Streaming,
    path: &str,
    asked: &Asked,
    remote: Option<Remote>,
    took: Duration,
    response: &Response<Body>,
) {
    if !tracing::enabled!(target: OPERATIONAL, Level::INFO) {
        return;
    }
    // A path that is no RPC is whatever its caller wrote.
    let Some(rule) = path.strip_prefix("/ferry.v1.").and_then(policy::find) else { return };
    let code = answered(response);
    if code == Code::Ok && !methods.only_reads(path) {
        return;
    }
    let tenant = tenant_in(asked.resource());
    let role = asked.actor().map_or("", |actor| held(actor, tenant.as_ref(), rule.least));
    let event = ApiEvent {
        time: now(),
        method: rule.method,
        // Of what the caller wrote only that is told which may be a name.
        resource: if tenant.is_some() { cut(asked.resource()) } else { "" },
        tenant: tenant.as_ref().map_or("", TenantId::as_str),
        ended: ended(code),
        code: word(code),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        origin: &remote.map(|remote| remote.addr.to_string()).unwrap_or_default(),
        role,
        required: required(rule.least, Some(ConnectionAccess::AdministratorsAndContributors)),
        correlation_id: asked.id(),
    };
    tracing::info!(target: OPERATIONAL, line = event.line());
}

/// Up to the first character that no name holds.
fn cut(resource: &str) -> &str {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_uppercase() || c.is_ascii_digit() || "-/".contains(c);
    let end = resource.find(|c| !plain(c)).unwrap_or(resource.len());
    &resource[..end.min(512)]
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn ended(code: Code) -> Ended {
    match code {
        Code::Ok => Ended::Success,
        Code::Internal
        | Code::Unknown
        | Code::DataLoss
        | Code::Unavailable
        | Code::Unimplemented
        | Code::DeadlineExceeded => Ended::Failure,
        _ => Ended::ClientError,
    }
}

/// What the head of an answer says of the call. Where nobody serves a path, tonic says so in the headers alone.
pub(crate) fn answered<B>(response: &Response<B>) -> Code {
    let told = response.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    response.extensions().get::<Status>().map(Status::code).or(told).unwrap_or(Code::Ok)
}

/// The name of a code.
pub(crate) fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
