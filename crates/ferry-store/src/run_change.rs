//! Every write of a run's row that changes what the run shows goes through here: it asks whether the state may follow,
//! and leaves a row in the log of changes, in the transaction of the change. So nobody who watches can miss one.
//!
//! Numbers are given for each tenant in the order of the commits: the tenant's head row is locked from the read to the
//! end of the transaction. In another order a reader that has seen a number would never see a lower one that is
//! committed after it.
//!
//! What a person must know of the change is noted here too, in the same transaction ([`notification::of_run`]).
//!
//! What batches do to the account is no change in this sense: it is read from the run itself, at most some times a
//! second ([`crate::run_watch`]).

use crate::Store;
use crate::entity::{run, run_change, run_change_head};
use crate::error::{corrupt, database, to_json};
use crate::{notification, run as runs};
use ferry_domain::{Error, Result, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the log is kept: a token that is older begins anew.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Rows that go in one transaction.
const ROWS: u64 = 500;
/// More changes than a tenant can make between a backup and its being put back.
const LEAP: i64 = 1_000_000_000;

/// Stores a new run.
pub(crate) async fn insert(
    transaction: &DatabaseTransaction,
    row: run::ActiveModel,
    now: Timestamp,
) -> Result<run::Model> {
    let row = run::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)?;
    append(transaction, &row, now).await?;
    Ok(row)
}

/// Stores what has become of a run.
pub(crate) async fn update(
    transaction: &DatabaseTransaction,
    found: &run::Model,
    row: run::ActiveModel,
    now: Timestamp,
) -> Result<run::Model> {
    let row = run::Entity::update(row).exec(transaction).await.map_err(database)?;
    let (from, to) = (runs::read_state(found)?, runs::read_state(&row)?);
    if from != to && !from.may_become(to) {
        let what = format!("{} to {}", from.as_str(), to.as_str());
        return Err(Error::internal("a run cannot change its state like this", what));
    }
    if shown(found) != shown(&row) {
        append(transaction, &row, now).await?;
    }
    notification::of_run(transaction, from, &row, now).await?;
    Ok(row)
}

/// Stores who carries a run, which nobody sees who watches it.
pub(crate) async fn update_unseen(
    transaction: &DatabaseTransaction,
    found: &run::Model,
    row: run::ActiveModel,
) -> Result<run::Model> {
    let row = run::Entity::update(row).exec(transaction).await.map_err(database)?;
    if shown(found) == shown(&row) {
        return Ok(row);
    }
    Err(Error::internal("a change of a run would not be seen", &row.id))
}

/// What a change is a change of: all but the account, who carries the run, and its chain. A new column counts until it
/// is named here.
fn shown(row: &run::Model) -> run::Model {
    run::Model {
        counts: String::new(),
        batches_settled: 0,
        version: 0,
        owner: None,
        epoch: 0,
        entries: 0,
        entries_head: None,
        entries_anchored: 0,
        ..row.clone()
    }
}

async fn append(transaction: &DatabaseTransaction, row: &run::Model, now: Timestamp) -> Result<()> {
    let head = run_change_head::Entity::find_by_id(row.tenant.as_str())
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(database)?;
    let number = head.map_or(0, |head| head.number) + 1;
    let change = run_change::ActiveModel {
        tenant: Set(row.tenant.clone()),
        number: Set(number),
        export: Set(row.export.clone()),
        run: Set(row.id.clone()),
        time: Set(now.as_millis()),
        body: Set(to_json(row)?),
    };
    run_change::Entity::insert(change).exec_without_returning(transaction).await.map_err(database)?;
    let head =
        run_change_head::ActiveModel { tenant: Set(row.tenant.clone()), number: Set(number), removed_through: Set(0) };
    let moved =
        OnConflict::column(run_change_head::Column::Tenant).update_column(run_change_head::Column::Number).to_owned();
    let write = run_change_head::Entity::insert(head).on_conflict(moved);
    write.exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

/// The log of a removed tenant goes.
pub(crate) async fn purge(transaction: &DatabaseTransaction, tenant: &str) -> Result<()> {
    let changes = run_change::Entity::delete_many().filter(run_change::Column::Tenant.eq(tenant));
    changes.exec(transaction).await.map_err(database)?;
    let head = run_change_head::Entity::delete_many().filter(run_change_head::Column::Tenant.eq(tenant));
    head.exec(transaction).await.map_err(database)?;
    Ok(())
}

/// The database was put back from a backup: numbers that were given since will be given again, to other changes. So the
/// log begins behind all of them, and whoever has one of them begins anew.
pub(crate) async fn begin_anew(transaction: &DatabaseTransaction) -> Result<()> {
    run_change::Entity::delete_many().exec(transaction).await.map_err(database)?;
    let behind = || Expr::col(run_change_head::Column::Number).add(LEAP);
    run_change_head::Entity::update_many()
        .col_expr(run_change_head::Column::RemovedThrough, behind())
        .col_expr(run_change_head::Column::Number, behind())
        .exec(transaction)
        .await
        .map_err(database)?;
    Ok(())
}

impl Store {
    /// Cuts some of what is older than the log is kept. Tells whether there may be more of it.
    pub async fn run_changes_cut(&self, now: Timestamp) -> Result<bool> {
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = now.as_millis().saturating_sub(kept);
        self.writer.run(move |transaction| Box::pin(cut(transaction, before))).await
    }
}

async fn cut(transaction: &DatabaseTransaction, before: i64) -> Result<bool> {
    let old: Vec<(String, i64)> = run_change::Entity::find()
        .select_only()
        .columns([run_change::Column::Tenant, run_change::Column::Number])
        .filter(run_change::Column::Time.lt(before))
        .order_by_asc(run_change::Column::Time)
        .limit(ROWS)
        .into_tuple()
        .all(transaction)
        .await
        .map_err(database)?;
    let mut through: BTreeMap<&str, i64> = BTreeMap::new();
    for (tenant, number) in &old {
        let last = through.entry(tenant).or_default();
        *last = Ord::max(*last, *number);
    }
    for (tenant, last) in through {
        run_change::Entity::delete_many()
            .filter(run_change::Column::Tenant.eq(tenant))
            .filter(run_change::Column::Number.lte(last))
            .exec(transaction)
            .await
            .map_err(database)?;
        // A token from before says so by its number.
        run_change_head::Entity::update_many()
            .col_expr(run_change_head::Column::RemovedThrough, Expr::value(last))
            .filter(run_change_head::Column::Tenant.eq(tenant))
            .filter(run_change_head::Column::RemovedThrough.lt(last))
            .exec(transaction)
            .await
            .map_err(database)?;
    }
    Ok(old.len() as u64 == ROWS)
}

/// Reads a run out of the log.
pub(crate) fn read(change: &run_change::Model) -> Result<ferry_domain::Run> {
    let row: run::Model = serde_json::from_str(&change.body).map_err(|error| corrupt("run_changes", error))?;
    runs::to_domain(row)
}
