//! Notifications: facts that a person must know, written in the transaction that makes the fact, together with what is
//! to be sent of them. So a fact is told exactly if it is one, and a crash leaves both or neither.
//!
//! Every change of a run's state passes [`of_run`] (by `run_change::update`), every write that can bring a connection
//! into need of attention passes [`of_connection`] (by `attention::put`). The subject and the fact are unique together:
//! whoever notes the same fact again adds nothing, and nothing is sent again.

use crate::entity::{connection, delivery, notification, run};
use crate::error::{corrupt, database};
use crate::page::{Cursor, Listed, Page};
use crate::{Store, attention, delivery as deliveries, facts, run as runs};
use ferry_domain::authz::Permit;
use ferry_domain::authz::action::ListNotifications;
use ferry_domain::{
    Notification, NotificationId, NotificationKind, NotificationName, Reason, Result, RunState, TenantId, Timestamp,
    ToTell, limits,
};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// Rows that go in one transaction.
const ROWS: u64 = 500;

/// What a person must know of a run that was in another state before. A run comes into each of these states once.
pub(crate) async fn of_run(
    transaction: &DatabaseTransaction,
    before: RunState,
    row: &run::Model,
    now: Timestamp,
) -> Result<()> {
    if runs::read_state(row)? == before {
        return Ok(());
    }
    let run = runs::to_domain(row.clone())?;
    let Some(told) = ToTell::of_run(&run) else { return Ok(()) };
    let fact = told.kind.as_str().to_owned();
    insert(transaction, (&row.tenant, run.name.to_string(), fact), told, now).await
}

/// What a person must know of a connection that was as `before`: each cause once, until it was mended. That the
/// destination refuses and that nobody is there to run for are two causes.
pub(crate) async fn of_connection(
    transaction: &DatabaseTransaction,
    before: &connection::Model,
    row: &connection::Model,
    now: Timestamp,
) -> Result<()> {
    let refused = attention::of_destination(row)?.filter(|_| !matches!(attention::of_destination(before), Ok(Some(_))));
    let lost = row.export_user_lost_time.is_some() && before.export_user_lost_time.is_none();
    for reason in refused.into_iter().chain(lost.then_some(Reason::ExportUserLost)) {
        let name = facts::connection_name(row)?;
        // Another connection may have the name one day, and this one may need attention again.
        let fact = format!("{}.{}.{}", row.uid, reason.as_str(), row.version);
        insert(transaction, (&row.tenant, name.to_string(), fact), ToTell::of_connection(&name, reason), now).await?;
    }
    Ok(())
}

pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    (tenant, subject, fact): (&str, String, String),
    told: ToTell,
    now: Timestamp,
) -> Result<()> {
    let id = new_id(now);
    let row = notification::ActiveModel {
        id: Set(id.clone()),
        tenant: Set(tenant.to_owned()),
        kind: Set(told.kind.as_str().to_owned()),
        subject: Set(subject),
        fact: Set(fact),
        reason: Set(told.reason.map(Reason::as_str).unwrap_or_default()),
        message: Set(told.message),
        create_time: Set(now.as_millis()),
    };
    let once = OnConflict::columns([notification::Column::Subject, notification::Column::Fact]).do_nothing().to_owned();
    let insert = notification::Entity::insert(row).on_conflict(once);
    if insert.exec_without_returning(transaction).await.map_err(database)? == 0 {
        return Ok(());
    }
    ferry_domain::failpoint!("notification-written");
    deliveries::insert(transaction, tenant, (&id, told.kind), now).await
}

/// Ordered by time; two of one millisecond by chance.
fn new_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    let nanos = u32::try_from(millis % 1_000 * 1_000_000).unwrap_or_default();
    let time = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, nanos);
    uuid::Uuid::new_v7(time).to_string()
}

impl Store {
    /// Reads a tenant's notifications, the newest first.
    pub fn notification_list(
        &self,
        permit: Permit<ListNotifications>,
        page: Page,
    ) -> impl Future<Output = Result<Listed<Notification>>> + Send + use<> {
        let target = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let mut query =
                notification::Entity::find().filter(notification::Column::Tenant.eq(target.tenant.as_str()));
            if let Some(before) = page.cursor()? {
                query = query.filter(before.before(notification::Column::CreateTime, notification::Column::Id));
            }
            let query = query.order_by_desc(notification::Column::CreateTime).order_by_desc(notification::Column::Id);
            let rows = query.limit(page.limit()).all(&readers).await.map_err(database)?;
            let items = rows.into_iter().map(to_domain).collect::<Result<Vec<_>>>()?;
            Ok(page.cut(items, |found| Cursor {
                time: found.create_time,
                id: found.name.notification.as_str().to_owned(),
            }))
        }
    }

    /// Removes some notifications whose time is over. Tells whether there may be more.
    pub async fn notifications_cut(&self, now: Timestamp) -> Result<bool> {
        let kept = i64::try_from(limits::NOTIFICATIONS_KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = now.as_millis().saturating_sub(kept);
        self.writer.run(move |transaction| Box::pin(cut(transaction, before))).await
    }
}

async fn cut(transaction: &DatabaseTransaction, before: i64) -> Result<bool> {
    let old: Vec<String> = notification::Entity::find()
        .select_only()
        .column(notification::Column::Id)
        .filter(notification::Column::CreateTime.lt(before))
        .limit(ROWS)
        .into_tuple()
        .all(transaction)
        .await
        .map_err(database)?;
    // They were given up long ago, unless the clock has leapt.
    let waiting = delivery::Entity::delete_many().filter(delivery::Column::Notification.is_in(&old));
    waiting.exec(transaction).await.map_err(database)?;
    let removed = notification::Entity::delete_many().filter(notification::Column::Id.is_in(&old));
    removed.exec(transaction).await.map_err(database)?;
    Ok(old.len() as u64 == ROWS)
}

/// What a removed tenant was told goes with it.
pub(crate) async fn purge(transaction: &DatabaseTransaction, tenant: &str) -> Result<()> {
    let all = notification::Entity::delete_many().filter(notification::Column::Tenant.eq(tenant));
    all.exec(transaction).await.map_err(database)?;
    Ok(())
}

pub(crate) fn to_domain(row: notification::Model) -> Result<Notification> {
    let bad_id = |error| corrupt("notifications", error);
    Ok(Notification {
        name: NotificationName {
            tenant: TenantId::parse(&row.tenant).map_err(bad_id)?,
            notification: NotificationId::parse(&row.id).map_err(bad_id)?,
        },
        kind: NotificationKind::parse(&row.kind).ok_or_else(|| corrupt("notifications", "its kind"))?,
        subject: row.subject,
        reason: row.reason,
        message: row.message,
        create_time: Timestamp::from_millis(row.create_time),
    })
}
