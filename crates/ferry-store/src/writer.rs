//! The one writer: it owns the only connection that writes, and commits what is waiting together.
//!
//! A commit costs an fsync, so each would bound the engine by itself. A job runs as a savepoint of the group's
//! transaction; a job that fails undoes its own savepoint and no other. The records of the send path that wait together
//! share one savepoint, since they are most of all jobs ([`crate::record`]). Nobody is answered before the commit, and
//! a commit that fails fails every job of its group.

use crate::audit_stream;
use crate::error::database;
use crate::new_entries::NewEntries;
use crate::record::{self, Record, Recorded};
use ferry_domain::{Error, Result};
use ferry_telemetry::{Committed, Telemetry};
use futures::future::BoxFuture;
use sea_orm::{DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Jobs that may wait; more of them wait for room.
const QUEUE: usize = 1_024;
/// Jobs of one group.
const GROUP: usize = 256;
/// A group is committed after this, however many still wait.
const GROUP_TIME: Duration = Duration::from_millis(50);
/// The lock comes first: SQLite waits for it only where the transaction has not read yet, and fails at once where it
/// has. Whoever else writes to the file, like a backup that restarts its log, then costs time and no job.
const AT_ONCE: TransactionOptions = TransactionOptions {
    isolation_level: None,
    access_mode: None,
    sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
};

enum Job {
    /// Runs in a savepoint of its own.
    Alone(Alone),
    Record(Box<Record>, oneshot::Sender<Result<Recorded>>),
}

type Alone = Box<dyn for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Done> + Send>;

/// What a job leaves: told to its caller once the group is committed.
type Done = Box<dyn FnOnce(std::result::Result<(), &Error>) + Send>;

/// Hands jobs to the writer's task.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    commits: Arc<watch::Sender<u64>>,
}

impl Writer {
    pub(crate) fn start(connection: DatabaseConnection, entries: &Arc<NewEntries>, telemetry: Telemetry) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let commits = Arc::new(watch::Sender::new(0));
        let writing = write(connection, waiting, Arc::clone(&commits), telemetry.clone());
        let writing = audit_stream::copying(telemetry, writing);
        tokio::spawn(Arc::clone(entries).counting(writing));
        Self { jobs, commits }
    }

    /// How many transactions were committed.
    pub(crate) fn commits(&self) -> u64 {
        *self.commits.borrow()
    }

    /// Wakes after each of them.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Runs `job` in a savepoint and returns once it is durable, or undone.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Alone(Box::new(move |tx| Box::pin(run_one(tx, job, answer))))).await.map_err(closed)?;
        answered.await.map_err(closed)?
    }

    /// Writes a record together with others, and returns once it is durable, or refused.
    pub(crate) async fn record(&self, record: Record) -> Result<Recorded> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Record(Box::new(record), answer)).await.map_err(closed)?;
        answered.await.map_err(closed)?
    }
}

fn closed<E>(_: E) -> Error {
    Error::Unavailable(ferry_domain::error::Inside("the writer has ended".to_owned()))
}

async fn run_one<T, F>(transaction: &DatabaseTransaction, job: F, answer: oneshot::Sender<Result<T>>) -> Done
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    let result = in_savepoint(transaction, job).await;
    told(result, answer)
}

fn told<T: Send + 'static>(result: Result<T>, answer: oneshot::Sender<Result<T>>) -> Done {
    Box::new(move |committed| {
        let result = match (result, committed) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => Err(Error::internal("a commit failed", error)),
            (Err(error), _) => Err(error),
        };
        // A caller that is gone has no use for the answer; what it asked for is committed all the same.
        let _gone = answer.send(result);
    })
}

/// A part of a transaction that fails alone: what it wrote is undone, and so is what it would have told a log sink.
pub(crate) async fn in_savepoint<T, F>(transaction: &DatabaseTransaction, job: F) -> Result<T>
where
    F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send,
{
    let mark = audit_stream::mark();
    let savepoint = transaction.begin().await.map_err(database)?;
    match job(&savepoint).await {
        Ok(value) => savepoint.commit().await.map_err(database).map(|()| value),
        Err(error) => {
            audit_stream::undone(mark);
            savepoint.rollback().await.map_err(database)?;
            Err(error)
        }
    }
}

