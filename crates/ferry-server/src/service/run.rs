//! Runs.

use super::{Answer, Call, page};
use crate::convert;
use crate::limits::{Watchers, Watching};
use crate::status::with_token;
use ferry_control::{Control, Watch, WatchQuery};
use ferry_domain::Error;
use ferry_domain::authz::Token;
use ferry_proto::v1::run_service_server::RunService;
use ferry_proto::v1::{self as pb};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

pub(crate) struct RunApi {
    control: Control,
    watchers: Watchers,
}

impl RunApi {
    pub(crate) fn new(control: Control, watchers: Watchers) -> Self {
        Self { control, watchers }
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

    type WatchRunsStream = WatchStream;

    async fn watch_runs(
        &self,
        request: Request<pb::WatchRunsRequest>,
    ) -> Result<Response<Self::WatchRunsStream>, Status> {
        let token = request.extensions().get::<Token>().cloned();
        let (actor, message, answer) = Call::new(request)?.parts();
        let token = token.ok_or_else(|| answer.refuse(Error::Unauthenticated))?;
        let pb::WatchRunsRequest { parent, run, resume_token } = message;
        let query = WatchQuery { parent, run, resume_token };
        let begun = self.control.watch_runs((&actor, token), &query).await;
        let watch = begun.map_err(|error| answer.refuse(error))?;
        // A tenant's places are for those who may watch it.
        let places = self.watchers.take(actor.subject(), watch.tenant());
        let places = places.map_err(|error| answer.refuse(error))?;
        let last_token = watch.last_token();
        let mut response = Response::new(WatchStream { watch, answer, _places: places });
        response.extensions_mut().insert(last_token);
        Ok(response)
    }
}

/// What one who watches is told, with their places.
pub(crate) struct WatchStream {
    watch: Watch,
    answer: Answer,
    _places: Watching,
}

impl Stream for WatchStream {
    type Item = Result<pb::WatchRunsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(item) = ready!(self.watch.poll_next(context)) else { return Poll::Ready(None) };
        Poll::Ready(Some(item.map(convert::watched).map_err(|error| {
            let token = self.watch.last_token().get();
            with_token(&self.answer.refuse(error), token.as_deref())
        })))
    }
}
