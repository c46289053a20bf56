//! The one writer: it owns the only connection that writes, and commits what is waiting together.
//!
//! A commit costs an fsync, so each would bound the engine by itself. A job runs as a savepoint of the group's
//! transaction; a job that fails undoes its own savepoint and no other. Nobody is answered before the commit, and a
//! commit that fails fails every job of its group.

use crate::error::database;
use ferry_domain::{Error, Result};
use futures::future::BoxFuture;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait; more of them wait for room.
const QUEUE: usize = 1_024;
/// Jobs of one group.
const GROUP: usize = 64;
/// A group is committed after this, however many still wait.
const GROUP_TIME: Duration = Duration::from_millis(50);

type Job = Box<dyn for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Done> + Send>;

/// What a job leaves: told to its caller once the group is committed.
type Done = Box<dyn FnOnce(std::result::Result<(), &Error>) + Send>;

/// Hands jobs to the writer's task.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    pub(crate) fn start(connection: DatabaseConnection) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        tokio::spawn(write(connection, waiting, Arc::clone(&commits)));
        Self { jobs, commits }
    }

    /// How many transactions were committed.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Runs `job` in a savepoint and returns once it is durable, or undone.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel::<Result<T>>();
        let boxed: Job = Box::new(move |transaction| Box::pin(run_one(transaction, job, answer)));
        let closed = || Error::Unavailable(ferry_domain::error::Inside("the writer has ended".to_owned()));
        self.jobs.send(boxed).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

async fn run_one<T, F>(transaction: &DatabaseTransaction, job: F, answer: oneshot::Sender<Result<T>>) -> Done
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    let result = in_savepoint(transaction, job).await;
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

async fn in_savepoint<T, F>(transaction: &DatabaseTransaction, job: F) -> Result<T>
where
    F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send,
{
    let savepoint = transaction.begin().await.map_err(database)?;
    match job(&savepoint).await {
        Ok(value) => savepoint.commit().await.map_err(database).map(|()| value),
        Err(error) => {
            savepoint.rollback().await.map_err(database)?;
            Err(error)
        }
    }
}

async fn write(connection: DatabaseConnection, mut waiting: mpsc::Receiver<Job>, commits: Arc<AtomicU64>) {
    while let Some(first) = waiting.recv().await {
        let mut done: Vec<Done> = Vec::with_capacity(GROUP);
        let committed = match group(&connection, first, &mut waiting, &mut done).await {
            Ok(transaction) => transaction.commit().await.map_err(database),
            Err(error) => Err(error),
        };
        commits.fetch_add(1, Ordering::Relaxed);
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
    let transaction = connection.begin().await.map_err(database)?;
    done.push(first(&transaction).await);
    while done.len() < GROUP && begun.elapsed() < GROUP_TIME {
        let Ok(job) = waiting.try_recv() else { break };
        done.push(job(&transaction).await);
    }
    Ok(transaction)
}
