//! Services of which nothing is built yet. Their callers are authenticated all the same.

use super::unbuilt;
use ferry_proto::v1::audit_service_server::AuditService;
use ferry_proto::v1::notification_service_server::NotificationService;
use ferry_proto::v1::refresh_service_server::RefreshService;
use ferry_proto::v1::{self as pb};
use tonic::{Request, Response, Status};

pub(crate) struct NotificationApi;

#[tonic::async_trait]
impl NotificationService for NotificationApi {
    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Result<Response<pb::ListNotificationsResponse>, Status> {
        unbuilt(request, "NotificationService/ListNotifications")
    }

    async fn create_webhook(
        &self,
        request: Request<pb::CreateWebhookRequest>,
    ) -> Result<Response<pb::CreateWebhookResponse>, Status> {
        unbuilt(request, "NotificationService/CreateWebhook")
    }

    async fn get_webhook(
        &self,
        request: Request<pb::GetWebhookRequest>,
    ) -> Result<Response<pb::GetWebhookResponse>, Status> {
        unbuilt(request, "NotificationService/GetWebhook")
    }

    async fn list_webhooks(
        &self,
        request: Request<pb::ListWebhooksRequest>,
    ) -> Result<Response<pb::ListWebhooksResponse>, Status> {
        unbuilt(request, "NotificationService/ListWebhooks")
    }

    async fn update_webhook(
        &self,
        request: Request<pb::UpdateWebhookRequest>,
    ) -> Result<Response<pb::UpdateWebhookResponse>, Status> {
        unbuilt(request, "NotificationService/UpdateWebhook")
    }

    async fn delete_webhook(
        &self,
        request: Request<pb::DeleteWebhookRequest>,
    ) -> Result<Response<pb::DeleteWebhookResponse>, Status> {
        unbuilt(request, "NotificationService/DeleteWebhook")
    }

    async fn test_webhook(
        &self,
        request: Request<pb::TestWebhookRequest>,
    ) -> Result<Response<pb::TestWebhookResponse>, Status> {
        unbuilt(request, "NotificationService/TestWebhook")
    }
}

pub(crate) struct RefreshApi;

#[tonic::async_trait]
impl RefreshService for RefreshApi {
    async fn list_time_zones(
        &self,
        request: Request<pb::ListTimeZonesRequest>,
    ) -> Result<Response<pb::ListTimeZonesResponse>, Status> {
        unbuilt(request, "RefreshService/ListTimeZones")
    }

    async fn get_refresh_schedule(
        &self,
        request: Request<pb::GetRefreshScheduleRequest>,
    ) -> Result<Response<pb::GetRefreshScheduleResponse>, Status> {
        unbuilt(request, "RefreshService/GetRefreshSchedule")
    }

    async fn update_refresh_schedule(
        &self,
        request: Request<pb::UpdateRefreshScheduleRequest>,
    ) -> Result<Response<pb::UpdateRefreshScheduleResponse>, Status> {
        unbuilt(request, "RefreshService/UpdateRefreshSchedule")
    }

    async fn start_refresh(
        &self,
        request: Request<pb::StartRefreshRequest>,
    ) -> Result<Response<pb::StartRefreshResponse>, Status> {
        unbuilt(request, "RefreshService/StartRefresh")
    }
}

pub(crate) struct AuditApi;

#[tonic::async_trait]
impl AuditService for AuditApi {
    async fn list_audit_entries(
        &self,
        request: Request<pb::ListAuditEntriesRequest>,
    ) -> Result<Response<pb::ListAuditEntriesResponse>, Status> {
        unbuilt(request, "AuditService/ListAuditEntries")
    }

    type ExportAuditLogStream = tokio_stream::Empty<Result<pb::ExportAuditLogResponse, Status>>;

    async fn export_audit_log(
        &self,
        request: Request<pb::ExportAuditLogRequest>,
    ) -> Result<Response<Self::ExportAuditLogStream>, Status> {
        unbuilt(request, "AuditService/ExportAuditLog")
    }

    async fn find_recipients(
        &self,
        request: Request<pb::FindRecipientsRequest>,
    ) -> Result<Response<pb::FindRecipientsResponse>, Status> {
        unbuilt(request, "AuditService/FindRecipients")
    }

    async fn erase_person(
        &self,
        request: Request<pb::ErasePersonRequest>,
    ) -> Result<Response<pb::ErasePersonResponse>, Status> {
        unbuilt(request, "AuditService/ErasePerson")
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        unbuilt(request, "AuditService/GetCheckpoint")
    }
}
