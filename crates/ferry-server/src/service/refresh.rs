//! The refresh of a tenant's segments.

use super::Call;
use crate::convert;
use ferry_control::Control;
use ferry_control::refresh::StartRefreshCommand;
use ferry_control::refresh_schedule::UpdateRefreshScheduleCommand;
use ferry_proto::v1::refresh_service_server::RefreshService;
use ferry_proto::v1::{self as pb};
use tonic::{Request, Response, Status};

pub(crate) struct RefreshApi {
    control: Control,
}

impl RefreshApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl RefreshService for RefreshApi {
    async fn list_time_zones(
        &self,
        request: Request<pb::ListTimeZonesRequest>,
    ) -> Result<Response<pb::ListTimeZonesResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.list_time_zones(&actor, &message.parent);
        answer.with(found, |zones| pb::ListTimeZonesResponse {
            time_zones: zones.into_iter().map(convert::time_zone).collect(),
        })
    }

    async fn get_refresh_schedule(
        &self,
        request: Request<pb::GetRefreshScheduleRequest>,
    ) -> Result<Response<pb::GetRefreshScheduleResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_refresh_schedule(&actor, &message.name).await;
        answer.with(found, |schedule| pb::GetRefreshScheduleResponse {
            refresh_schedule: Some(convert::refresh_schedule(schedule)),
        })
    }

    async fn update_refresh_schedule(
        &self,
        request: Request<pb::UpdateRefreshScheduleRequest>,
    ) -> Result<Response<pb::UpdateRefreshScheduleResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let written = message.refresh_schedule.unwrap_or_default();
        let command = UpdateRefreshScheduleCommand {
            name: written.name.clone(),
            etag: written.etag.clone(),
            schedule: convert::refresh_schedule_input(written),
            update_mask: message.update_mask.unwrap_or_default().paths,
            request_id: message.request_id,
        };
        let stored = self.control.update_refresh_schedule(&actor, command).await;
        answer.with(stored, |schedule| pb::UpdateRefreshScheduleResponse {
            refresh_schedule: Some(convert::refresh_schedule(schedule)),
        })
    }

    async fn start_refresh(
        &self,
        request: Request<pb::StartRefreshRequest>,
    ) -> Result<Response<pb::StartRefreshResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let failed = message.failed_segments.into_iter().map(|failed| (failed.segment, failed.cause));
        let command = StartRefreshCommand {
            parent: message.parent,
            segments: message.segments,
            failed_segments: failed.collect(),
            request_id: message.request_id,
        };
        let refreshed = self.control.start_refresh(&actor, command).await;
        answer.with(refreshed, |queued| pb::StartRefreshResponse {
            runs: queued.runs.into_iter().map(convert::run).collect(),
            already_running: queued.already_running,
        })
    }
}
