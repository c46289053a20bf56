//! Webhooks: where a tenant's notifications are sent.

use crate::cloud_event::CloudEvent;
use crate::connection::mask;
use crate::control::key_id;
use crate::page::{PageRequest, Query};
use crate::post::Posted;
use crate::signature::SigningSecret;
use crate::tenant::{display_name, parse_tenant};
use crate::{Control, etag};
use ferry_domain::authz::action::{CreateWebhook, DeleteWebhook, GetWebhook, ListWebhooks, TestWebhook, UpdateWebhook};
use ferry_domain::authz::{Actor, may_ask, permit};
use ferry_domain::{Error, NotificationKind, Reason, Result, Violations, Webhook, WebhookId, WebhookName, limits};
use ferry_egress::{WebhookUrl, WebhookUrlError};
use ferry_store::{Listed, NewWebhook, RemovedWebhook, WebhookChange};
use ferry_vault::Purpose;
use secrecy::SecretString;
use serde::Serialize;

/// A webhook as a caller wrote it.
#[derive(Clone, Default, Serialize)]
pub struct WebhookInput {
    /// For people.
    pub display_name: String,
    /// Where events are sent.
    pub url: String,
    /// Which kinds, as words; nothing for one that there is not.
    pub kinds: Vec<Option<&'static str>>,
    /// Nothing is sent while set.
    pub disabled: bool,
}

/// Stores a webhook.
#[derive(Serialize)]
pub struct CreateWebhookCommand {
    /// `tenants/{tenant}`.
    pub parent: String,
    /// Its id, or empty.
    pub webhook_id: String,
    /// What to store.
    pub webhook: WebhookInput,
    /// The caller's request id.
    pub request_id: String,
}

/// Changes a webhook.
#[derive(Serialize)]
pub struct UpdateWebhookCommand {
    /// Which.
    pub name: String,
    /// The new values.
    pub webhook: WebhookInput,
    /// The etag that was seen, if any.
    pub etag: String,
    /// Which values change; empty for those that are set.
    pub update_mask: Vec<String>,
    /// The caller's request id.
    pub request_id: String,
}

const PATHS: [&str; 4] = ["display_name", "url", "kinds", "disabled"];

impl Control {
    /// Stores a webhook. The signing secret is told this once, and by no repeat of the request.
    pub async fn create_webhook(
        &self,
        actor: &Actor,
        command: CreateWebhookCommand,
    ) -> Result<(Webhook, Option<SecretString>)> {
        let parent = parse_tenant("parent", &command.parent)?;
        may_ask::<CreateWebhook>(actor, &parent.tenant, &parent)?;
        let uid = uuid::Uuid::new_v4().to_string();
        let mut violations = Violations::new();
        let id = if command.webhook_id.is_empty() { &uid } else { &command.webhook_id };
        let id = violations.check("webhook_id", WebhookId::parse(id));
        let input = &command.webhook;
        display_name("webhook.display_name", &input.display_name, &mut violations);
        check_url(&input.url, &mut violations);
        let kinds = kinds(input, &mut violations);
        let Some(webhook) = id else { return Err(violations.into_error()) };
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        let name = WebhookName { tenant: parent.tenant, webhook };
        let tenant = name.tenant.as_str().to_owned();
        let secret = SigningSecret::random()?;
        let text = secret.text();
        let key = key_id(&tenant, &uid, Purpose::Secret { version: 1 })?;
        // The key first: an unused key file is harmless, a row without its key is not.
        let sealed_secret = self.keys(move |vault| secret.seal(vault, &key, NewWebhook::FIELD)).await?;
        let WebhookInput { display_name, url, disabled, .. } = command.webhook;
        let new = NewWebhook { uid: uid.clone(), display_name, url, kinds, disabled, sealed_secret };
        let storing =
            self.granted(|store| Ok(store.webhook_create(permit::<CreateWebhook>(actor, name)?, new, write)))?;
        let control = self.clone();
        self.to_its_end(async move {
            let stored = storing.await;
            let is_new = stored.as_ref().is_ok_and(|webhook| webhook.uid == uid);
            if !is_new {
                control.keys(move |vault| vault.destroy_connection(&tenant, &uid)).await?;
            }
            Ok((stored?, is_new.then_some(text)))
        })
        .await
    }

    /// Reads a webhook.
    pub async fn get_webhook(&self, actor: &Actor, name: &str) -> Result<Webhook> {
        let name = parse("name", name)?;
        self.granted(|store| Ok(store.webhook_get(permit::<GetWebhook>(actor, name)?)))?.await
    }

    /// Reads a tenant's webhooks, with the token of the next page.
    pub async fn list_webhooks(
        &self,
        actor: &Actor,
        parent: &str,
        page: &PageRequest,
    ) -> Result<(Listed<Webhook>, String)> {
        let name = parse_tenant("parent", parent)?;
        permit::<ListWebhooks>(actor, name.clone())?.spend();
        let query = Query { method: "ListWebhooks", parent, arguments: &[] };
        let page = self.page(&query, page)?;
        let listed = self.granted(|store| Ok(store.webhook_list(permit::<ListWebhooks>(actor, name)?, page)))?.await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }

