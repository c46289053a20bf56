//! A database that an older copy of itself was put in the place of: what it does not know of must not be believed away.
//!
//! Whatever happened after the copy was made is not in it, while the destinations have it. So no state is trusted, no
//! older plan stands, whoever was suppressed stays so, and a new log begins: the old one may have been signed further.

use super::{AuditLog, SignedCheckpoint, begin, find_log, grow, log_row, newest, seal, to_row};
use crate::Store;
use crate::anchor::anchor_runs;
use crate::audit::{self, Fact, OPERATOR, Who};
use crate::batch::BatchState;
use crate::entity::{
    audit_chain, audit_checkpoint, audit_log, batch, export, export_state, plan, run, suppression, tenant,
};
use crate::error::{corrupt, database, to_json};
use crate::facts::{self, Cause};
use crate::new_entries::NewEntries;
use crate::{export as exports, plan as plans, run as runs, run_change, run_hold};
use ferry_domain::{Culprit, Reason, Result, RunError, RunState, Severity, Timestamp, hex};
use ferry_ledger::checkpoint::Signer;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Rows of one statement.
const ROWS: usize = 500;

/// Somebody whom an erasure keeps from being sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressedPerson {
    /// The tenant's id.
    pub tenant: String,
    /// The keyed digest of the person.
    pub person: Vec<u8>,
    /// Since when.
    pub time: Timestamp,
    /// The erasure.
    pub erasure: String,
}

/// What is known of the history that the database lost.
#[derive(Debug, Clone)]
pub struct Lost {
    /// The newest checkpoint outside of the database, of whichever log.
    pub newest: SignedCheckpoint,
    /// The origin of the log that begins now.
    pub origin: String,
    /// Which key signs it.
    pub key_generation: u32,
    /// Everybody who was ever suppressed.
    pub suppressed: Vec<SuppressedPerson>,
}

/// What an acknowledged restoration came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The first checkpoint of the new log.
    pub first: SignedCheckpoint,
    /// Chains that say so, the operator's among them.
    pub chains: usize,
    /// States of exports that are not believed any more.
    pub states: u64,
    /// Runs that end.
    pub runs: usize,
    /// People who are suppressed, those that the database knew among them.
    pub suppressed: usize,
}

impl Store {
    /// Takes it as it is that the database lost a part of its history. Called before anything is served.
    pub async fn restore_acknowledge(&self, lost: Lost, signer: Arc<Signer>, now: Timestamp) -> Result<Acknowledged> {
        self.writer
            .run(move |transaction| Box::pin(async move { acknowledge(transaction, lost, &signer, now).await }))
            .await
    }

    /// Everybody whom an erasure keeps from being sent again.
    pub async fn suppressed_people(&self) -> Result<Vec<SuppressedPerson>> {
        let rows = suppression::Entity::find().all(&self.readers).await.map_err(database)?;
        let read = |row: suppression::Model| SuppressedPerson {
            tenant: row.tenant,
            person: row.person,
            time: Timestamp::from_millis(row.time),
            erasure: row.erasure,
        };
        Ok(rows.into_iter().map(read).collect())
    }
}

async fn acknowledge(
    transaction: &DatabaseTransaction,
    lost: Lost,
    signer: &Signer,
    now: Timestamp,
) -> Result<Acknowledged> {
    let own = find_log(transaction).await?;
    let own_newest = match &own {
        Some(log) => newest(transaction, &log.origin).await?,
        None => None,
    };
    let states = distrust(transaction).await?;
    let (runs, ended) = end_planned(transaction, now).await?;
    suppress(transaction, &lost.suppressed).await?;
    run_change::begin_anew(transaction).await?;
    let tenants = affected(transaction).await?;
    for tenant in &tenants {
        let fact = restored(tenant, &lost, (own.as_ref(), own_newest.as_ref()));
        audit::append(transaction, &Who::ferry(), fact, now).await?;
    }
    for fact in ended {
        audit::append(transaction, &Who::ferry(), fact, now).await?;
    }
    anchor_runs(transaction, None, now).await?;
    let log = begin_anew(transaction, &lost).await?;
    let (size, root) = grow::leaves(transaction, &log.origin, (0, None))
        .await?
        .ok_or_else(|| corrupt("audit_chains", "no chain has an entry"))?;
    let first = seal(transaction, &log, signer, (size, root, None), now).await?;
    NewEntries::covered();
    Ok(Acknowledged { first, chains: tenants.len(), states, runs, suppressed: lost.suppressed.len() })
}

