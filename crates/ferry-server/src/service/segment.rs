//! Segments.

use super::{Call, page};
use crate::convert;
use ferry_control::{Control, segment};
use ferry_proto::v1::segment_service_server::SegmentService;
use ferry_proto::v1::{self as pb};
use tonic::{Request, Response, Status};

pub(crate) struct SegmentApi {
    control: Control,
}

impl SegmentApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl SegmentService for SegmentApi {
    async fn list_segments(
        &self,
        request: Request<pb::ListSegmentsRequest>,
    ) -> Result<Response<pb::ListSegmentsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_segments(&actor, &message.parent, &page).await;
        answer.with(found, |(listed, next_page_token)| pb::ListSegmentsResponse {
            segments: listed.items.into_iter().map(convert::segment).collect(),
            next_page_token,
        })
    }

    async fn get_segment(
        &self,
        request: Request<pb::GetSegmentRequest>,
    ) -> Result<Response<pb::GetSegmentResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_segment(&actor, &message.name).await;
        answer.with(found, |found| pb::GetSegmentResponse { segment: Some(convert::segment(found)) })
    }

    async fn preview_segment(
        &self,
        request: Request<pb::PreviewSegmentRequest>,
    ) -> Result<Response<pb::PreviewSegmentResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.preview_segment(&actor, &message.name, message.row_count).await;
        answer.with(found, |preview| pb::PreviewSegmentResponse {
            columns: preview.columns.into_iter().map(segment::column).map(convert::column).collect(),
            rows: preview
                .rows
                .into_iter()
                .map(|cells| pb::PreviewRow { cells: cells.into_iter().map(Option::unwrap_or_default).collect() })
                .collect(),
        })
    }
}
