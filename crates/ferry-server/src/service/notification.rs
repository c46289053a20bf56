//! Notifications, and webhooks that get them.

use super::{Call, page};
use crate::convert;
use ferry_control::Control;
use ferry_control::webhook::{CreateWebhookCommand, UpdateWebhookCommand};
use ferry_proto::v1::notification_service_server::NotificationService;
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
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_notifications(&actor, &message.parent, &page).await;
        answer.with(found, |(listed, next_page_token)| pb::ListNotificationsResponse {
            notifications: listed.items.into_iter().map(convert::notification).collect(),
            next_page_token,
        })
    }

    async fn create_webhook(
        &self,
        request: Request<pb::CreateWebhookRequest>,
    ) -> Result<Response<pb::CreateWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let command = CreateWebhookCommand {
            parent: message.parent,
            webhook_id: message.webhook_id,
            webhook: convert::webhook_input(message.webhook.unwrap_or_default()),
            request_id: message.request_id,
        };
        let stored = self.control.create_webhook(&actor, command).await;
        answer.with(stored, |(webhook, secret)| convert::created_webhook(webhook, secret.as_ref()))
    }

    async fn get_webhook(
        &self,
        request: Request<pb::GetWebhookRequest>,
    ) -> Result<Response<pb::GetWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_webhook(&actor, &message.name).await;
        answer.with(found, |webhook| pb::GetWebhookResponse { webhook: Some(convert::webhook(webhook)) })
    }

    async fn list_webhooks(
        &self,
        request: Request<pb::ListWebhooksRequest>,
    ) -> Result<Response<pb::ListWebhooksResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_webhooks(&actor, &message.parent, &page).await;
        answer.with(found, |(listed, next_page_token)| pb::ListWebhooksResponse {
            webhooks: listed.items.into_iter().map(convert::webhook).collect(),
            next_page_token,
        })
    }

    async fn update_webhook(
        &self,
        request: Request<pb::UpdateWebhookRequest>,
    ) -> Result<Response<pb::UpdateWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let written = message.webhook.unwrap_or_default();
        let command = UpdateWebhookCommand {
            name: written.name.clone(),
            etag: written.etag.clone(),
            webhook: convert::webhook_input(written),
            update_mask: message.update_mask.unwrap_or_default().paths,
            request_id: message.request_id,
        };
        let stored = self.control.update_webhook(&actor, command).await;
        answer.with(stored, |webhook| pb::UpdateWebhookResponse { webhook: Some(convert::webhook(webhook)) })
    }

    async fn delete_webhook(
        &self,
        request: Request<pb::DeleteWebhookRequest>,
    ) -> Result<Response<pb::DeleteWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let removed = self.control.delete_webhook(&actor, &message.name, &message.etag, &message.request_id).await;
        answer.with(removed, |()| pb::DeleteWebhookResponse {})
    }

    async fn test_webhook(
        &self,
        request: Request<pb::TestWebhookRequest>,
    ) -> Result<Response<pb::TestWebhookResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let posted = self.control.test_webhook(&actor, &message.name).await;
        answer.with(posted, |posted| pb::TestWebhookResponse {
            http_status: posted.status.map_or(0, i32::from),
            message: posted.message,
        })
    }
}
