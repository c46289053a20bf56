//! Runs whose plan was adopted and whose outcomes are in no recipients file yet.

use super::RecipientsKey;
use crate::batch::{self, BatchRecord};
use crate::entity::{attempt, connection, export, plan_index, run, tenant};
use crate::error::{corrupt, database};
use crate::lease::Lease;
use crate::plan::{self, PlanRecord};
use crate::run_work::Fenced;
use crate::{Store, run as runs};
use ferry_domain::export::DestinationField;
use ferry_domain::{LeavePolicy, Result, RunId, TenantId, Timestamp, Trigger};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::HashMap;

/// Such a run, with all that says whom it sent to, and what: neither its export nor its connection need be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfolded {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub run: RunId,
    /// The run whose files the plan and its index are among.
    pub planned_in: RunId,
    /// The export's id.
    pub export: String,
    /// The connection's id.
    pub connection: String,
    /// Where its rows belong.
    pub key: RecipientsKey,
    /// Its plan.
    pub plan: PlanRecord,
    /// When it began.
    pub begin_time: Timestamp,
    /// When it ended; nothing while it goes on.
    pub end_time: Option<Timestamp>,
    trigger: Trigger,
}

/// A batch on record, and when it was sent: first and last. Nothing if it certainly never was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBatch {
    /// The batch.
    pub record: BatchRecord,
    /// When, as the intents say.
    pub sent: Option<(Timestamp, Timestamp)>,
}

impl Unfolded {
    /// The destination fields that its members were sent with.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let fields = self.plan.fields.as_deref().unwrap_or_default();
        fields.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect()
    }

    /// What its data is for.
    #[must_use]
    pub fn purpose(&self) -> &str {
        self.plan.purpose.as_deref().unwrap_or_default()
    }

    /// What is sent of those who left. Nothing if they are taken off the list.
    #[must_use]
    pub fn fields_of_who_left(&self) -> Option<Vec<String>> {
        match (self.trigger, &self.plan.leave_policy) {
            (Trigger::Retraction | Trigger::Erasure, _) => None,
            (_, Some(LeavePolicy::SetField { field, .. })) => {
                let fields = [DestinationField::Email, DestinationField::Custom(*field)];
                Some(fields.iter().map(ToString::to_string).collect())
            }
            (_, _) => None,
        }
    }
}

impl Store {
    /// Runs that have ended and are not folded, in the order of their ends. Those of removed tenants are not among them.
    pub async fn recipients_due(&self) -> Result<Vec<Unfolded>> {
        let rows = plan_index::Entity::find().filter(plan_index::Column::Folded.eq(0));
        let rows = rows.all(&self.readers).await.map_err(database)?;
        let mut ended = with_runs(&self.readers, rows).await?;
        ended.retain(|unfolded| unfolded.end_time.is_some());
        let removed: Vec<String> = tenant::Entity::find()
            .select_only()
            .column(tenant::Column::Id)
            .filter(tenant::Column::DeleteTime.is_not_null())
            .filter(tenant::Column::Id.is_in(ended.iter().map(|unfolded| unfolded.tenant.as_str())))
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(database)?;
        ended.retain(|unfolded| !removed.iter().any(|removed| removed == unfolded.tenant.as_str()));
        Ok(ended)
    }

    /// The batches of such a run, in order.
    pub async fn recipients_batches(&self, of: &Unfolded) -> Result<Vec<SentBatch>> {
        let batches = batch::of_run(&self.readers, of.run.as_str(), None).await?;
        sent(&self.readers, of.run.as_str(), batches, None).await
    }

    /// As `recipients_batches`, those alone that carry or carried this row.
    pub async fn recipients_batches_of_row(&self, of: &Unfolded, ordinal: u64) -> Result<Vec<SentBatch>> {
        let batches = batch::of_run(&self.readers, of.run.as_str(), Some(ordinal)).await?;
        let some: Vec<u32> = batches.iter().map(|batch| batch.seq).collect();
        sent(&self.readers, of.run.as_str(), batches, Some(&some)).await
    }

    /// Notes a run that adopted its plan before such runs were noted. Its index is there.
    pub async fn recipients_note(&self, lease: &Lease) -> Fenced<()> {
        self.under_lease(lease, |transaction, found| Box::pin(async move { note(transaction, &found).await })).await
    }
}

