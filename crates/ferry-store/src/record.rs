//! Records of the send path: intents, answers, results. They are most of what is written, so those that wait together
//! are written together: a few statements for all of them, whatever their number and whoever's runs they belong to.
//!
//! Each is still a record of its own. Its lease is checked in the transaction that writes it. What is fenced, stopped or
//! refused writes nothing and keeps no other from being written; if the database refuses the statements, each record is
//! tried alone. Whoever waits for a record writes the next one of that batch after it, so the order of those that wait
//! together means nothing; their entries follow one another in it.

use crate::batch::{AttemptOutcome, BatchAfter, BatchState, CountsDelta, Intent};
use crate::egress::{self, Heads};
use crate::entity::{attempt, batch, connection, plan, run};
use crate::error::{corrupt, database, from_json, to_json};
use ferry_domain::{Counts, Result, RunState, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, IntoIden, OnConflict, Query, TableRef, UpdateStatement};
use sea_orm::sea_query::{Value, ValueTuple};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect,
};
use std::collections::{BTreeMap, HashMap};

/// What is to be written, and under which lease.
pub(crate) struct Record {
    pub(crate) run: String,
    pub(crate) epoch: i64,
    pub(crate) what: What,
}

/// What is to be written.
pub(crate) enum What {
    /// A batch is about to be sent.
    Intent { intent: Intent, now: Timestamp },
    /// What came back from an attempt, and what becomes of its batch.
    Answer { attempt_id: String, outcome: AttemptOutcome, after: BatchAfter, delta: CountsDelta, now: Timestamp },
    /// What became of a batch without an attempt: the result of a poll, or of a recovery.
    Result { seq: u32, after: BatchAfter, delta: CountsDelta, now: Timestamp },
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is written.
    Written,
    /// The run has another owner.
    Fenced,
    /// An intent of a run that is to stop, or has ended.
    Stopped,
    /// An intent for a connection that is not the one the plan was made for.
    Moved,
}

/// What a record stands on.
#[derive(FromQueryResult)]
pub(crate) struct Ground {
    id: String,
    pub(crate) tenant: String,
    pub(crate) export: String,
    epoch: i64,
    state: String,
    counts: String,
    batches_settled: i64,
    version: i64,
    /// The head of the run's chain.
    pub(crate) entries: i64,
    pub(crate) entries_head: Option<Vec<u8>>,
    /// Of the connection, as it is now.
    generation: Option<i64>,
    /// Of the connection, as it was planned for.
    planned_for: Option<i64>,
}

/// What becomes of one batch.
struct Change<'a> {
    run: &'a str,
    seq: i64,
    after: &'a BatchAfter,
    /// Whether it is now possible that the rows are at the destination although nothing says so.
    doubt: bool,
}

/// Writes all records, or none of them.
pub(crate) async fn write(transaction: &DatabaseTransaction, records: &[&Record]) -> Result<Vec<Recorded>> {
    let grounds = grounds(transaction, records).await?;
    let recorded: Vec<Recorded> = records.iter().map(|record| recorded(record, grounds.get(&record.run))).collect();
    let written = || records.iter().zip(&recorded).filter(|(_, recorded)| **recorded == Recorded::Written);
    let intents: Vec<_> = written()
        .filter_map(|(record, _)| match &record.what {
            What::Intent { intent, now } => Some((*record, intent, *now)),
            What::Answer { .. } | What::Result { .. } => None,
        })
        .collect();
    write_intents(transaction, &intents).await?;
    let attempts = write_answers(transaction, written().map(|(record, _)| *record)).await?;
    let mut changes = Vec::new();
    let mut deltas: BTreeMap<&str, Vec<CountsDelta>> = BTreeMap::new();
    let mut batches = Vec::new();
    for (record, _) in written() {
        let (seq, after, delta, doubt) = match &record.what {
            What::Intent { intent, .. } => {
                batches.push((*record, i64::from(intent.batch.seq)));
                continue;
            }
            What::Answer { attempt_id, outcome, after, delta, .. } => {
                let seq = attempts.get(attempt_id.as_str()).copied();
                let seq = seq.ok_or_else(|| corrupt("attempts", "an answer without an intent"))?;
                (seq, after, delta, *outcome == AttemptOutcome::Unknown)
            }
            What::Result { seq, after, delta, .. } => (i64::from(*seq), after, delta, true),
        };
        batches.push((*record, seq));
        changes.push(Change { run: &record.run, seq, after, doubt });
        deltas.entry(record.run.as_str()).or_default().push(*delta);
    }
    write_batches(transaction, &changes).await?;
    if !attempts.is_empty() {
        ferry_domain::failpoint!("answer-written");
    }
    let heads = egress::append(transaction, &grounds, batches.into_iter()).await?;
    write_runs(transaction, &grounds, &deltas, &heads).await?;
    Ok(recorded)
}

