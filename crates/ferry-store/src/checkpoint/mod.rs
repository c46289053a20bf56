//! The tree over all chains, and its signed checkpoints.
//!
//! One transaction anchors the runs whose chains have grown, appends a leaf for each chain that has grown, and the nodes that these complete, and the signed
//! checkpoint. The key of the table is the log and the size, so no size ever has two roots. What was signed and is not
//! copied out of the database yet must be copied before anything else is signed: whoever puts an older database back
//! could make this one sign another history otherwise.

mod grow;
pub(crate) mod prove;
mod restored;

pub use restored::{Acknowledged, Lost, SuppressedPerson};

use crate::Store;
use crate::anchor::anchor_runs;
use crate::audit::{self, Fact, OPERATOR, Who, to_hash};
use crate::entity::{audit_chain, audit_checkpoint, audit_log, run};
use crate::error::{corrupt, database};
use crate::new_entries::NewEntries;
use ferry_domain::{Error, Result, Timestamp};
use ferry_ledger::Hash;
use ferry_ledger::checkpoint::{Checkpoint, Signer, VerifierKey};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::sync::Arc;

/// The log has one row.
const THE_LOG: i64 = 1;

/// The log that this database goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLog {
    /// The origin of its checkpoints: `ferry.audit/` and a UUID.
    pub origin: String,
    /// Which key signs its next checkpoint, from 1.
    pub key_generation: u32,
    /// The size of the checkpoint that announced that key; 0 if the log began with it.
    pub key_change_size: u64,
    /// The newest checkpoint that is known to lie outside of the database; 0 for none.
    pub copied_size: u64,
}

/// A checkpoint as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The log's origin.
    pub origin: String,
    /// How many leaves the tree had.
    pub size: u64,
    /// The root of that tree.
    pub root: Hash,
    /// The signed note.
    pub note: String,
    /// Which key signed it.
    pub key_generation: u32,
    /// When.
    pub time: Timestamp,
}

/// What came of an attempt to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// No chain has grown since the last checkpoint.
    Nothing,
    /// The last one must be copied first.
    Uncopied,
    /// This one is committed, and must be copied now.
    Signed(SignedCheckpoint),
}

/// A change of the signing key.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The generation that signs from now on.
    pub generation: u32,
    /// Its key.
    pub next: VerifierKey,
}

impl Store {
    /// The log; nothing before its beginning.
    pub async fn audit_log(&self) -> Result<Option<AuditLog>> {
        find_log(&self.readers).await
    }

    /// Begins the log of a database that has none. Of two, the first stays.
    pub async fn audit_log_begin(&self, origin: &str, key_generation: u32) -> Result<AuditLog> {
        let origin = origin.to_owned();
        self.writer
            .run(move |transaction| {
                Box::pin(async move {
                    match find_log(transaction).await? {
                        Some(log) => Ok(log),
                        None => begin(transaction, origin, key_generation).await,
                    }
                })
            })
            .await
    }

    /// Whether there may be entries that no checkpoint covers. Only the first question of a process costs anything.
    #[must_use]
    pub fn has_new_entries(&self) -> bool {
        self.new_entries.count() > 0
    }

    /// Whether a chain has grown since the last checkpoint, by the database.
    pub async fn has_unsigned_entries(&self) -> Result<bool> {
        let grown = audit_chain::Entity::find()
            .filter(Expr::col(audit_chain::Column::Number).gt(Expr::col(audit_chain::Column::LeafNumber)));
        if grown.one(&self.readers).await.map_err(database)?.is_some() {
            return Ok(true);
        }
        let running = run::Entity::find()
            .select_only()
            .column(run::Column::Id)
            .filter(Expr::col(run::Column::Entries).gt(Expr::col(run::Column::EntriesAnchored)))
            .limit(1);
        Ok(running.into_tuple::<String>().one(&self.readers).await.map_err(database)?.is_some())
    }

    /// Returns when a checkpoint is due before its time: many entries are new, or somebody asked for one.
    pub async fn checkpoint_due(&self) {
        self.new_entries.due().await;
    }

    /// Asks for a checkpoint at once.
    pub fn checkpoint_soon(&self) {
        self.new_entries.soon();
    }

    /// Signs a checkpoint if there is anything new, in one transaction with the leaves that it covers.
    pub async fn checkpoint_sign(&self, signer: Arc<Signer>, now: Timestamp) -> Result<Signing> {
        self.writer.run(move |transaction| Box::pin(async move { sign(transaction, &signer, None, now).await })).await
    }

