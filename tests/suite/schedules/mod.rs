//! Runs that start by themselves: with the tenant's refresh, by a schedule of their own, all at once; and the life of an
//! export around that.

pub(crate) mod due;
mod exports;
mod lists;
mod refresh;
mod saved;

use ferry_proto::v1 as pb;
use ferry_proto::v1::export_schedule::Schedule;
use ferry_testkit::canary::people;
use ferry_testkit::{Client, Stage, TENANT};
use prost_types::FieldMask;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const SOON: Duration = Duration::from_secs(60);

pub(crate) fn acme() -> String {
    format!("tenants/{TENANT}")
}

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().unwrap().reason)
}

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn with_refresh() -> Option<pb::ExportSchedule> {
    let schedule = Some(Schedule::WithRefresh(pb::export_schedule::WithRefresh {}));
    Some(pb::ExportSchedule { schedule })
}

fn off() -> Option<pb::ExportSchedule> {
    Some(pb::ExportSchedule { schedule: Some(Schedule::Off(pb::export_schedule::Off {})) })
}

pub(crate) fn own(cron: &str, time_zone: &str) -> Option<pb::ExportSchedule> {
    let recurrence = pb::export_schedule::Recurrence { cron: cron.to_owned(), time_zone: time_zone.to_owned() };
    Some(pb::ExportSchedule { schedule: Some(Schedule::Recurrence(recurrence)) })
}

/// A stage with a segment of some people and a connection.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3).as_bytes());
    stage.create_connection("newsletter").await;
    stage
}

async fn make(stage: &Stage, id: &str, schedule: Option<pb::ExportSchedule>) -> pb::Export {
    stage.create_export(id, pb::Export { schedule, ..stage.export("newsletter", "people") }).await
}

async fn get(client: &mut Client, name: &str) -> pb::Export {
    let request = pb::GetExportRequest { name: name.to_owned() };
    client.exports.get_export(request).await.unwrap().into_inner().export.unwrap()
}

async fn runs(client: &mut Client, export: &str) -> Vec<pb::Run> {
    let request = pb::ListRunsRequest { parent: export.to_owned(), page_size: 500, ..Default::default() };
    client.runs.list_runs(request).await.unwrap().into_inner().runs
}

async fn start_refresh(
    client: &mut Client,
    segments: &[&str],
    failed: &[(&str, &str)],
) -> Result<pb::StartRefreshResponse, Status> {
    let named = |id: &str| format!("{}/segments/{id}", acme());
    let failed = failed.iter().map(|(id, cause)| pb::FailedSegment { segment: named(id), cause: (*cause).to_owned() });
    let request = pb::StartRefreshRequest {
        parent: acme(),
        segments: segments.iter().map(|id| named(id)).collect(),
        failed_segments: failed.collect(),
        ..Default::default()
    };
    client.refresh.start_refresh(request).await.map(tonic::Response::into_inner)
}
