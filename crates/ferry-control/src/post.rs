//! One signed POST to a webhook.

use crate::Control;
use crate::cloud_event::{CONTENT_TYPE, CloudEvent};
use crate::control::key_id;
use crate::signature::SigningSecret;
use ferry_domain::{Error, Result, Webhook};
use ferry_egress::{Request, WebhookUrl, retry_after};
use ferry_store::NewWebhook;
use ferry_vault::Purpose;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use std::time::{Duration, SystemTime};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// For the whole exchange; the specification recommends 15 to 30 s.
const DEADLINE: Duration = Duration::from_secs(15);

/// What came of a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The status that the receiver answered; nothing if there was no answer.
    pub status: Option<u16>,
    /// Why there was no answer, for people. Names no address.
    pub message: String,
    /// How long the receiver wants to be left alone, if it said so.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the receiver is one on this machine, for development.
    pub(crate) is_development: bool,
}

impl Posted {
    /// One that could not be made, for a cause of our own.
    pub(crate) fn failed() -> Self {
        let message = "a fault of Ferry's own".to_owned();
        Self { status: None, message, retry_after: None, is_development: false }
    }

    /// Whether the receiver has taken it.
    pub(crate) fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the receiver wants nothing any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::GONE.as_u16())
    }
}

impl Control {
    /// Sends an event, signed now. Whatever the receiver or the network does is no error; of its answer nothing but the
    /// status and the wait is looked at.
    pub(crate) async fn post(&self, webhook: &Webhook, sealed: Vec<u8>, event: &CloudEvent) -> Result<Posted> {
        let key = key_id(webhook.name.tenant.as_str(), &webhook.uid, Purpose::Secret { version: 1 })?;
        let secret = self.keys(move |vault| vault.unseal(&key, NewWebhook::FIELD, &sealed)).await?;
        let secret = SigningSecret::opened(secret);
        let corrupt = |error: &dyn std::fmt::Display| Error::internal("a stored webhook cannot be used", error);
        let url = WebhookUrl::parse(&webhook.url).map_err(|error| corrupt(&error))?;
        let client = self.parts.egress.webhook(url.host()).map_err(|error| corrupt(&error))?;
        let body = event.body()?;
        let seconds = self.now().as_millis().div_euclid(1_000);
        let header = |text: &str| HeaderValue::from_str(text).map_err(|error| corrupt(&error));
        let request = Request::new(Method::POST, url.path_and_query(), DEADLINE)
            .header(ID, header(event.id())?)
            .header(TIMESTAMP, HeaderValue::from(seconds))
            .header(SIGNATURE, header(&secret.sign(event.id(), seconds, &body))?)
            .body(body.into(), CONTENT_TYPE)
            .answer_limit(0);
        let is_development = client.is_development();
        Ok(match client.send(request).await {
            Ok(answer) => Posted {
                status: Some(answer.status.as_u16()),
                message: String::new(),
                retry_after: retry_after(&answer.headers, SystemTime::now()),
                is_development,
            },
            Err(error) => Posted { status: None, message: error.to_string(), retry_after: None, is_development },
        })
    }
}
