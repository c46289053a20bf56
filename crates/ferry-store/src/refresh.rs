//! A refresh of a tenant's segments: it is opened, its segments are counted (by whoever carries it, outside of the
//! database), and then the exports that go with it are run ([`crate::refresh_exports`]). Where a crash comes between, the
//! counting is done again and the rest follows.
//!
//! While it is open, what is due of its segments waits ([`crate::tick`]).

use crate::audit::{self, Changed, Fact, Who};
use crate::entity::{refresh, segment_count};
use crate::error::{corrupt, database, from_json, to_json};
use crate::request::{self, Write};
use crate::{Store, tenant as tenants};
use ferry_domain::authz::action::{GetSegment, ListSegments, StartRefresh};
use ferry_domain::authz::{Action, Permit, Spent};
use ferry_domain::{Error, Result, SegmentId, TenantId, TenantName, Timestamp, limits};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder};
use std::collections::BTreeMap;

/// A refresh that is to be opened.
pub(crate) struct Opened {
    id: String,
    tenant: TenantId,
    asked_by: String,
    segments: Option<Vec<SegmentId>>,
    failed: Vec<(SegmentId, String)>,
}

impl Opened {
    /// By the tenant's schedule: of all segments.
    pub(crate) fn by_itself(id: String, tenant: &TenantId) -> Self {
        Self { id, tenant: tenant.clone(), asked_by: String::new(), segments: None, failed: Vec::new() }
    }
}

/// What a caller says of a refresh.
#[derive(Debug, Clone, Default)]
pub struct NewRefresh {
    /// Its id.
    pub id: String,
    /// The segments that were refreshed; nothing for all that have not failed.
    pub segments: Option<Vec<SegmentId>>,
    /// Those that failed, with the cause.
    pub failed: Vec<(SegmentId, String)>,
}

/// A refresh that goes on. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRefresh {
    /// Its id.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Whether it is by the tenant's schedule; else somebody has asked for it and carries it.
    pub by_itself: bool,
    /// When it was opened.
    pub create_time: Timestamp,
    /// Whether it has ended: then a repeat gets what came of it.
    pub has_ended: bool,
    /// The segments that were named; nothing for all.
    pub segments: Option<Vec<SegmentId>>,
    /// Those of which it was said that they failed, with the cause.
    pub failed: Vec<(SegmentId, String)>,
}

impl OpenRefresh {
    /// Whether it is about one of these segments.
    pub(crate) fn concerns(&self, segments: &[SegmentId]) -> bool {
        let named = |id: &SegmentId| self.failed.iter().any(|(failed, _)| failed == id);
        segments.iter().any(|id| self.segments.as_ref().is_none_or(|all| all.contains(id)) || named(id))
    }
}

/// How many members a segment had when it was last counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentCount {
    /// How many.
    pub members: u64,
    /// When.
    pub time: Timestamp,
}

impl Store {
    /// Opens a refresh that a caller asks for; of a repeat, the first.
    pub fn refresh_start(
        &self,
        permit: Permit<StartRefresh>,
        new: NewRefresh,
        write: Write,
    ) -> impl Future<Output = Result<OpenRefresh>> + Send + use<> {
        let Spent { target, act, .. } = permit.spend();
        let (store, by) = (self.clone(), act.subject.clone());
        async move {
            store.change(act, write.now, move |transaction| Box::pin(start(transaction, target, by, new, write))).await
        }
    }

    /// Refreshes that go on, the oldest first.
    pub async fn refreshes_open(&self) -> Result<Vec<OpenRefresh>> {
        let rows = refresh::Entity::find()
            .filter(refresh::Column::EndTime.is_null())
            .order_by_asc(refresh::Column::CreateTime)
            .all(&self.readers)
            .await
            .map_err(database)?;
        rows.into_iter().map(to_domain).collect()
    }

    /// What was counted of a tenant's segments.
    pub fn segment_counts(
        &self,
        permit: Permit<ListSegments>,
    ) -> impl Future<Output = Result<BTreeMap<String, SegmentCount>>> + Send + use<> {
        let tenant = permit.spend().target.tenant;
        let readers = self.readers.clone();
        async move {
            let of_tenant = segment_count::Entity::find().filter(segment_count::Column::Tenant.eq(tenant.as_str()));
            let rows = of_tenant.all(&readers).await.map_err(database)?;
            rows.into_iter().map(|row| Ok((row.segment.clone(), count_of(&row)?))).collect()
        }
    }

    /// What was counted of a segment.
    pub fn segment_count(
        &self,
        permit: Permit<GetSegment>,
    ) -> impl Future<Output = Result<Option<SegmentCount>>> + Send + use<> {
        let name = permit.spend().target;
        let readers = self.readers.clone();
        async move {
            let key = (name.tenant.as_str().to_owned(), name.segment.as_str().to_owned());
            let row = segment_count::Entity::find_by_id(key).one(&readers).await.map_err(database)?;
            row.as_ref().map(count_of).transpose()
        }
    }
}

