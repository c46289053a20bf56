//! Leave policies and their guard, approvals, and plans that are carried out while they stand.

pub(crate) mod held;
mod plans;
mod policies;

use ferry_proto::v1 as pb;
use ferry_proto::v1::leave_policy::{Policy, SetField};
use ferry_testkit::Stage;
use ferry_testkit::canary::people;
use prost_types::FieldMask;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const SOON: Duration = Duration::from_secs(60);

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().unwrap().reason)
}

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

fn policy(policy: Policy) -> Option<pb::LeavePolicy> {
    Some(pb::LeavePolicy { policy: Some(policy) })
}

fn set_field(field: i32, member: &str, left: &str) -> Option<pb::LeavePolicy> {
    policy(Policy::SetField(SetField { field, member_value: member.to_owned(), left_value: left.to_owned() }))
}

/// A stage with a segment of some people, a connection, and an export of them.
async fn stage() -> (Stage, pb::Export) {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(5).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    (stage, export)
}

async fn update(stage: &Stage, export: pb::Export, paths: &[&str]) -> Result<pb::Export, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = pb::UpdateExportRequest {
        export: Some(pb::Export { etag: String::new(), ..export }),
        update_mask: Some(FieldMask { paths }),
        ..pb::UpdateExportRequest::default()
    };
    let mut client = stage.client("administrator").await;
    client.exports.update_export(request).await.map(|answer| answer.into_inner().export.unwrap())
}
