//! The refresh schedule of a tenant. There is a row once it was changed.

use crate::audit::{Changed, Fact};
use crate::entity::refresh_schedule;
use crate::error::{corrupt, database, from_json, to_json};
use crate::facts;
use crate::request::{self, Write};
use crate::{Store, tenant as tenants, tick};
use ferry_domain::authz::action::{GetRefreshSchedule, UpdateRefreshSchedule};
use ferry_domain::authz::{Action, Permit, Spent};
use ferry_domain::{Cadence, Error, RefreshSchedule, Result, TenantId, TenantKind, TenantName, Timestamp};
use ferry_schedule::{Days, RefreshTimes, TimeOfDay, Zone};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait};

/// What is to change; nothing stays as it is.
#[derive(Debug, Clone, Default)]
pub struct RefreshScheduleChange {
    /// The version that the caller has seen, if it said so.
    pub seen_version: Option<i64>,
    /// The version that the checked whole was put together from.
    pub version: i64,
    /// On or off.
    pub active: Option<bool>,
    /// How often.
    pub cadence: Option<Cadence>,
    /// On which days.
    pub days: Option<Vec<u8>>,
    /// At which times.
    pub times: Option<Vec<String>>,
    /// In which zone.
    pub time_zone: Option<String>,
}

impl Store {
    /// Reads a tenant's refresh schedule, and what the tenant is for.
    pub fn refresh_schedule_get(
        &self,
        permit: Permit<GetRefreshSchedule>,
    ) -> impl Future<Output = Result<(RefreshSchedule, TenantKind)>> + Send + use<> {
        let tenant = permit.spend().target.tenant;
        let readers = self.readers.clone();
        async move {
            let found = tenants::find(&readers, &tenant).await?.ok_or_else(|| tenants::not_found(&tenant))?;
            Ok((load(&readers, tenant).await?, from_json("tenants", &found.kind)?))
        }
    }

    /// Changes it. Starts nothing by itself.
    pub fn refresh_schedule_update(
        &self,
        permit: Permit<UpdateRefreshSchedule>,
        change: RefreshScheduleChange,
        write: Write,
    ) -> impl Future<Output = Result<RefreshSchedule>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            store
                .change(act, write.now, move |transaction| Box::pin(update(transaction, target, by, change, write)))
                .await
        }
    }
}

async fn update(
    transaction: &DatabaseTransaction,
    target: TenantName,
    by: String,
    change: RefreshScheduleChange,
    write: Write,
) -> Result<Changed<RefreshSchedule>> {
    let tenant = target.tenant.as_str();
    let name = format!("{target}/refreshSchedule");
    if request::earlier(transaction, tenant, UpdateRefreshSchedule::METHOD, &write).await?.is_some() {
        return Ok(Changed::nothing(load(transaction, target.tenant).await?));
    }
    tenants::must_exist(transaction, &target.tenant).await?;
    let found = refresh_schedule::Entity::find_by_id(tenant).one(transaction).await.map_err(database)?;
    let before = load(transaction, target.tenant.clone()).await?;
    if before.version != change.version || change.seen_version.is_some_and(|seen| seen != before.version) {
        return Err(Error::Aborted { name });
    }
    let fields = facts::named(&[
        ("active", change.active.is_some()),
        ("cadence", change.cadence.is_some()),
        ("days", change.days.is_some()),
        ("times", change.times.is_some()),
        ("time_zone", change.time_zone.is_some()),
    ]);
    let row = refresh_schedule::Model {
        tenant: tenant.to_owned(),
        active: change.active.unwrap_or(before.active).into(),
        cadence: to_json(&change.cadence.unwrap_or(before.cadence))?,
        days: to_json(&change.days.unwrap_or(before.days))?,
        times: to_json(&change.times.unwrap_or(before.times))?,
        time_zone: change.time_zone.unwrap_or(before.time_zone),
        updated_by: by,
        version: before.version + 1,
        update_time: write.now.as_millis(),
    };
    put(transaction, &row).await?;
    tick::follow_refresh(transaction, &row, write.now).await?;
    request::note(transaction, tenant, UpdateRefreshSchedule::METHOD, &write, &name).await?;
    let fact = Fact::new("REFRESH_SCHEDULE_UPDATED", tenant, &name)
        .with("fields", fields)
        .with("active", row.active != 0)
        .changing(found.as_ref(), Some(&row))?;
    Ok(Changed::one(load(transaction, target.tenant).await?, fact))
}

async fn put(transaction: &DatabaseTransaction, row: &refresh_schedule::Model) -> Result<()> {
    use refresh_schedule::Column::{Active, Cadence, Days, Tenant, TimeZone, Times, UpdateTime, UpdatedBy, Version};
    let row = row.clone();
    let row = refresh_schedule::ActiveModel {
        tenant: Set(row.tenant),
        active: Set(row.active),
        cadence: Set(row.cadence),
        days: Set(row.days),
        times: Set(row.times),
        time_zone: Set(row.time_zone),
        updated_by: Set(row.updated_by),
        version: Set(row.version),
        update_time: Set(row.update_time),
    };
    let replace = OnConflict::column(Tenant)
        .update_columns([Active, Cadence, Days, Times, TimeZone, UpdatedBy, Version, UpdateTime])
        .to_owned();
    let insert = refresh_schedule::Entity::insert(row).on_conflict(replace);
    insert.exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

async fn load(connection: &impl ConnectionTrait, tenant: TenantId) -> Result<RefreshSchedule> {
    let row = refresh_schedule::Entity::find_by_id(tenant.as_str()).one(connection).await.map_err(database)?;
    let Some(row) = row else { return Ok(RefreshSchedule::untouched(tenant)) };
    let next = tick::next_refresh_of(connection, tenant.as_str()).await?;
    Ok(RefreshSchedule {
        tenant,
        active: row.active != 0,
        cadence: from_json("refresh_schedules", &row.cadence)?,
        days: from_json("refresh_schedules", &row.days)?,
        times: from_json("refresh_schedules", &row.times)?,
        time_zone: row.time_zone,
        next_time: next.map(Timestamp::from_millis),
        updated_by: row.updated_by,
        version: row.version,
        update_time: Some(Timestamp::from_millis(row.update_time)),
    })
}

/// The instants of a schedule that is on.
pub(crate) fn times_of(row: &refresh_schedule::Model) -> Result<RefreshTimes> {
    let bad = |error: &dyn std::fmt::Display| corrupt("refresh_schedules", error);
    let cadence: Cadence = from_json("refresh_schedules", &row.cadence)?;
    let (days, times): (Vec<u8>, Vec<String>) =
        (from_json("refresh_schedules", &row.days)?, from_json("refresh_schedules", &row.times)?);
    let days = match cadence {
        Cadence::Daily => Days::ALL,
        Cadence::Weekly => days
            .into_iter()
            .try_fold(Days::default(), Days::and)
            .ok_or_else(|| bad(&"a day that is none, or stands twice"))?,
    };
    let times = times.iter().map(|time| TimeOfDay::parse(time)).collect::<Result<Vec<_>, _>>();
    let times = times.map_err(|error| bad(&error))?;
    let zone = Zone::parse(&row.time_zone).map_err(|error| bad(&error))?;
    RefreshTimes::new(days, &times, zone).map_err(|error| bad(&error))
}
