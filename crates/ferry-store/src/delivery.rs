//! Deliveries: what is still to be sent to which webhook. A row is made with its notification, in one transaction, and
//! is gone once the receiver has taken it, it was given up, or the webhook wants nothing any more.
//!
//! ```text
//! notification ─▶ due ─claim─▶ leased ─▶ taken, given up, gone: the row goes
//!                  ▲              └────▶ failed: due again, later
//!                  └── the lease is over: whoever had it died
//! ```
//!
//! A claim compares and raises the version and moves the time behind the lease, so of two processes one sends. Whoever
//! dies with a claim leaves a row that is due again: what was sent then is sent twice, under the same id.

use crate::audit::{self, Fact, Who};
use crate::entity::{delivery, notification, webhook};
use crate::error::{corrupt, database};
use crate::{Store, notification as notifications, tenant as tenants, webhook as webhooks};
use ferry_domain::{Notification, NotificationKind, Result, TenantId, Timestamp, Webhook};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// Longer than an attempt may take, its answer on record included.
const LEASE: Duration = Duration::from_secs(30);
/// A store that is too slow for an attempt is not asked again at once.
const PAUSE: Duration = Duration::from_secs(1);

/// A webhook for which something is due. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueWebhook {
    uid: String,
    tenant: String,
}

impl DueWebhook {
    /// The webhook's uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Its tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }
}

/// One attempt that this process alone may make, until the lease is over. Only a claim makes one.
pub struct Delivery {
    /// Where to.
    pub webhook: Webhook,
    /// Seals the signing secret.
    pub sealed_secret: Vec<u8>,
    /// What.
    pub notification: Notification,
    /// Attempts that were made before.
    pub attempts: u32,
    version: i64,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver has it.
    Taken,
    /// Not now; again at this time.
    Again(Timestamp),
    /// Not, and it is not tried any more.
    GivenUp,
    /// The receiver wants nothing any more: the webhook is disabled.
    Gone,
    /// Nothing was sent; it counts as no attempt.
    NotTried,
}

