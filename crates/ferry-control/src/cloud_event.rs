//! Notifications as CloudEvents 1.0, in structured JSON: what a receiver gets.

use ferry_domain::{Error, Notification, Result, Timestamp, WebhookName};
use serde::Serialize;

/// The type of the body.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// An event. Its id is the notification's, and its source the tenant.
#[derive(Serialize)]
pub(crate) struct CloudEvent {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: Data,
}

/// A notification as the API tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    name: String,
    kind: String,
    subject: String,
    reason: String,
    message: String,
    create_time: String,
}

impl CloudEvent {
    /// Of a notification: the same whenever it is made.
    pub(crate) fn of(notification: &Notification) -> Self {
        let word = notification.kind.as_str();
        Self::new(
            notification.name.notification.as_str(),
            &format!("/ferry/tenants/{}", notification.name.tenant),
            word,
            Data {
                name: notification.name.to_string(),
                kind: format!("KIND_{}", word.to_ascii_uppercase()),
                subject: notification.subject.clone(),
                reason: notification.reason.clone(),
                message: notification.message.clone(),
                create_time: notification.create_time.to_rfc3339(),
            },
        )
    }

    /// A trial, which no notification stands behind.
    pub(crate) fn trial(id: &str, webhook: &WebhookName, now: Timestamp) -> Self {
        Self::new(
            id,
            &format!("/ferry/tenants/{}", webhook.tenant),
            "test",
            Data {
                name: String::new(),
                kind: "KIND_UNSPECIFIED".to_owned(),
                subject: webhook.to_string(),
                reason: String::new(),
                message: "An administrator tries this webhook. Nothing has happened".to_owned(),
                create_time: now.to_rfc3339(),
            },
        )
    }

    fn new(id: &str, source: &str, word: &str, data: Data) -> Self {
        Self {
            specversion: "1.0",
            id: id.to_owned(),
            source: source.to_owned(),
            kind: format!("dev.ferry.notification.{word}.v1"),
            subject: data.subject.clone(),
            time: data.create_time.clone(),
            datacontenttype: "application/json",
            data,
        }
    }

    /// What is sent as `webhook-id`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What is signed and sent.
    pub(crate) fn body(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::internal("an event cannot be written", error))
    }
}