async fn write(
    connection: DatabaseConnection,
    mut waiting: mpsc::Receiver<Job>,
    commits: Arc<watch::Sender<u64>>,
    telemetry: Telemetry,
) {
    while let Some(first) = waiting.recv().await {
        let begun = Instant::now();
        let mut done: Vec<Done> = Vec::with_capacity(GROUP);
        let committed = match group(&connection, first, &mut waiting, &mut done).await {
            Ok(transaction) => transaction.commit().await.map_err(database),
            Err(error) => Err(error),
        };
        ferry_domain::failpoint!("group-committed");
        commits.send_modify(|count| *count += 1);
        telemetry.committed(if committed.is_ok() { Committed::Done } else { Committed::Failed }, begun.elapsed());
        audit_stream::ended(committed.is_ok());
        for tell in done {
            tell(committed.as_ref().map(|_| ()));
        }
    }
    if let Err(error) = connection.close().await {
        tracing::error!(%error, "the database could not be closed");
    }
}

async fn group(
    connection: &DatabaseConnection,
    first: Job,
    waiting: &mut mpsc::Receiver<Job>,
    done: &mut Vec<Done>,
) -> Result<DatabaseTransaction> {
    let begun = Instant::now();
    let transaction = connection.begin_with_options(AT_ONCE).await.map_err(database)?;
    let (mut records, mut answers) = (Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Alone(job) => done.push(job(&transaction).await),
            Job::Record(record, answer) => {
                records.push(*record);
                answers.push(answer);
            }
        }
        let more = done.len() + records.len() < GROUP && begun.elapsed() < GROUP_TIME;
        next = more.then(|| waiting.try_recv().ok()).flatten();
    }
    let recorded = write_records(&transaction, &records).await;
    done.extend(recorded.into_iter().zip(answers).map(|(recorded, answer)| told(recorded, answer)));
    ferry_domain::failpoint!("group-written");
    Ok(transaction)
}

/// All at once; where the database refuses that, run by run and then each alone, so that a bad one spoils no other and a
/// tenant whose entries cannot be written costs the others little.
async fn write_records(transaction: &DatabaseTransaction, records: &[Record]) -> Vec<Result<Recorded>> {
    let all: Vec<&Record> = records.iter().collect();
    match write_in_savepoint(transaction, all).await {
        Ok(recorded) => return recorded.into_iter().map(Ok).collect(),
        Err(error) if records.len() == 1 => return vec![Err(error)],
        Err(Error::Internal(inside)) => tracing::warn!(cause = %inside.0, "records are written run by run"),
        Err(_) => {}
    }
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        places.entry(&record.run).or_default().push(place);
    }
    let mut recorded: Vec<_> = records.iter().map(|_| Ok(Recorded::Fenced)).collect();
    for places in places.values() {
        let of_run = places.iter().map(|place| &records[*place]).collect();
        let written = write_of_run(transaction, of_run).await;
        for (place, written) in places.iter().zip(written) {
            recorded[*place] = written;
        }
    }
    recorded
}

/// The records of one run; where the database refuses them, each alone.
async fn write_of_run(transaction: &DatabaseTransaction, records: Vec<&Record>) -> Vec<Result<Recorded>> {
    match write_in_savepoint(transaction, records.clone()).await {
        Ok(recorded) => return recorded.into_iter().map(Ok).collect(),
        Err(error) if records.len() == 1 => return vec![Err(error)],
        Err(_) => {}
    }
    let mut recorded = Vec::with_capacity(records.len());
    for record in records {
        let written = write_in_savepoint(transaction, vec![record]).await;
        recorded.push(written.map(|recorded| recorded.first().copied().unwrap_or(Recorded::Fenced)));
    }
    recorded
}

async fn write_in_savepoint(transaction: &DatabaseTransaction, records: Vec<&Record>) -> Result<Vec<Recorded>> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mark = audit_stream::mark();
    let savepoint = transaction.begin().await.map_err(database)?;
    match record::write(&savepoint, &records).await {
        Ok(recorded) => savepoint.commit().await.map_err(database).map(|()| recorded),
        Err(error) => {
            audit_stream::undone(mark);
            savepoint.rollback().await.map_err(database)?;
            Err(error)
        }
    }
}
