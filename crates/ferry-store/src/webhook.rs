//! Webhooks, with their sealed signing secrets.
//!
//! The removal is in two steps, as that of a connection: the row loses its secret and is there for nobody, then its key
//! is destroyed, then it goes. What a crash interrupts is found by [`Store::webhooks_removed`].

use crate::audit::{Changed, Fact};
use crate::entity::webhook;
use crate::error::{corrupt, database, from_json, to_json};
use crate::page::{Cursor, Listed, Page};
use crate::request::{self, Write};
use crate::{Store, delivery as deliveries, facts, tenant as tenants};
use ferry_domain::authz::action::{CreateWebhook, DeleteWebhook, GetWebhook, ListWebhooks, TestWebhook, UpdateWebhook};
use ferry_domain::authz::{Action, Permit, Spent};
use ferry_domain::{
    Error, NotificationKind, Reason, Result, TenantId, Timestamp, Webhook, WebhookId, WebhookName, limits,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

/// A webhook that is to be stored.
pub struct NewWebhook {
    /// Its uid; the vault's key is bound to it.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// Where events are sent.
    pub url: String,
    /// Which kinds; all if empty.
    pub kinds: Vec<NotificationKind>,
    /// Nothing is sent while set.
    pub disabled: bool,
    /// The signing secret, sealed as [`NewWebhook::FIELD`].
    pub sealed_secret: Vec<u8>,
}

impl NewWebhook {
    /// The field under which the vault seals a signing secret: whoever opens it names the same.
    pub const FIELD: &'static str = "signing_secret";
}

/// What is to change; nothing stays as it is.
#[derive(Default)]
pub struct WebhookChange {
    /// The version that the caller has seen, if it said so.
    pub seen_version: Option<i64>,
    /// A new display name.
    pub display_name: Option<String>,
    /// Another URL.
    pub url: Option<String>,
    /// Other kinds.
    pub kinds: Option<Vec<NotificationKind>>,
    /// Whether it is disabled.
    pub disabled: Option<bool>,
}

/// A webhook that was removed and whose key may still be there. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedWebhook {
    tenant: String,
    uid: String,
}

impl RemovedWebhook {
    /// Its tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Its uid, by which its key is found.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }
}

impl Store {
    /// Stores a webhook.
    pub fn webhook_create(
        &self,
        permit: Permit<CreateWebhook>,
        new: NewWebhook,
        write: Write,
    ) -> impl Future<Output = Result<Webhook>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store.change(act, write.now, move |transaction| Box::pin(create(transaction, target, new, write))).await
        }
    }

    /// Reads a webhook.
    pub fn webhook_get(&self, permit: Permit<GetWebhook>) -> impl Future<Output = Result<Webhook>> + Send + use<> {
        let target = permit.spend().target;
        let readers = self.readers.clone();
        async move { to_domain(load(&readers, &target).await?) }
    }

    /// Reads a webhook with its sealed secret, to try it.
    pub fn webhook_credentials(
        &self,
        permit: Permit<TestWebhook>,
    ) -> impl Future<Output = Result<(Webhook, Vec<u8>)>> + Send + use<> {
        let target = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let row = load(&readers, &target).await?;
            let sealed = row.sealed_secret.clone();
            Ok((to_domain(row)?, sealed))
        }
    }

    /// Reads a tenant's webhooks.
    pub fn webhook_list(
        &self,
        permit: Permit<ListWebhooks>,
        page: Page,
    ) -> impl Future<Output = Result<Listed<Webhook>>> + Send + use<> {
        let target = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let mut query = alive(target.tenant.as_str());
            if let Some(after) = page.cursor()? {
                query = query.filter(after.after(webhook::Column::CreateTime, webhook::Column::Id));
            }
            let query = query.order_by_asc(webhook::Column::CreateTime).order_by_asc(webhook::Column::Id);
            let rows = query.limit(page.limit()).all(&readers).await.map_err(database)?;
            let items = rows.into_iter().map(to_domain).collect::<Result<Vec<_>>>()?;
            Ok(page.cut(items, |w| Cursor { time: w.create_time, id: w.name.webhook.as_str().to_owned() }))
        }
    }

    /// Changes a webhook. One that is disabled gets nothing of what waits.
    pub fn webhook_update(
        &self,
        permit: Permit<UpdateWebhook>,
        change: WebhookChange,
        write: Write,
    ) -> impl Future<Output = Result<Webhook>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store.change(act, write.now, move |transaction| Box::pin(update(transaction, target, change, write))).await
        }
    }

    /// Removes a webhook with its secret and what waits for it; its key is to be destroyed then.
    pub fn webhook_delete(
        &self,
        permit: Permit<DeleteWebhook>,
        seen: Option<i64>,
        write: Write,
    ) -> impl Future<Output = Result<RemovedWebhook>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let store = self.clone();
        async move {
            store.change(act, write.now, move |transaction| Box::pin(delete(transaction, target, seen, write))).await
        }
    }

    /// Webhooks that were removed and whose keys may still be there.
    pub async fn webhooks_removed(&self) -> Result<Vec<RemovedWebhook>> {
        let removed = webhook::Entity::find().filter(webhook::Column::DeleteTime.is_not_null());
        let rows = removed.all(&self.readers).await.map_err(database)?;
        Ok(rows.into_iter().map(|row| RemovedWebhook { tenant: row.tenant, uid: row.uid }).collect())
    }

    /// The key of a removed webhook is destroyed: nothing is left of it.
    pub async fn webhook_forget(&self, removed: RemovedWebhook) -> Result<()> {
        self.writer
            .run(move |transaction| {
                Box::pin(async move {
                    let gone = webhook::Entity::delete_many()
                        .filter(webhook::Column::Uid.eq(removed.uid))
                        .filter(webhook::Column::DeleteTime.is_not_null());
                    gone.exec(transaction).await.map_err(database)?;
                    Ok(())
                })
            })
            .await
    }
}

