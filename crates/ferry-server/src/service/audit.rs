//! The record.

use super::{Call, page};
use crate::convert;
use ferry_control::{Control, ExportQuery};
use ferry_domain::Error;
use ferry_domain::authz::Token;
use ferry_proto::v1::audit_service_server::AuditService;
use ferry_proto::v1::{self as pb};
use std::pin::Pin;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

pub(crate) struct AuditApi {
    control: Control,
}

impl AuditApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl AuditService for AuditApi {
    async fn list_audit_entries(
        &self,
        request: Request<pb::ListAuditEntriesRequest>,
    ) -> Result<Response<pb::ListAuditEntriesResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_audit_entries(&actor, &message.parent, &message.filter, &page).await;
        answer.with(found, |(listed, next_page_token)| pb::ListAuditEntriesResponse {
            audit_entries: listed.items.into_iter().map(convert::entry).collect(),
            next_page_token,
        })
    }

    type ExportAuditLogStream = Pin<Box<dyn Stream<Item = Result<pb::ExportAuditLogResponse, Status>> + Send>>;

    async fn export_audit_log(
        &self,
        request: Request<pb::ExportAuditLogRequest>,
    ) -> Result<Response<Self::ExportAuditLogStream>, Status> {
        let token = request.extensions().get::<Token>().cloned();
        let (actor, message, answer) = Call::new(request)?.parts();
        let token = token.ok_or_else(|| answer.refuse(Error::Unauthenticated))?;
        let query = ExportQuery {
            parent: message.parent,
            after_number: message.after_number,
            pinned_sizes: message.pinned_sizes,
        };
        let begun = self.control.export_audit_log((&actor, token), &query).await;
        let later = answer.clone();
        answer.with(begun, |items| {
            let items = ReceiverStream::new(items);
            let shown = items.map(move |item| item.map(convert::exported).map_err(|error| later.refuse(error)));
            Box::pin(shown) as Self::ExportAuditLogStream
        })
    }

    async fn find_recipients(
        &self,
        request: Request<pb::FindRecipientsRequest>,
    ) -> Result<Response<pb::FindRecipientsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.find_recipients(&actor, &message.parent, &message.email).await;
        answer.with(found, |found| pb::FindRecipientsResponse {
            recipients: found.into_iter().map(convert::recipient).collect(),
        })
    }

    async fn erase_person(
        &self,
        request: Request<pb::ErasePersonRequest>,
    ) -> Result<Response<pb::ErasePersonResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let pb::ErasePersonRequest { parent, email, request_id } = message;
        let erased = self.control.erase_person(&actor, &parent, &email, &request_id).await;
        answer.with(erased, |receipts| pb::ErasePersonResponse {
            receipts: receipts.into_iter().map(convert::erasure_receipt).collect(),
        })
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_checkpoint(&actor, &message.parent).await;
        answer.with(found, |(proved, key)| pb::GetCheckpointResponse {
            checkpoint: Some(convert::checkpoint(proved, key)),
        })
    }
}
