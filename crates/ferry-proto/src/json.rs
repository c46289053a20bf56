//! Messages as proto3 JSON on one line, as `grpcurl` and other tools of protobuf write them.
//!
//! Names are in lowerCamelCase, 64-bit numbers are texts, and what is empty is left out.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use std::sync::LazyLock;

/// `ferry.v1`, what it imports, and the details of errors, which runs hold.
static POOL: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
    let mut pool = DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).map_err(|error| error.to_string())?;
    let details = prost_types::FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET);
    let details = details.map_err(|error| error.to_string())?.file;
    // Some of its files are ours too, by other paths.
    let is_new = |file: &prost_types::FileDescriptorProto| {
        let known = |name: &str| pool.get_message_by_name(&format!("{}.{name}", file.package())).is_some();
        file.message_type.iter().all(|message| !known(message.name()))
    };
    let new: Vec<_> = details.into_iter().filter(is_new).collect();
    pool.add_file_descriptor_protos(new).map_err(|error| error.to_string())?;
    Ok(pool)
});

/// Why a message cannot be written.
#[derive(Debug)]
pub struct JsonError(String);

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a message cannot be written as JSON: {}", self.0)
    }
}

impl std::error::Error for JsonError {}

/// A message that this crate generated, by its name in the package `ferry.v1`.
pub trait Named: Message {
    /// Like `Run`.
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident),+ $(,)?) => {
        $(impl Named for crate::v1::$message {
            const NAME: &'static str = stringify!($message);
        })+
    };
}

named!(Export, Run, WatchRunsResponse);

/// A message as one line of JSON, without a line's end.
///
/// # Errors
///
/// It holds something that this version of the API does not know.
pub fn line<M: Named>(message: &M) -> Result<String, JsonError> {
    let pool = POOL.as_ref().map_err(|error| JsonError(error.clone()))?;
    let name = format!("ferry.v1.{}", M::NAME);
    let kind = pool.get_message_by_name(&name).ok_or_else(|| JsonError(format!("{name} is not known")))?;
    let dynamic = DynamicMessage::decode(kind, message.encode_to_vec().as_slice());
    let dynamic = dynamic.map_err(|error| JsonError(error.to_string()))?;
    serde_json::to_string(&dynamic).map_err(|error| JsonError(error.to_string()))
}

/// Whether a detail of an error can be written; newer services may send others.
#[must_use]
pub fn is_known(type_url: &str) -> bool {
    let name = type_url.rsplit('/').next().unwrap_or_default();
    POOL.as_ref().is_ok_and(|pool| pool.get_message_by_name(name).is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::v1;
    use tonic_types::{ErrorDetails, StatusExt};

    #[test]
    fn a_run_is_written_as_the_protobuf_documents_say() {
        let details = ErrorDetails::with_error_info("LIST_NOT_FOUND", "ferry.v1", std::collections::HashMap::new());
        let status = tonic::Status::with_error_details(tonic::Code::NotFound, "no list", details);
        let status = tonic_types::Status::decode(status.details()).unwrap();
        let run = v1::Run {
            name: "tenants/acme/exports/weekly/runs/x".to_owned(),
            state: v1::run::State::Failed.into(),
            counts: Some(v1::RunCounts { members: 9_007_199_254_740_993, ..v1::RunCounts::default() }),
            error: Some(v1::RunError { status: Some(status), ..v1::RunError::default() }),
            create_time: Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 250_000_000 }),
            ..v1::Run::default()
        };
        let event = Some(v1::watch_runs_response::Event::Run(run));
        let message = v1::WatchRunsResponse { event, resume_token: "t".to_owned() };
        let line = line(&message).unwrap();
        assert!(!line.contains('\n'));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["resumeToken"], "t");
        assert_eq!(read["run"]["state"], "STATE_FAILED");
        assert_eq!(read["run"]["counts"]["members"], "9007199254740993");
        assert_eq!(read["run"]["createTime"], "2026-11-18T11:06:40.250Z");
        assert_eq!(read["run"]["error"]["status"]["details"][0]["reason"], "LIST_NOT_FOUND");
        assert!(read["run"].get("startTime").is_none());
    }

    #[test]
    fn what_is_not_known_is_refused_and_can_be_told_before() {
        assert!(is_known("type.googleapis.com/google.rpc.BadRequest"));
        assert!(!is_known("type.googleapis.com/ferry.v9.Detail"));
    }
}