    /// Signs the last checkpoint by the old key. It names the next one, and says so in the operator's chain.
    pub async fn checkpoint_rotate(&self, signer: Arc<Signer>, rotation: Rotation, now: Timestamp) -> Result<Signing> {
        self.writer
            .run(move |transaction| Box::pin(async move { sign(transaction, &signer, Some(rotation), now).await }))
            .await
    }

    /// Notes that all checkpoints up to this size of the log lie outside of the database.
    pub async fn checkpoint_copied(&self, origin: &str, size: u64) -> Result<()> {
        let (origin, size) = (origin.to_owned(), number(size)?);
        self.writer
            .run(move |transaction| {
                Box::pin(async move {
                    audit_log::Entity::update_many()
                        .col_expr(audit_log::Column::CopiedSize, Expr::value(size))
                        .filter(audit_log::Column::Log.eq(origin))
                        .filter(audit_log::Column::CopiedSize.lt(size))
                        .exec(transaction)
                        .await
                        .map_err(database)?;
                    Ok(())
                })
            })
            .await
    }

    /// The newest checkpoint of a log.
    pub async fn checkpoint_newest(&self, origin: &str) -> Result<Option<SignedCheckpoint>> {
        newest(&self.readers, origin).await
    }

    /// The checkpoint of a log at a size.
    pub async fn checkpoint_at(&self, origin: &str, size: u64) -> Result<Option<SignedCheckpoint>> {
        let key = (origin.to_owned(), number(size)?);
        let row = audit_checkpoint::Entity::find_by_id(key).one(&self.readers).await.map_err(database)?;
        row.map(to_domain).transpose()
    }

    /// The checkpoints of a log that are greater than a size, the smallest first.
    pub async fn checkpoints_after(&self, origin: &str, size: u64, most: u64) -> Result<Vec<SignedCheckpoint>> {
        let rows = audit_checkpoint::Entity::find()
            .filter(audit_checkpoint::Column::Log.eq(origin))
            .filter(audit_checkpoint::Column::Size.gt(number(size)?))
            .order_by_asc(audit_checkpoint::Column::Size)
            .limit(most)
            .all(&self.readers)
            .await
            .map_err(database)?;
        rows.into_iter().map(to_domain).collect()
    }

    /// The logs that this database has ever signed for, the oldest first. It goes on with the last one.
    pub async fn audit_origins(&self) -> Result<Vec<String>> {
        let rows: Vec<(String, i64)> = audit_checkpoint::Entity::find()
            .select_only()
            .column(audit_checkpoint::Column::Log)
            .column_as(audit_checkpoint::Column::Time.min(), "begun")
            .group_by(audit_checkpoint::Column::Log)
            .order_by_asc(audit_checkpoint::Column::Time.min())
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(database)?;
        let mut origins: Vec<String> = rows.into_iter().map(|(origin, _)| origin).collect();
        if let Some(log) = self.audit_log().await? {
            origins.retain(|origin| *origin != log.origin);
            origins.push(log.origin);
        }
        Ok(origins)
    }
}

async fn sign(
    transaction: &DatabaseTransaction,
    signer: &Signer,
    rotation: Option<Rotation>,
    now: Timestamp,
) -> Result<Signing> {
    let log = find_log(transaction).await?.ok_or_else(|| Error::internal("nothing can be signed", "no log"))?;
    let last = newest(transaction, &log.origin).await?;
    let size = last.as_ref().map_or(0, |last| last.size);
    if size > log.copied_size {
        return Ok(Signing::Uncopied);
    }
    if let Some(rotation) = &rotation {
        // An entry of its own, so that there is a checkpoint that can name the next key.
        let fact = Fact::new("AUDIT_KEY_ROTATED", OPERATOR, &log.origin)
            .with("from", signer.verifier_key())
            .with("to", &rotation.next)
            .with("generation", rotation.generation);
        audit::append(transaction, &Who::ferry(), fact, now).await?;
    }
    anchor_runs(transaction, None, now).await?;
    let root = last.as_ref().map(|last| last.root);
    let Some((size, root)) = grow::leaves(transaction, &log.origin, (size, root)).await? else {
        return Ok(Signing::Nothing);
    };
    let next_key = rotation.as_ref().map(|rotation| rotation.next.clone());
    let signed = seal(transaction, &log, signer, (size, root, next_key), now).await?;
    if let Some(rotation) = rotation {
        let mut row = log_row(transaction).await?.into_active_model();
        row.key_generation = Set(i64::from(rotation.generation));
        row.key_change_size = Set(number(signed.size)?);
        audit_log::Entity::update(row).exec(transaction).await.map_err(database)?;
    }
    NewEntries::covered();
    Ok(Signing::Signed(signed))
}