async fn grounds(transaction: &DatabaseTransaction, records: &[&Record]) -> Result<HashMap<String, Ground>> {
    let mut runs: Vec<&str> = records.iter().map(|record| record.run.as_str()).collect();
    runs.sort_unstable();
    runs.dedup();
    let to_connection = run::Entity::belongs_to(connection::Entity)
        .from((run::Column::Tenant, run::Column::Connection))
        .to((connection::Column::Tenant, connection::Column::Id));
    let to_plan = run::Entity::belongs_to(plan::Entity).from(run::Column::Id).to(plan::Column::Run);
    let found = run::Entity::find()
        .select_only()
        .columns([run::Column::Id, run::Column::Epoch, run::Column::State, run::Column::Counts])
        .columns([run::Column::BatchesSettled, run::Column::Version, run::Column::Tenant, run::Column::Export])
        .columns([run::Column::Entries, run::Column::EntriesHead])
        .column_as(connection::Column::Generation, "generation")
        .column_as(plan::Column::ConnectionGeneration, "planned_for")
        .join(JoinType::LeftJoin, to_connection.into())
        .join(JoinType::LeftJoin, to_plan.into())
        .filter(run::Column::Id.is_in(runs))
        .into_model::<Ground>()
        .all(transaction)
        .await
        .map_err(database)?;
    Ok(found.into_iter().map(|ground| (ground.id.clone(), ground)).collect())
}

fn recorded(record: &Record, ground: Option<&Ground>) -> Recorded {
    let Some(ground) = ground.filter(|ground| ground.epoch == record.epoch) else { return Recorded::Fenced };
    match record.what {
        What::Answer { .. } | What::Result { .. } => Recorded::Written,
        What::Intent { .. } if ground.state != RunState::Processing.as_str() => Recorded::Stopped,
        What::Intent { .. } if ground.planned_for.is_none() || ground.generation != ground.planned_for => {
            Recorded::Moved
        }
        What::Intent { .. } => Recorded::Written,
    }
}

async fn write_intents(transaction: &DatabaseTransaction, intents: &[(&Record, &Intent, Timestamp)]) -> Result<()> {
    if intents.is_empty() {
        return Ok(());
    }
    let batches = intents.iter().map(|(record, intent, _)| new_batch(&record.run, intent));
    // One that was sent before is only intended again: its rows are the same.
    let again = OnConflict::columns([batch::Column::Run, batch::Column::Seq])
        .value(batch::Column::State, Expr::val(BatchState::Intended.word()))
        .value(batch::Column::Attempts, Expr::col((batch::Entity, batch::Column::Attempts)).add(1))
        .to_owned();
    let batches = batch::Entity::insert_many(batches.collect::<Result<Vec<_>>>()?).on_conflict(again);
    batches.exec_without_returning(transaction).await.map_err(database)?;
    let attempts = intents.iter().map(|(record, intent, now)| attempt::ActiveModel {
        id: Set(intent.attempt_id.clone()),
        run: Set(record.run.clone()),
        seq: Set(i64::from(intent.batch.seq)),
        epoch: Set(record.epoch),
        account: Set(intent.account.clone()),
        body_digest: Set(intent.body_digest.to_vec()),
        intent_time: Set(now.as_millis()),
        send_by: Set(intent.send_by.as_millis()),
        outcome: Set(None),
        remote_id: Set(None),
        answer_time: Set(None),
    });
    attempt::Entity::insert_many(attempts).exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

fn new_batch(run: &str, intent: &Intent) -> Result<batch::ActiveModel> {
    let key = &intent.batch;
    Ok(batch::ActiveModel {
        run: Set(run.to_owned()),
        seq: Set(i64::from(key.seq)),
        parent: Set(key.parent.map(i64::from)),
        first: Set(i64::try_from(key.first).map_err(|error| corrupt("batches", error))?),
        rows: Set(i64::from(key.rows)),
        removed: Set(to_json(&key.removed)?),
        state: Set(BatchState::Intended.word().to_owned()),
        attempts: Set(1),
        may_have_arrived: Set(false),
        remote_id: Set(None),
        sent_time: Set(None),
        confirmed: Set(0),
        refused: Set("[]".to_owned()),
    })
}

/// Closes attempts, and tells the batch of each.
async fn write_answers<'a>(
    transaction: &DatabaseTransaction,
    records: impl Iterator<Item = &'a Record>,
) -> Result<HashMap<String, i64>> {
    let answers = records.filter_map(|record| {
        let What::Answer { attempt_id, outcome, now, .. } = &record.what else { return None };
        let remote_id = match outcome {
            AttemptOutcome::Queued { remote_id } => Some(remote_id.clone()),
            _ => None,
        };
        let values: [Value; 4] =
            [attempt_id.clone().into(), outcome.word().into(), remote_id.into(), now.as_millis().into()];
        Some(ValueTuple::Many(values.into()))
    });
    let answers: Vec<ValueTuple> = answers.collect();
    if answers.is_empty() {
        return Ok(HashMap::new());
    }
    let mut update = update_from(attempt::Entity, answers);
    update
        .value(attempt::Column::Outcome, new(2))
        .value(attempt::Column::RemoteId, new(3))
        .value(attempt::Column::AnswerTime, new(4))
        .and_where(Expr::col((attempt::Entity, attempt::Column::Id)).eq(new(1)))
        .returning(Query::returning().columns([attempt::Column::Id, attempt::Column::Seq]));
    let rows = transaction.query_all(&update).await.map_err(database)?;
    let read = |row: &sea_orm::QueryResult| Ok((row.try_get("", "id")?, row.try_get("", "seq")?));
    rows.iter().map(read).collect::<std::result::Result<_, _>>().map_err(database)
}

