//! Services of which nothing is built yet. Their callers are authenticated and asked for their role all the same.

use super::{Call, unbuilt};
use ferry_control::Control;
use ferry_domain::authz::action::{
    CreateWebhook, DeleteWebhook, GetRefreshSchedule, GetWebhook, ListNotifications, ListTimeZones, ListWebhooks,
    StartRefresh, TestWebhook, UpdateRefreshSchedule, UpdateWebhook,
};
use ferry_proto::v1::notification_service_server::NotificationService;
use ferry_proto::v1::refresh_service_server::RefreshService;
use ferry_proto::v1::{self as pb};
use tonic::{Request, Response, Status};

pub(crate) struct NotificationApi {
    control: Control,
}

impl NotificationApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl NotificationService for NotificationApi {
    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Result<Response<pb::ListNotificationsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<ListNotifications>(&actor, &message.parent))
    }

    async fn create_webhook(
        &self,
        request: Request<pb::CreateWebhookRequest>,
    ) -> Result<Response<pb::CreateWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<CreateWebhook>(&actor, &message.parent))
    }

    async fn get_webhook(
        &self,
        request: Request<pb::GetWebhookRequest>,
    ) -> Result<Response<pb::GetWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<GetWebhook>(&actor, &message.name))
    }

    async fn list_webhooks(
        &self,
        request: Request<pb::ListWebhooksRequest>,
    ) -> Result<Response<pb::ListWebhooksResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<ListWebhooks>(&actor, &message.parent))
    }

    async fn update_webhook(
        &self,
        request: Request<pb::UpdateWebhookRequest>,
    ) -> Result<Response<pb::UpdateWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<UpdateWebhook>(&actor, &message.webhook.unwrap_or_default().name))
    }

    async fn delete_webhook(
        &self,
        request: Request<pb::DeleteWebhookRequest>,
    ) -> Result<Response<pb::DeleteWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<DeleteWebhook>(&actor, &message.name))
    }

    async fn test_webhook(
        &self,
        request: Request<pb::TestWebhookRequest>,
    ) -> Result<Response<pb::TestWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<TestWebhook>(&actor, &message.name))
    }
}

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
        unbuilt(&answer, self.control.unbuilt::<ListTimeZones>(&actor, &message.parent))
    }

    async fn get_refresh_schedule(
        &self,
        request: Request<pb::GetRefreshScheduleRequest>,
    ) -> Result<Response<pb::GetRefreshScheduleResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<GetRefreshSchedule>(&actor, &message.name))
    }

    async fn update_refresh_schedule(
        &self,
        request: Request<pb::UpdateRefreshScheduleRequest>,
    ) -> Result<Response<pb::UpdateRefreshScheduleResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(
            &answer,
            self.control.unbuilt::<UpdateRefreshSchedule>(&actor, &message.refresh_schedule.unwrap_or_default().name),
        )
    }

    async fn start_refresh(
        &self,
        request: Request<pb::StartRefreshRequest>,
    ) -> Result<Response<pb::StartRefreshResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        unbuilt(&answer, self.control.unbuilt::<StartRefresh>(&actor, &message.parent))
    }
}