    /// Changes a webhook; its secret stays.
    pub async fn update_webhook(&self, actor: &Actor, command: UpdateWebhookCommand) -> Result<Webhook> {
        let name = parse("webhook.name", &command.name)?;
        permit::<UpdateWebhook>(actor, name.clone())?.spend();
        let mut violations = Violations::new();
        let seen_version = etag::parse("webhook.etag", &command.etag, &mut violations);
        let paths = populated(&command, &mut violations);
        let has = |path: &str| paths.contains(&path);
        let input = &command.webhook;
        if has(PATHS[0]) {
            display_name("webhook.display_name", &input.display_name, &mut violations);
        }
        if has(PATHS[1]) {
            check_url(&input.url, &mut violations);
        }
        let change = WebhookChange {
            seen_version,
            display_name: has(PATHS[0]).then(|| input.display_name.clone()),
            url: has(PATHS[1]).then(|| input.url.clone()),
            kinds: has(PATHS[2]).then(|| kinds(input, &mut violations)),
            disabled: has(PATHS[3]).then_some(input.disabled),
        };
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        self.granted(|store| Ok(store.webhook_update(permit::<UpdateWebhook>(actor, name)?, change, write)))?.await
    }

    /// Removes a webhook: what waits for it is dropped and its secret destroyed.
    pub async fn delete_webhook(&self, actor: &Actor, name: &str, seen: &str, request_id: &str) -> Result<()> {
        let name = parse("name", name)?;
        permit::<DeleteWebhook>(actor, name.clone())?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("etag", seen, &mut violations);
        violations.into_result()?;
        let write = self.write(request_id, &(name.to_string(), seen))?;
        let removing =
            self.granted(|store| Ok(store.webhook_delete(permit::<DeleteWebhook>(actor, name)?, seen, write)))?;
        let control = self.clone();
        self.to_its_end(async move { control.finish_webhook_removal(removing.await?).await }).await
    }

    /// Finishes the removals that a crash, or a key store that failed, has interrupted.
    pub(crate) async fn finish_webhook_removals(&self) {
        let removed = match self.store().webhooks_removed().await {
            Ok(removed) => removed,
            Err(error) => return tracing::error!(?error, "removed webhooks cannot be read; trying again"),
        };
        for removed in removed {
            if let Err(error) = self.finish_webhook_removal(removed).await {
                tracing::error!(?error, "the key of a removed webhook cannot be destroyed; trying again");
            }
        }
    }

    async fn finish_webhook_removal(&self, removed: RemovedWebhook) -> Result<()> {
        ferry_domain::failpoint!("webhook-removed");
        let (tenant, uid) = (removed.tenant().to_owned(), removed.uid().to_owned());
        self.keys(move |vault| vault.destroy_connection(&tenant, &uid)).await?;
        self.store().webhook_forget(removed).await
    }

    /// Sends a trial now, once, even if the webhook is disabled. What came of it is an answer.
    pub async fn test_webhook(&self, actor: &Actor, name: &str) -> Result<Posted> {
        let name = parse("name", name)?;
        let tenant = name.tenant.clone();
        let (webhook, sealed) =
            self.granted(|store| Ok(store.webhook_credentials(permit::<TestWebhook>(actor, name.clone())?)))?.await?;
        let _probe = self.probes.begin(&tenant)?;
        let event = CloudEvent::trial(&uuid::Uuid::now_v7().to_string(), &name, self.now());
        self.post(&webhook, sealed, &event).await
    }
}

fn parse(field: &str, text: &str) -> Result<WebhookName> {
    WebhookName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
}

fn check_url(url: &str, violations: &mut Violations) {
    const FIELD: &str = "webhook.url";
    if url.len() > limits::WEBHOOK_URL_BYTES {
        return violations.add(FIELD, format!("must have at most {} bytes", limits::WEBHOOK_URL_BYTES));
    }
    match WebhookUrl::parse(url) {
        Ok(_) => {}
        Err(error @ WebhookUrlError::Host(_)) => {
            violations.add_because(Reason::HostNotAllowed, FIELD, error.to_string());
        }
        Err(error) => violations.add(FIELD, error.to_string()),
    }
}

fn kinds(input: &WebhookInput, violations: &mut Violations) -> Vec<NotificationKind> {
    let mut all = Vec::with_capacity(input.kinds.len().min(NotificationKind::ALL.len()));
    for (position, word) in input.kinds.iter().enumerate() {
        match word.and_then(NotificationKind::parse).filter(|kind| !all.contains(kind)) {
            Some(kind) => all.push(kind),
            None => violations.add(
                format!("webhook.kinds[{position}]"),
                "must be a kind of notification that does not stand twice; leave all out to get every kind",
            ),
        }
    }
    all
}

/// Which values an update changes.
fn populated(command: &UpdateWebhookCommand, violations: &mut Violations) -> Vec<&'static str> {
    let input = &command.webhook;
    if !command.update_mask.is_empty() {
        return mask(&command.update_mask, &PATHS, violations);
    }
    let set = [!input.display_name.is_empty(), !input.url.is_empty(), !input.kinds.is_empty(), input.disabled];
    PATHS.into_iter().zip(set).filter(|(_, set)| *set).map(|(path, _)| path).collect()
}