async fn seal(
    transaction: &DatabaseTransaction,
    log: &AuditLog,
    signer: &Signer,
    (size, root, next_key): (u64, Hash, Option<VerifierKey>),
    now: Timestamp,
) -> Result<SignedCheckpoint> {
    if signer.verifier_key().name() != log.origin {
        let what = format!("{} for {}", signer.verifier_key().name(), log.origin);
        return Err(Error::internal("a checkpoint cannot be signed by another log's key", what));
    }
    let checkpoint = Checkpoint { origin: log.origin.clone(), size, root, time_ms: now.as_millis(), next_key };
    let (note, key_generation, origin) = (checkpoint.sign(signer), log.key_generation, checkpoint.origin);
    let signed = SignedCheckpoint { origin, size, root, note, key_generation, time: now };
    audit_checkpoint::Entity::insert(to_row(&signed)?).exec_without_returning(transaction).await.map_err(database)?;
    Ok(signed)
}

async fn begin(transaction: &DatabaseTransaction, origin: String, key_generation: u32) -> Result<AuditLog> {
    let row = audit_log::ActiveModel {
        id: Set(THE_LOG),
        log: Set(origin),
        key_generation: Set(i64::from(key_generation)),
        key_change_size: Set(0),
        copied_size: Set(0),
    };
    to_log(audit_log::Entity::insert(row).exec_with_returning(transaction).await.map_err(database)?)
}

async fn find_log(connection: &impl ConnectionTrait) -> Result<Option<AuditLog>> {
    let row = audit_log::Entity::find_by_id(THE_LOG).one(connection).await.map_err(database)?;
    row.map(to_log).transpose()
}

async fn log_row(connection: &impl ConnectionTrait) -> Result<audit_log::Model> {
    let row = audit_log::Entity::find_by_id(THE_LOG).one(connection).await.map_err(database)?;
    row.ok_or_else(|| corrupt("audit_log", "no row"))
}

pub(crate) async fn newest(connection: &impl ConnectionTrait, origin: &str) -> Result<Option<SignedCheckpoint>> {
    let row = audit_checkpoint::Entity::find()
        .filter(audit_checkpoint::Column::Log.eq(origin))
        .order_by_desc(audit_checkpoint::Column::Size)
        .one(connection)
        .await
        .map_err(database)?;
    row.map(to_domain).transpose()
}

fn to_log(row: audit_log::Model) -> Result<AuditLog> {
    Ok(AuditLog {
        origin: row.log,
        key_generation: generation(row.key_generation)?,
        key_change_size: u64::try_from(row.key_change_size).map_err(|error| corrupt("audit_log", error))?,
        copied_size: u64::try_from(row.copied_size).map_err(|error| corrupt("audit_log", error))?,
    })
}

fn to_domain(row: audit_checkpoint::Model) -> Result<SignedCheckpoint> {
    Ok(SignedCheckpoint {
        origin: row.log,
        size: u64::try_from(row.size).map_err(|error| corrupt("audit_checkpoints", error))?,
        root: to_hash("audit_checkpoints", &row.root)?,
        note: row.note,
        key_generation: generation(row.key_generation)?,
        time: Timestamp::from_millis(row.time),
    })
}

fn to_row(signed: &SignedCheckpoint) -> Result<audit_checkpoint::ActiveModel> {
    Ok(audit_checkpoint::ActiveModel {
        log: Set(signed.origin.clone()),
        size: Set(number(signed.size)?),
        root: Set(signed.root.to_vec()),
        note: Set(signed.note.clone()),
        key_generation: Set(i64::from(signed.key_generation)),
        time: Set(signed.time.as_millis()),
    })
}

fn generation(stored: i64) -> Result<u32> {
    u32::try_from(stored).map_err(|error| corrupt("audit_log", error))
}

pub(crate) fn number(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|error| corrupt("audit_checkpoints", error))
}
