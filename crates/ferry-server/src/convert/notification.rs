//! Notifications and webhooks.

use super::time;
use ferry_control::etag;
use ferry_control::webhook::WebhookInput;
use ferry_domain::{Notification, NotificationKind, Webhook};
use ferry_proto::v1 as pb;
use pb::notification::Kind;
use secrecy::{ExposeSecret, SecretString};

/// A notification.
pub(crate) fn notification(notification: Notification) -> pb::Notification {
    pb::Notification {
        name: notification.name.to_string(),
        kind: kind(notification.kind).into(),
        subject: notification.subject,
        reason: notification.reason,
        message: notification.message,
        create_time: Some(time(notification.create_time)),
    }
}

fn kind(kind: NotificationKind) -> Kind {
    match kind {
        NotificationKind::RunFailed => Kind::RunFailed,
        NotificationKind::RunTimedOut => Kind::RunTimedOut,
        NotificationKind::RunSkipped => Kind::RunSkipped,
        NotificationKind::ConnectionNeedsAttention => Kind::ConnectionNeedsAttention,
        NotificationKind::RunAwaitingApproval => Kind::RunAwaitingApproval,
    }
}

/// A webhook, without its secret.
pub(crate) fn webhook(webhook: Webhook) -> pb::Webhook {
    pb::Webhook {
        name: webhook.name.to_string(),
        display_name: webhook.display_name,
        url: webhook.url,
        kinds: webhook.kinds.into_iter().map(|found| kind(found).into()).collect(),
        disabled: webhook.disabled,
        etag: etag::of(webhook.version),
        create_time: Some(time(webhook.create_time)),
        update_time: Some(time(webhook.update_time)),
    }
}

/// A webhook that was just stored, with its secret unless the request was a repeat.
pub(crate) fn created_webhook(stored: Webhook, secret: Option<&SecretString>) -> pb::CreateWebhookResponse {
    let signing_secret = secret.map(|secret| secret.expose_secret().to_owned()).unwrap_or_default();
    pb::CreateWebhookResponse { webhook: Some(webhook(stored)), signing_secret }
}

/// A webhook as the caller wrote it.
pub(crate) fn webhook_input(written: pb::Webhook) -> WebhookInput {
    let word = |number: i32| {
        let named = |known: &NotificationKind| i32::from(kind(*known)) == number;
        NotificationKind::ALL.into_iter().find(named).map(NotificationKind::as_str)
    };
    WebhookInput {
        display_name: written.display_name,
        url: written.url,
        kinds: written.kinds.into_iter().map(word).collect(),
        disabled: written.disabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent to webhooks has the same words.
    #[test]
    fn the_words_of_kinds_are_those_of_the_api() {
        for known in NotificationKind::ALL {
            let name = format!("KIND_{}", known.as_str().to_uppercase());
            assert_eq!(kind(known).as_str_name(), name);
            assert_eq!(
                webhook_input(pb::Webhook { kinds: vec![kind(known).into()], ..Default::default() }).kinds,
                [Some(known.as_str())]
            );
        }
        assert_eq!(webhook_input(pb::Webhook { kinds: vec![0, 99], ..Default::default() }).kinds, [None, None]);
    }
}
