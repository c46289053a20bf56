//! Opening the database: one process, one writer, a few readers.

use crate::audit::{Changed, Who};
use crate::error::database;
use crate::new_entries::NewEntries;
use crate::writer::Writer;
use ferry_domain::authz::Act;
use ferry_domain::error::Inside;
use ferry_domain::{Error, Result, Timestamp};
use ferry_migrations::{Migrator, MigratorTrait};
use ferry_telemetry::Telemetry;
use futures::future::BoxFuture;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, SqlxSqliteConnector, Statement,
};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Before this version two connections that write and checkpoint at once can corrupt the log.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);
const READERS: u32 = 4;

/// Where the database is.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The SQLite file; it is made if missing.
    pub path: PathBuf,
}

/// The store. Clones share one database.
#[derive(Clone)]
pub struct Store {
    pub(crate) writer: Writer,
    pub(crate) readers: DatabaseConnection,
    pub(crate) changes: Arc<watch::Sender<u64>>,
    pub(crate) new_entries: Arc<NewEntries>,
    _lock: Arc<File>,
}

impl Store {
    /// Opens the database of this process. A second process on the same file is refused.
    pub async fn open(config: &StoreConfig) -> Result<Self> {
        Self::open_observed(config, Telemetry::default()).await
    }

    /// The same, with somebody who is told of commits and of ended runs.
    pub async fn open_observed(config: &StoreConfig, telemetry: Telemetry) -> Result<Self> {
        let lock = lock(&config.path)?;
        let writing = connect(&config.path, 1, false).await?;
        check_version(&writing).await?;
        let readers = connect(&config.path, READERS, true).await?;
        let new_entries = Arc::new(NewEntries::default());
        Ok(Self {
            writer: Writer::start(writing, &new_entries, telemetry),
            readers,
            changes: Arc::new(watch::Sender::new(0)),
            new_entries,
            _lock: Arc::new(lock),
        })
    }

    /// Takes the steps that the schema lacks and returns their names.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        self.writer
            .run(|transaction| {
                Box::pin(async move {
                    let names = pending(transaction).await?;
                    Migrator::up(transaction, None).await.map_err(database)?;
                    Ok(names)
                })
            })
            .await
    }

    /// Steps that the schema lacks.
    pub async fn pending_migrations(&self) -> Result<Vec<String>> {
        self.writer.run(|transaction| Box::pin(pending(transaction))).await
    }

    /// Wakes after a commit that gave the engine something to do: a run was made, stopped, or goes on. Carries nothing: read what there is to do.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Transactions committed so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Makes a change that somebody asked for, with its entries: both are committed, or neither is. Every write of the
    /// control plane goes through here.
    pub(crate) async fn change<T, F>(&self, act: Act, now: Timestamp, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<Changed<T>>> + Send + 'static,
    {
        let done = self.writer.run(move |transaction| {
            Box::pin(async move { job(transaction).await?.recorded(transaction, &Who::from(&act), now).await })
        });
        let done = done.await;
        // The engine may have to act on it.
        self.wake();
        done
    }

    /// The same for several permits, all or none: what came of each is on record with its own act.
    pub(crate) async fn change_each<T, F>(&self, acts: Vec<Act>, now: Timestamp, job: F) -> Result<Vec<T>>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<Vec<Changed<T>>>> + Send + 'static,
    {
        self.run_and_wake(move |transaction| {
            Box::pin(async move {
                let changed = job(transaction).await?;
                if changed.len() != acts.len() {
                    return Err(Error::internal("a change of several", "it is not one for each permit"));
                }
                let mut values = Vec::with_capacity(acts.len());
                for (act, changed) in acts.iter().zip(changed) {
                    values.push(changed.recorded(transaction, &Who::from(act), now).await?);
                }
                Ok(values)
            })
        })
        .await
    }

    /// Writes what the engine may have to act on, and wakes it.
    pub(crate) async fn run_and_wake<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let done = self.writer.run(job).await;
        self.wake();
        done
    }

    pub(crate) fn wake(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

async fn pending(transaction: &DatabaseTransaction) -> Result<Vec<String>> {
    let steps = Migrator::get_pending_migrations(transaction).await.map_err(database)?;
    Ok(steps.iter().map(|step| step.name().to_owned()).collect())
}

fn lock(path: &Path) -> Result<File> {
    let unavailable = |what: &str, error: std::io::Error| Error::Unavailable(Inside(format!("{what}: {error}")));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unavailable("the data folder cannot be made", error))?;
    }
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.with_extension("lock"))
        .map_err(|error| unavailable("the lock file cannot be opened", error))?;
    lock.try_lock()
        .map_err(|error| Error::Unavailable(Inside(format!("the database is in use by another process ({error})"))))?;
    Ok(lock)
}

async fn connect(path: &Path, connections: u32, read_only: bool) -> Result<DatabaseConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .pragma("query_only", if read_only { "ON" } else { "OFF" })
        .busy_timeout(Duration::from_secs(5));
    let options = sea_orm::sqlx::ConnectOptions::disable_statement_logging(options);
    let pool = SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(|error| Error::Unavailable(Inside(format!("the database cannot be opened: {error}"))))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

async fn check_version(connection: &DatabaseConnection) -> Result<()> {
    let query = Statement::from_string(DatabaseBackend::Sqlite, "SELECT sqlite_version() AS version");
    let row = connection.query_one_raw(query).await.map_err(database)?;
    let version: String = match row {
        Some(row) => row.try_get("", "version").map_err(database)?,
        None => String::new(),
    };
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let found = (next(), next(), next());
    if found < OLDEST_SQLITE {
        return Err(Error::Unavailable(Inside(format!("SQLite {version} is too old: 3.51.3 mends a corruption"))));
    }
    Ok(())
}