async fn write_batches(transaction: &DatabaseTransaction, changes: &[Change<'_>]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let rows = changes.iter().map(row_of).collect::<Result<Vec<_>>>()?;
    let mut update = update_from(batch::Entity, rows);
    // What a change does not speak of stays as it is.
    let kept =
        |place, column| Expr::cust_with_exprs("COALESCE(?, ?)", [new(place), Expr::col((batch::Entity, column))]);
    update.value(batch::Column::State, new(3));
    let columns = [
        batch::Column::RemoteId,
        batch::Column::SentTime,
        batch::Column::Confirmed,
        batch::Column::Refused,
        batch::Column::MayHaveArrived,
    ];
    for (place, column) in (4..).zip(columns) {
        update.value(column, kept(place, column));
    }
    update
        .and_where(Expr::col((batch::Entity, batch::Column::Run)).eq(new(1)))
        .and_where(Expr::col((batch::Entity, batch::Column::Seq)).eq(new(2)));
    let written = transaction.execute(&update).await.map_err(database)?.rows_affected();
    if written != changes.len() as u64 {
        return Err(corrupt("batches", "an outcome without a batch, or two for one"));
    }
    Ok(())
}

fn row_of(change: &Change<'_>) -> Result<ValueTuple> {
    let (mut remote, mut sent, mut confirmed_rows, mut refused_rows, mut doubtful) = (None, None, None, None, None);
    match change.after {
        BatchAfter::Queued { remote_id, sent_time } => {
            (remote, sent) = (Some(remote_id.clone()), Some(sent_time.as_millis()));
        }
        BatchAfter::Due => doubtful = change.doubt.then_some(true),
        BatchAfter::Split { refused } => refused_rows = Some(to_json(refused)?),
        BatchAfter::Settled { confirmed, refused } => {
            (confirmed_rows, refused_rows) = (Some(i64::from(*confirmed)), Some(to_json(refused)?));
            doubtful = Some(false);
        }
        BatchAfter::Unknown => {}
    }
    let key: [Value; 3] = [change.run.into(), change.seq.into(), change.after.state().word().into()];
    let values: [Value; 5] = [remote.into(), sent.into(), confirmed_rows.into(), refused_rows.into(), doubtful.into()];
    Ok(ValueTuple::Many(key.into_iter().chain(values).collect()))
}

/// The accounts of the runs, and the heads of their chains. A run whose account stays has no new version.
async fn write_runs(
    transaction: &DatabaseTransaction,
    grounds: &HashMap<String, Ground>,
    deltas: &BTreeMap<&str, Vec<CountsDelta>>,
    heads: &Heads<'_>,
) -> Result<()> {
    let mut rows = Vec::with_capacity(heads.len());
    for (run, (entries, head)) in heads {
        let Some(ground) = grounds.get(*run) else { continue };
        let deltas = deltas.get(run).into_iter().flatten().filter(|delta| **delta != CountsDelta::default());
        let (mut counts, mut settled, mut version) = (None, ground.batches_settled, ground.version);
        for delta in deltas {
            if counts.is_none() {
                counts = Some(from_json::<Counts>("runs", &ground.counts)?);
                version += 1;
            }
            counts.iter_mut().for_each(|counts| delta.add_to(counts));
            settled += delta.batches_settled;
        }
        let counts = counts.as_ref().map_or_else(|| Ok(ground.counts.clone()), to_json)?;
        let values: [Value; 6] =
            [(*run).into(), counts.into(), settled.into(), version.into(), (*entries).into(), head.to_vec().into()];
        rows.push(ValueTuple::Many(values.into()));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut update = update_from(run::Entity, rows);
    update
        .value(run::Column::Counts, new(2))
        .value(run::Column::BatchesSettled, new(3))
        .value(run::Column::Version, new(4))
        .value(run::Column::Entries, new(5))
        .value(run::Column::EntriesHead, new(6))
        .and_where(Expr::col((run::Entity, run::Column::Id)).eq(new(1)));
    transaction.execute(&update).await.map_err(database)?;
    Ok(())
}

const NEW: &str = "new_values";

/// An update of one row of a table for each row of `values`.
fn update_from(table: impl sea_orm::sea_query::IntoTableRef, values: Vec<ValueTuple>) -> UpdateStatement {
    let mut update = Query::update();
    update.table(table).from(TableRef::ValuesList(values, Alias::new(NEW).into_iden()));
    update
}

/// A column of the new values, from 1.
fn new(place: usize) -> Expr {
    Expr::col((Alias::new(NEW), Alias::new(format!("column{place}"))))
}