/// The next plan of each export believes nothing of its state but who was unsubscribed. A plan that was made before
/// stands on the version of its export, so a new version voids it.
async fn distrust(transaction: &DatabaseTransaction) -> Result<u64> {
    let states = export_state::Entity::update_many()
        .col_expr(export_state::Column::Untrusted, Expr::value(1))
        .exec(transaction)
        .await
        .map_err(database)?;
    export::Entity::update_many()
        .col_expr(export::Column::Version, Expr::col(export::Column::Version).add(1))
        .exec(transaction)
        .await
        .map_err(database)?;
    Ok(states.rows_affected)
}

/// Live runs that have a plan come to their end by way of the engine, which sends nothing more of them, asks for what
/// was queued, and brings into the state what may be there. A run without a plan begins anew by itself.
async fn end_planned(transaction: &DatabaseTransaction, now: Timestamp) -> Result<(usize, Vec<Fact>)> {
    let live =
        run::Entity::find()
            .filter(run::Column::State.is_in(exports::live_states()))
            .filter(run::Column::DryRun.eq(false))
            .filter(run::Column::Id.in_subquery(sea_orm::QueryTrait::into_query(
                plan::Entity::find().select_only().column(plan::Column::Run),
            )))
            .all(transaction)
            .await
            .map_err(database)?;
    let (count, mut told) = (live.len(), Vec::new());
    for found in live {
        doubt_batches(transaction, &found.id).await?;
        let mut row = found.clone().into_active_model();
        run_hold::waits_no_longer(&mut row, &found, now);
        if runs::read_state(&found)? != RunState::Cancelling {
            runs::change_state(&mut row, RunState::Cancelling);
        }
        row.error = Set(Some(to_json(&unknown())?));
        row.version = Set(found.version + 1);
        let row = run_change::update(transaction, &found, row, now).await?;
        if found.state != row.state {
            told.extend(facts::stopped(Cause::DatabaseRestored, &found, &row)?);
        }
    }
    Ok((count, told))
}

fn unknown() -> RunError {
    RunError {
        reason: Reason::OutcomeUnknown,
        message:
            "the database was put back from a backup, so nobody knows what this run has sent since then; the next \
                  run sends everybody again"
                .to_owned(),
        severity: Severity::Temporary,
        culprit: Culprit::System,
    }
}

/// What was not sent when the backup was made may have been sent since. So each such batch is one that may have arrived:
/// those of the plan that have no row yet, those that were due again, and the rest of those that were split.
async fn doubt_batches(transaction: &DatabaseTransaction, run: &str) -> Result<()> {
    let Some(plan) = plans::find(transaction, run).await? else { return Ok(()) };
    batch::Entity::update_many()
        .col_expr(batch::Column::MayHaveArrived, Expr::value(true))
        .filter(batch::Column::Run.eq(run))
        .filter(batch::Column::State.is_in([BatchState::Due.word(), BatchState::Split.word()]))
        .exec(transaction)
        .await
        .map_err(database)?;
    let on_record: Vec<i64> = batch::Entity::find()
        .select_only()
        .column(batch::Column::Seq)
        .filter(batch::Column::Run.eq(run))
        .into_tuple()
        .all(transaction)
        .await
        .map_err(database)?;
    let on_record: HashSet<i64> = on_record.into_iter().collect();
    let (mut rows, mut first) = (Vec::new(), 0_i64);
    for (seq, size) in (0_i64..).zip(plan.batch_rows.iter().chain(&plan.removal_batch_rows)) {
        if !on_record.contains(&seq) {
            rows.push(may_have_been_sent(run, (seq, first, i64::from(*size))));
        }
        first += i64::from(*size);
    }
    for some in rows.chunks(ROWS) {
        let insert = batch::Entity::insert_many(some.to_vec());
        insert.exec_without_returning(transaction).await.map_err(database)?;
    }
    Ok(())
}