/// Notes a run in the transaction that adopts its plan. A dry run sends nothing; nor does one whose connection is gone.
pub(crate) async fn note(connection: &impl ConnectionTrait, run: &run::Model) -> Result<()> {
    let key = |id: &str| (run.tenant.clone(), id.to_owned());
    let export = export::Entity::find_by_id(key(&run.export)).one(connection).await.map_err(database)?;
    let on = connection::Entity::find_by_id(key(&run.connection)).one(connection).await.map_err(database)?;
    let Some((export, on)) = export.zip(on).filter(|_| !run.dry_run) else { return Ok(()) };
    let row = plan_index::ActiveModel {
        run: Set(run.id.clone()),
        tenant: Set(run.tenant.clone()),
        planned_in: Set(run.plan_of.clone().unwrap_or_else(|| run.id.clone())),
        export_uid: Set(export.uid),
        connection_uid: Set(on.uid),
        folded: Set(0),
    };
    let once = OnConflict::column(plan_index::Column::Run).do_nothing().to_owned();
    let insert = plan_index::Entity::insert(row).on_conflict(once);
    insert.exec_without_returning(connection).await.map_err(database)?;
    Ok(())
}

/// Those of a tenant, ended or not, in the order in which they are folded: those that go on come last.
pub(super) async fn of_tenant(connection: &impl ConnectionTrait, tenant: &TenantId) -> Result<Vec<Unfolded>> {
    let rows = plan_index::Entity::find()
        .filter(plan_index::Column::Tenant.eq(tenant.as_str()))
        .filter(plan_index::Column::Folded.eq(0));
    with_runs(connection, rows.all(connection).await.map_err(database)?).await
}

async fn with_runs(connection: &impl ConnectionTrait, rows: Vec<plan_index::Model>) -> Result<Vec<Unfolded>> {
    let ids: Vec<&str> = rows.iter().map(|row| row.run.as_str()).collect();
    let mut found: HashMap<String, (run::Model, PlanRecord)> = HashMap::new();
    for some in ids.chunks(500) {
        let runs = run::Entity::find().filter(run::Column::Id.is_in(some.iter().copied()));
        let mut plans = plan::of_runs(connection, some).await?;
        for row in runs.all(connection).await.map_err(database)? {
            if let Some(plan) = plans.remove(&row.id) {
                found.insert(row.id.clone(), (row, plan));
            }
        }
    }
    let mut unfolded = Vec::with_capacity(rows.len());
    for index in rows {
        let (row, plan) = found.remove(&index.run).ok_or_else(|| corrupt("plan_indexes", "a run is gone"))?;
        unfolded.push(to_domain(index, row, plan)?);
    }
    let last = Timestamp::from_millis(i64::MAX);
    unfolded.sort_by(|one, other| {
        let place = |of: &Unfolded| (of.end_time.unwrap_or(last), of.begin_time, of.run.as_str().to_owned());
        place(one).cmp(&place(other))
    });
    Ok(unfolded)
}

fn to_domain(index: plan_index::Model, row: run::Model, plan: PlanRecord) -> Result<Unfolded> {
    let trigger = runs::trigger_of(&row)?;
    let id = |id: &str| RunId::parse(id).map_err(|error| corrupt("plan_indexes", error));
    Ok(Unfolded {
        tenant: TenantId::parse(&row.tenant).map_err(|error| corrupt("plan_indexes", error))?,
        run: id(&row.id)?,
        planned_in: id(&index.planned_in)?,
        export: row.export,
        connection: row.connection,
        key: RecipientsKey {
            export_uid: index.export_uid,
            connection_uid: index.connection_uid,
            generation: plan.connection_generation,
            list: plan.list,
        },
        plan,
        begin_time: Timestamp::from_millis(row.start_time.unwrap_or(row.create_time)),
        end_time: row.end_time.map(Timestamp::from_millis),
        trigger,
    })
}

/// When each batch was sent. An attempt that certainly did not leave counts for nothing.
async fn sent(
    connection: &impl ConnectionTrait,
    run: &str,
    batches: Vec<BatchRecord>,
    some: Option<&[u32]>,
) -> Result<Vec<SentBatch>> {
    use attempt::Column as C;
    let never = [batch::AttemptOutcome::NotSent, batch::AttemptOutcome::Void].map(|outcome| outcome.word());
    let mut times = attempt::Entity::find()
        .select_only()
        .column(C::Seq)
        .column_as(C::IntentTime.min(), "first")
        .column_as(C::IntentTime.max(), "last")
        .filter(C::Run.eq(run))
        .filter(Expr::col(C::Outcome).is_null().or(Expr::col(C::Outcome).is_not_in(never)));
    if let Some(some) = some {
        times = times.filter(C::Seq.is_in(some.iter().map(|seq| i64::from(*seq))));
    }
    let times: Vec<(i64, i64, i64)> = times.group_by(C::Seq).into_tuple().all(connection).await.map_err(database)?;
    let at = Timestamp::from_millis;
    let times: HashMap<i64, _> = times.into_iter().map(|(seq, first, last)| (seq, (at(first), at(last)))).collect();
    let with_time = |record: BatchRecord| SentBatch { sent: times.get(&i64::from(record.seq)).copied(), record };
    Ok(batches.into_iter().map(with_time).collect())
}