async fn create(
    transaction: &DatabaseTransaction,
    name: WebhookName,
    new: NewWebhook,
    write: Write,
) -> Result<Changed<Webhook>> {
    let tenant = name.tenant.as_str();
    tenants::must_exist(transaction, &name.tenant).await?;
    if let Some(first) = request::earlier(transaction, tenant, CreateWebhook::METHOD, &write).await? {
        // Its own name, which the server may have made: the repeat brings another.
        let first = WebhookName::parse(&first).map_err(|error| corrupt("request_ids", error))?;
        return Ok(Changed::nothing(to_domain(load(transaction, &first).await?)?));
    }
    if find(transaction, &name).await?.is_some() {
        let name = name.to_string();
        return Err(Error::AlreadyExists { reason: Reason::ResourceExists, kind: "webhook", name });
    }
    if alive(tenant).count(transaction).await.map_err(database)? >= limits::WEBHOOKS_PER_TENANT {
        let message = format!("the tenant has {} webhooks; remove one first", limits::WEBHOOKS_PER_TENANT);
        return Err(Error::precondition(Reason::QuotaExceeded, "WEBHOOKS", format!("tenants/{tenant}"), message));
    }
    let row = webhook::ActiveModel {
        uid: Set(new.uid),
        tenant: Set(tenant.to_owned()),
        id: Set(name.webhook.as_str().to_owned()),
        display_name: Set(new.display_name),
        url: Set(new.url),
        kinds: Set(words(&new.kinds)?),
        disabled: Set(new.disabled.into()),
        sealed_secret: Set(new.sealed_secret),
        version: Set(1),
        create_time: Set(write.now.as_millis()),
        update_time: Set(write.now.as_millis()),
        delete_time: Set(None),
    };
    let row = webhook::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)?;
    request::note(transaction, tenant, CreateWebhook::METHOD, &write, &name.to_string()).await?;
    let fact = of_webhook("WEBHOOK_CREATED", None, Some(&row), &name)?.with("disabled", new.disabled);
    Ok(Changed::one(to_domain(row)?, fact))
}

async fn update(
    transaction: &DatabaseTransaction,
    name: WebhookName,
    change: WebhookChange,
    write: Write,
) -> Result<Changed<Webhook>> {
    let tenant = name.tenant.as_str();
    if request::earlier(transaction, tenant, UpdateWebhook::METHOD, &write).await?.is_some() {
        return Ok(Changed::nothing(to_domain(load(transaction, &name).await?)?));
    }
    tenants::must_exist(transaction, &name.tenant).await?;
    let found = load(transaction, &name).await?;
    if change.seen_version.is_some_and(|seen| seen != found.version) {
        return Err(Error::Aborted { name: name.to_string() });
    }
    let fields = facts::named(&[
        ("display_name", change.display_name.is_some()),
        ("url", change.url.is_some()),
        ("kinds", change.kinds.is_some()),
        ("disabled", change.disabled.is_some()),
    ]);
    let mut row = found.clone().into_active_model();
    if let Some(display_name) = change.display_name {
        row.display_name = Set(display_name);
    }
    if let Some(url) = change.url {
        row.url = Set(url);
    }
    if let Some(kinds) = change.kinds {
        row.kinds = Set(words(&kinds)?);
    }
    if let Some(disabled) = change.disabled {
        row.disabled = Set(disabled.into());
    }
    row.version = Set(found.version + 1);
    row.update_time = Set(write.now.as_millis());
    let row = webhook::Entity::update(row).exec(transaction).await.map_err(database)?;
    if row.disabled != 0 {
        deliveries::drop_waiting(transaction, &row.uid).await?;
    }
    request::note(transaction, tenant, UpdateWebhook::METHOD, &write, &name.to_string()).await?;
    let fact = of_webhook("WEBHOOK_UPDATED", Some(&found), Some(&row), &name)?;
    let fact = fact.with("fields", fields).with("disabled", row.disabled != 0);
    Ok(Changed::one(to_domain(row)?, fact))
}