fn may_have_been_sent(run: &str, (seq, first, rows): (i64, i64, i64)) -> batch::ActiveModel {
    batch::ActiveModel {
        run: Set(run.to_owned()),
        seq: Set(seq),
        parent: Set(None),
        first: Set(first),
        rows: Set(rows),
        removed: Set("[]".to_owned()),
        state: Set(BatchState::Unknown.word().to_owned()),
        attempts: Set(0),
        may_have_arrived: Set(true),
        remote_id: Set(None),
        sent_time: Set(None),
        confirmed: Set(0),
        refused: Set("[]".to_owned()),
    }
}

async fn suppress(transaction: &DatabaseTransaction, people: &[SuppressedPerson]) -> Result<()> {
    use suppression::Column as C;
    for some in people.chunks(ROWS) {
        let rows = some.iter().map(|one| suppression::ActiveModel {
            tenant: Set(one.tenant.clone()),
            person: Set(one.person.clone()),
            time: Set(one.time.as_millis()),
            erasure: Set(one.erasure.clone()),
        });
        let known = OnConflict::columns([C::Tenant, C::Person]).update_column(C::Person).to_owned();
        let insert = suppression::Entity::insert_many(rows).on_conflict(known);
        insert.exec_without_returning(transaction).await.map_err(database)?;
    }
    Ok(())
}

/// The operator's chain, that of each tenant that there is, and no other: what was removed stays so.
async fn affected(transaction: &DatabaseTransaction) -> Result<BTreeSet<String>> {
    let tenants: Vec<String> = tenant::Entity::find()
        .select_only()
        .column(tenant::Column::Id)
        .filter(tenant::Column::DeleteTime.is_null())
        .into_tuple()
        .all(transaction)
        .await
        .map_err(database)?;
    Ok(tenants.into_iter().chain([OPERATOR.to_owned()]).collect())
}

fn restored(tenant: &str, lost: &Lost, (log, own): (Option<&AuditLog>, Option<&SignedCheckpoint>)) -> Fact {
    let mut details = BTreeMap::from([
        ("origin".to_owned(), lost.newest.origin.clone()),
        ("size".to_owned(), lost.newest.size.to_string()),
        ("root".to_owned(), hex::encode(&lost.newest.root)),
        ("time".to_owned(), lost.newest.time.as_millis().to_string()),
        ("own_size".to_owned(), own.map_or(0, |own| own.size).to_string()),
        ("new_origin".to_owned(), lost.origin.clone()),
    ]);
    if let Some(log) = log {
        details.insert("own_origin".to_owned(), log.origin.clone());
    }
    let suppressed = lost.suppressed.iter().filter(|one| one.tenant == tenant).count();
    details.insert("suppressions".to_owned(), suppressed.to_string());
    Fact { details, ..Fact::new("DATABASE_RESTORED", tenant, &lost.newest.origin) }
}

/// The lost checkpoint is kept among the others: by that a later start knows that it was acknowledged.
async fn begin_anew(transaction: &DatabaseTransaction, lost: &Lost) -> Result<AuditLog> {
    use audit_checkpoint::Column as C;
    let replace =
        OnConflict::columns([C::Log, C::Size]).update_columns([C::Root, C::Note, C::KeyGeneration, C::Time]).to_owned();
    let insert = audit_checkpoint::Entity::insert(to_row(&lost.newest)?).on_conflict(replace);
    insert.exec_without_returning(transaction).await.map_err(database)?;
    audit_chain::Entity::update_many()
        .col_expr(audit_chain::Column::LeafNumber, Expr::value(0))
        .exec(transaction)
        .await
        .map_err(database)?;
    if find_log(transaction).await?.is_some() {
        let row = log_row(transaction).await?;
        audit_log::Entity::delete_by_id(row.id).exec(transaction).await.map_err(database)?;
    }
    begin(transaction, lost.origin.clone(), lost.key_generation).await
}