fn count_of(row: &segment_count::Model) -> Result<SegmentCount> {
    let members = u64::try_from(row.members).map_err(|error| corrupt("segment_counts", error))?;
    Ok(SegmentCount { members, time: Timestamp::from_millis(row.time) })
}

async fn start(
    transaction: &DatabaseTransaction,
    target: TenantName,
    by: String,
    new: NewRefresh,
    write: Write,
) -> Result<Changed<OpenRefresh>> {
    let tenant = target.tenant.as_str();
    if let Some(first) = request::earlier(transaction, tenant, StartRefresh::METHOD, &write).await? {
        return Ok(Changed::nothing(to_domain(load(transaction, &first).await?)?));
    }
    tenants::must_exist(transaction, &target.tenant).await?;
    let fact = Fact::new("REFRESH_STARTED", tenant, &target)
        .with("refresh", &new.id)
        .with("segments", new.segments.as_ref().map_or("all".to_owned(), |named| named.len().to_string()))
        .with("failed_segments", new.failed.len());
    request::note(transaction, tenant, StartRefresh::METHOD, &write, &new.id).await?;
    let NewRefresh { id, segments, failed } = new;
    let opened = Opened { id, tenant: target.tenant.clone(), asked_by: by, segments, failed };
    let row = insert(transaction, opened, write.now).await?;
    Ok(Changed::one(to_domain(row)?, fact))
}

/// Opens a refresh by the tenant's schedule.
pub(crate) async fn open(transaction: &DatabaseTransaction, opened: Opened, now: Timestamp) -> Result<()> {
    let fact = Fact::new("REFRESH_STARTED", opened.tenant.as_str(), TenantName { tenant: opened.tenant.clone() })
        .with("refresh", &opened.id)
        .with("segments", "all")
        .with("failed_segments", 0);
    insert(transaction, opened, now).await?;
    audit::append(transaction, &Who::ferry(), fact, now).await?;
    Ok(())
}

async fn insert(transaction: &DatabaseTransaction, opened: Opened, now: Timestamp) -> Result<refresh::Model> {
    forget_old(transaction, opened.tenant.as_str(), now).await?;
    let row = refresh::ActiveModel {
        id: Set(opened.id),
        tenant: Set(opened.tenant.as_str().to_owned()),
        asked_by: Set(opened.asked_by),
        segments: Set(opened.segments.as_ref().map(to_json).transpose()?),
        failed: Set(to_json(&opened.failed)?),
        create_time: Set(now.as_millis()),
        end_time: Set(None),
        through: Set(None),
        runs: Set("[]".to_owned()),
        already_running: Set("[]".to_owned()),
    };
    refresh::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)
}

/// A repeat by its request id asks for the first one for so long.
async fn forget_old(transaction: &DatabaseTransaction, tenant: &str, now: Timestamp) -> Result<()> {
    let kept = i64::try_from(limits::REQUEST_ID_KEPT.as_millis()).unwrap_or(i64::MAX);
    refresh::Entity::delete_many()
        .filter(refresh::Column::Tenant.eq(tenant))
        .filter(refresh::Column::EndTime.lt(now.as_millis().saturating_sub(kept.saturating_mul(2))))
        .exec(transaction)
        .await
        .map_err(database)?;
    Ok(())
}

/// Whether a refresh of one of these segments goes on.
pub(crate) async fn goes_on(connection: &impl ConnectionTrait, tenant: &str, segments: &[SegmentId]) -> Result<bool> {
    let open = refresh::Entity::find()
        .filter(refresh::Column::Tenant.eq(tenant))
        .filter(refresh::Column::EndTime.is_null())
        .all(connection)
        .await
        .map_err(database)?;
    for row in open {
        if to_domain(row)?.concerns(segments) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn load(connection: &impl ConnectionTrait, id: &str) -> Result<refresh::Model> {
    let found = refresh::Entity::find_by_id(id).one(connection).await.map_err(database)?;
    found.ok_or_else(|| not_found(id))
}

pub(crate) fn not_found(id: &str) -> Error {
    Error::NotFound { kind: "refresh", name: id.to_owned() }
}

fn to_domain(row: refresh::Model) -> Result<OpenRefresh> {
    Ok(OpenRefresh {
        id: row.id,
        tenant: TenantId::parse(&row.tenant).map_err(|error| corrupt("refreshes", error))?,
        by_itself: row.asked_by.is_empty(),
        create_time: Timestamp::from_millis(row.create_time),
        has_ended: row.end_time.is_some(),
        segments: row.segments.as_deref().map(|text| from_json("refreshes", text)).transpose()?,
        failed: from_json("refreshes", &row.failed)?,
    })
}

/// What a removed tenant had refreshed goes with it.
pub(crate) async fn purge(transaction: &DatabaseTransaction, tenant: &str) -> Result<()> {
    let refreshes = refresh::Entity::delete_many().filter(refresh::Column::Tenant.eq(tenant));
    refreshes.exec(transaction).await.map_err(database)?;
    let counts = segment_count::Entity::delete_many().filter(segment_count::Column::Tenant.eq(tenant));
    counts.exec(transaction).await.map_err(database)?;
    Ok(())
}