async fn delete(
    transaction: &DatabaseTransaction,
    name: WebhookName,
    seen: Option<i64>,
    write: Write,
) -> Result<Changed<RemovedWebhook>> {
    let tenant = name.tenant.as_str();
    // A repeat finds nothing, and says so, whatever has the id by now; under another content it is refused.
    if request::earlier(transaction, tenant, DeleteWebhook::METHOD, &write).await?.is_some() {
        return Err(not_found(&name));
    }
    tenants::must_exist(transaction, &name.tenant).await?;
    let found = load(transaction, &name).await?;
    if seen.is_some_and(|seen| seen != found.version) {
        return Err(Error::Aborted { name: name.to_string() });
    }
    let mut row = found.clone().into_active_model();
    row.sealed_secret = Set(Vec::new());
    row.url = Set(String::new());
    row.delete_time = Set(Some(write.now.as_millis()));
    webhook::Entity::update(row).exec(transaction).await.map_err(database)?;
    deliveries::drop_waiting(transaction, &found.uid).await?;
    request::note(transaction, tenant, DeleteWebhook::METHOD, &write, &name.to_string()).await?;
    let fact = of_webhook("WEBHOOK_REMOVED", Some(&found), None, &name)?;
    Ok(Changed::one(RemovedWebhook { tenant: found.tenant, uid: found.uid }, fact))
}

/// What was done to a webhook. Its URL is not told: whoever has one of such a URL may be able to post there.
fn of_webhook(
    kind: &'static str,
    before: Option<&webhook::Model>,
    after: Option<&webhook::Model>,
    name: &WebhookName,
) -> Result<Fact> {
    Fact::new(kind, name.tenant.as_str(), name).changing(before, after)
}

fn alive(tenant: &str) -> sea_orm::Select<webhook::Entity> {
    webhook::Entity::find().filter(webhook::Column::Tenant.eq(tenant)).filter(webhook::Column::DeleteTime.is_null())
}

/// All webhooks of a tenant, disabled ones too.
pub(crate) async fn of_tenant(connection: &impl ConnectionTrait, tenant: &str) -> Result<Vec<webhook::Model>> {
    alive(tenant).order_by_asc(webhook::Column::Uid).all(connection).await.map_err(database)
}

async fn find(connection: &impl ConnectionTrait, name: &WebhookName) -> Result<Option<webhook::Model>> {
    let named = alive(name.tenant.as_str()).filter(webhook::Column::Id.eq(name.webhook.as_str()));
    named.one(connection).await.map_err(database)
}

async fn load(connection: &impl ConnectionTrait, name: &WebhookName) -> Result<webhook::Model> {
    let found = find(connection, name).await?;
    found.ok_or_else(|| not_found(name))
}

fn not_found(name: &WebhookName) -> Error {
    Error::NotFound { kind: "webhook", name: name.to_string() }
}

fn words(kinds: &[NotificationKind]) -> Result<String> {
    to_json(&kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
}

pub(crate) fn to_domain(row: webhook::Model) -> Result<Webhook> {
    let bad_id = |error| corrupt("webhooks", error);
    let words: Vec<String> = from_json("webhooks", &row.kinds)?;
    let kinds = words.iter().map(|word| NotificationKind::parse(word).ok_or_else(|| corrupt("webhooks", word)));
    Ok(Webhook {
        name: WebhookName {
            tenant: TenantId::parse(&row.tenant).map_err(bad_id)?,
            webhook: WebhookId::parse(&row.id).map_err(bad_id)?,
        },
        kinds: kinds.collect::<Result<_>>()?,
        uid: row.uid,
        display_name: row.display_name,
        url: row.url,
        disabled: row.disabled != 0,
        version: row.version,
        create_time: Timestamp::from_millis(row.create_time),
        update_time: Timestamp::from_millis(row.update_time),
    })
}

/// The webhooks of a removed tenant go with it; their keys were destroyed before.
pub(crate) async fn purge(transaction: &DatabaseTransaction, tenant: &str) -> Result<()> {
    let all = webhook::Entity::delete_many().filter(webhook::Column::Tenant.eq(tenant));
    all.exec(transaction).await.map_err(database)?;
    Ok(())
}