/// Makes a delivery for each webhook of the tenant that wants this kind.
pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    tenant: &str,
    (notification, kind): (&str, NotificationKind),
    now: Timestamp,
) -> Result<()> {
    let mut rows = Vec::new();
    for found in webhooks::of_tenant(transaction, tenant).await? {
        let found = webhooks::to_domain(found)?;
        if found.wants(kind) {
            rows.push(delivery::ActiveModel {
                webhook: Set(found.uid),
                notification: Set(notification.to_owned()),
                tenant: Set(tenant.to_owned()),
                attempts: Set(0),
                next_time: Set(now.as_millis()),
                version: Set(1),
            });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    delivery::Entity::insert_many(rows).exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

/// What waits for a webhook is dropped.
pub(crate) async fn drop_waiting(transaction: &DatabaseTransaction, webhook: &str) -> Result<()> {
    let waiting = delivery::Entity::delete_many().filter(delivery::Column::Webhook.eq(webhook));
    waiting.exec(transaction).await.map_err(database)?;
    Ok(())
}

impl Store {
    /// Webhooks for which something is due, whoever waits longest first; without these webhooks and tenants.
    pub async fn deliveries_due(
        &self,
        now: Timestamp,
        (but, but_of): (&[String], &[String]),
        limit: u64,
    ) -> Result<Vec<DueWebhook>> {
        let rows: Vec<(String, String)> = delivery::Entity::find()
            .select_only()
            .columns([delivery::Column::Webhook, delivery::Column::Tenant])
            .filter(delivery::Column::NextTime.lte(now.as_millis()))
            .filter(delivery::Column::Webhook.is_not_in(but))
            .filter(delivery::Column::Tenant.is_not_in(but_of))
            .group_by(delivery::Column::Webhook)
            .group_by(delivery::Column::Tenant)
            .order_by_asc(delivery::Column::NextTime.min())
            .limit(limit)
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(database)?;
        Ok(rows.into_iter().map(|(uid, tenant)| DueWebhook { uid, tenant }).collect())
    }

    /// Claims what has waited longest for a webhook; nothing if somebody else was faster, or nothing is to be sent.
    pub async fn delivery_claim(&self, due: DueWebhook, now: Timestamp) -> Result<Option<Delivery>> {
        self.writer.run(move |transaction| Box::pin(claim(transaction, due, now))).await
    }

    /// Notes what came of an attempt. Nothing if the claim is somebody else's by now, or the row is gone.
    pub async fn delivery_record(&self, delivery: &Delivery, outcome: DeliveryOutcome, now: Timestamp) -> Result<()> {
        let key = Key {
            webhook: delivery.webhook.uid.clone(),
            notification: delivery.notification.name.notification.as_str().to_owned(),
            version: delivery.version,
        };
        let attempts = i64::from(delivery.attempts);
        self.writer.run(move |transaction| Box::pin(record(transaction, key, attempts, outcome, now))).await
    }
}

struct Key {
    webhook: String,
    notification: String,
    version: i64,
}

async fn claim(transaction: &DatabaseTransaction, due: DueWebhook, now: Timestamp) -> Result<Option<Delivery>> {
    let found = webhook::Entity::find_by_id(due.uid.as_str()).one(transaction).await.map_err(database)?;
    let found = found.filter(|row| row.delete_time.is_none() && row.disabled == 0);
    let tenant = TenantId::parse(&due.tenant).map_err(|error| corrupt("deliveries", error))?;
    let alive = tenants::find(transaction, &tenant).await?.is_some();
    let Some(found) = found.filter(|_| alive) else {
        drop_waiting(transaction, &due.uid).await?;
        return Ok(None);
    };
    let oldest = delivery::Entity::find()
        .filter(delivery::Column::Webhook.eq(due.uid.as_str()))
        .filter(delivery::Column::NextTime.lte(now.as_millis()))
        .order_by_asc(delivery::Column::NextTime)
        .order_by_asc(delivery::Column::Notification);
    let Some(row) = oldest.one(transaction).await.map_err(database)? else { return Ok(None) };
    let told = notification::Entity::find_by_id(row.notification.as_str()).one(transaction).await.map_err(database)?;
    let told = told.ok_or_else(|| corrupt("deliveries", "a delivery without its notification"))?;
    let version = row.version + 1;
    let key = Key { webhook: row.webhook, notification: row.notification, version: row.version };
    if !advance(transaction, &key, (row.attempts, now.plus(LEASE))).await? {
        return Ok(None);
    }
    Ok(Some(Delivery {
        sealed_secret: found.sealed_secret.clone(),
        webhook: webhooks::to_domain(found)?,
        notification: notifications::to_domain(told)?,
        attempts: u32::try_from(row.attempts).map_err(|error| corrupt("deliveries", error))?,
        version,
    }))
}

async fn record(
    transaction: &DatabaseTransaction,
    key: Key,
    attempts: i64,
    outcome: DeliveryOutcome,
    now: Timestamp,
) -> Result<()> {
    match outcome {
        DeliveryOutcome::Again(next) => advance(transaction, &key, (attempts + 1, next)).await.map(drop),
        DeliveryOutcome::NotTried => advance(transaction, &key, (attempts, now.plus(PAUSE))).await.map(drop),
        DeliveryOutcome::Taken | DeliveryOutcome::GivenUp => remove(transaction, &key).await.map(drop),
        DeliveryOutcome::Gone if remove(transaction, &key).await? => disable(transaction, &key.webhook, now).await,
        DeliveryOutcome::Gone => Ok(()),
    }
}

/// Writes the next time, unless somebody was there before.
async fn advance(transaction: &DatabaseTransaction, key: &Key, (attempts, next): (i64, Timestamp)) -> Result<bool> {
    let advanced = delivery::Entity::update_many()
        .col_expr(delivery::Column::Attempts, Expr::value(attempts))
        .col_expr(delivery::Column::NextTime, Expr::value(next.as_millis()))
        .col_expr(delivery::Column::Version, Expr::value(key.version + 1))
        .filter(key.condition())
        .exec(transaction)
        .await
        .map_err(database)?;
    Ok(advanced.rows_affected == 1)
}

async fn remove(transaction: &DatabaseTransaction, key: &Key) -> Result<bool> {
    let removed = delivery::Entity::delete_many().filter(key.condition()).exec(transaction).await.map_err(database)?;
    Ok(removed.rows_affected == 1)
}

impl Key {
    fn condition(&self) -> sea_orm::sea_query::SimpleExpr {
        let row = delivery::Column::Webhook.eq(self.webhook.as_str());
        let row = row.and(delivery::Column::Notification.eq(self.notification.as_str()));
        row.and(delivery::Column::Version.eq(self.version))
    }
}

/// The receiver said that it is gone. That is Ferry's own change, and on record.
async fn disable(transaction: &DatabaseTransaction, uid: &str, now: Timestamp) -> Result<()> {
    let found = webhook::Entity::find_by_id(uid).one(transaction).await.map_err(database)?;
    let Some(found) = found.filter(|row| row.delete_time.is_none() && row.disabled == 0) else { return Ok(()) };
    let mut row = found.clone().into_active_model();
    row.disabled = Set(1);
    row.version = Set(found.version + 1);
    row.update_time = Set(now.as_millis());
    let row = webhook::Entity::update(row).exec(transaction).await.map_err(database)?;
    drop_waiting(transaction, uid).await?;
    let name = webhooks::to_domain(row.clone())?.name;
    let fact = Fact::new("WEBHOOK_DISABLED", row.tenant.as_str(), name).changing(Some(&found), Some(&row))?;
    audit::append(transaction, &Who::ferry(), fact, now).await?;
    Ok(())
}

/// What was still to be sent of a removed tenant is not.
pub(crate) async fn purge(transaction: &DatabaseTransaction, tenant: &str) -> Result<()> {
    let waiting = delivery::Entity::delete_many().filter(delivery::Column::Tenant.eq(tenant));
    waiting.exec(transaction).await.map_err(database)?;
    Ok(())
}
