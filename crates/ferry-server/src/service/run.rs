//! Runs.

use super::{Call, page, unbuilt};
use crate::convert;
use ferry_control::Control;
use ferry_proto::v1::run_service_server::RunService;
use ferry_proto::v1::{self as pb};
use tonic::{Request, Response, Status};

pub(crate) struct RunApi {
    control: Control,
}

impl RunApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl RunService for RunApi {
    async fn get_run(&self, request: Request<pb::GetRunRequest>) -> Result<Response<pb::GetRunResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_run(&actor, &message.name).await;
        answer.with(found, |(run, samples)| pb::GetRunResponse { run: Some(convert::run_with(run, samples)) })
    }

    async fn list_runs(&self, request: Request<pb::ListRunsRequest>) -> Result<Response<pb::ListRunsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_runs(&actor, &message.parent, &page).await;
        answer.with(found, |(listed, next_page_token)| pb::ListRunsResponse {
            runs: listed.items.into_iter().map(convert::run).collect(),
            next_page_token,
        })
    }

    async fn cancel_run(
        &self,
        request: Request<pb::CancelRunRequest>,
    ) -> Result<Response<pb::CancelRunResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let stopped = self.control.cancel_run(&actor, &message.name, &message.request_id).await;
        answer.with(stopped, |stopped| pb::CancelRunResponse { run: Some(convert::run(stopped)) })
    }

    async fn list_rejected_profiles(
        &self,
        request: Request<pb::ListRejectedProfilesRequest>,
    ) -> Result<Response<pb::ListRejectedProfilesResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_rejected(&actor, &message.name, &page).await;
        answer.with(found, |(rows, next_page_token)| pb::ListRejectedProfilesResponse {
            rejected_profiles: rows.into_iter().map(convert::rejected).collect(),
            next_page_token,
        })
    }

    async fn approve_run(
        &self,
        request: Request<pb::ApproveRunRequest>,
    ) -> Result<Response<pb::ApproveRunResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let approved = self.control.approve_run(&actor, &message.name, &message.etag, &message.request_id).await;
        answer.with(approved, |approved| pb::ApproveRunResponse { run: Some(convert::run(approved)) })
    }

    type WatchRunsStream = tokio_stream::Empty<Result<pb::WatchRunsResponse, Status>>;

    async fn watch_runs(
        &self,
        request: Request<pb::WatchRunsRequest>,
    ) -> Result<Response<Self::WatchRunsStream>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.watch_runs(&actor, &message.parent))
    }
}
