//! Batches and attempts: what was intended, sent, answered and settled.
//!
//! ```text
//!            ┌────────── again: limit, fault, lost answer ─────────┐
//!            ▼                                                     │
//! (plan) ─▶ due ─▶ intended ─▶ queued ─▶ settled                   │
//!                     │           └─▶ due (the destination gave up)┘
//!                     ├─▶ split ─▶ a child batch without the refused rows
//!                     ├─▶ settled (refused as a whole)
//!                     └─▶ unknown (too many lost answers)
//! ```
//!
//! `may_have_arrived` is set by an attempt without an answer and stays until the batch is settled: a batch that is due
//! again and may have arrived is not one that was never sent.

use crate::Store;
use crate::entity::{attempt, batch, connection, run};
use crate::error::{corrupt, database, from_json, to_json};
use crate::lease::Lease;
use crate::run_work::Fenced;
use crate::{plan, run as runs};
use ferry_domain::{Counts, Error, Result, RunState, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};

/// Which rows of the plan a batch carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchKey {
    /// Its number within the run.
    pub seq: u32,
    /// The batch that it repairs.
    pub parent: Option<u32>,
    /// The ordinal of its first row.
    pub first: u64,
    /// Rows of its range, those taken out included.
    pub rows: u32,
    /// Offsets of the rows taken out, ascending.
    pub removed: Vec<u32>,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchState {
    /// To be sent, again.
    Due,
    /// On record, perhaps sent, not answered.
    Intended,
    /// The destination has it and will say what became of it.
    Queued,
    /// Every row has an outcome.
    Settled,
    /// Some rows were refused up front; a child carries the rest.
    Split,
    /// No answer could be had.
    Unknown,
}

/// A row that the destination refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// Its place in the batch's range.
    pub offset: u32,
    /// Why, as far as the destination said.
    pub reason: String,
}

/// A batch as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of BatchKey, BatchState and BatchAfter")]
pub struct BatchRecord {
    pub seq: u32,
    pub parent: Option<u32>,
    pub first: u64,
    pub rows: u32,
    pub removed: Vec<u32>,
    pub state: BatchState,
    pub attempts: u32,
    pub may_have_arrived: bool,
    pub remote_id: Option<String>,
    pub sent_time: Option<Timestamp>,
    pub confirmed: u32,
    pub refused: Vec<RefusedRow>,
}

/// What is about to be sent.
#[derive(Debug, Clone)]
pub struct Intent {
    /// A new UUID.
    pub attempt_id: String,
    /// Which rows.
    pub batch: BatchKey,
    /// The destination account.
    pub account: String,
    /// Over the request's bytes.
    pub body_digest: [u8; 32],
    /// Not to be sent after this.
    pub send_by: Timestamp,
}

/// Why nothing may be sent.
#[derive(Debug, thiserror::Error)]
pub enum IntentRefused {
    /// The run has another owner.
    #[error("the run belongs to another owner now")]
    Fenced,
    /// The run is to stop, or has ended.
    #[error("the run is to stop")]
    Stopped,
    /// The connection is not the one that the plan was made for.
    #[error("the connection was changed since the plan was made")]
    Moved,
    /// The intent could not be recorded.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Leave to send one attempt. Only a recorded intent makes one.
#[derive(Debug)]
pub struct SendPermit {
    attempt_id: String,
    send_by: Timestamp,
}

impl SendPermit {
    /// The attempt that was recorded.
    #[must_use]
    pub fn attempt_id(&self) -> &str {
        &self.attempt_id
    }

    /// Not to be sent after this.
    #[must_use]
    pub fn send_by(&self) -> Timestamp {
        self.send_by
    }
}

/// What came back from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are those of the destination's contract")]
pub enum AttemptOutcome {
    Queued {
        remote_id: String,
    },
    ContactsRefused,
    RequestRefused,
    RateLimited,
    CredentialsRefused,
    AccountLapsed,
    NotFound,
    /// Certainly not sent.
    NotSent,
    /// Perhaps sent; no usable answer.
    Unknown,
    /// Too late to be sent.
    Void,
}

/// What becomes of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the states are described at BatchState")]
pub enum BatchAfter {
    Queued { remote_id: String, sent_time: Timestamp },
    Due,
    Split { refused: Vec<RefusedRow> },
    Settled { confirmed: u32, refused: Vec<RefusedRow> },
    Unknown,
}

/// What is added to the run's account in the same transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of Counts")]
pub struct CountsDelta {
    pub queued: i64,
    pub confirmed: i64,
    pub refused: i64,
    pub unknown: i64,
    pub not_sent: i64,
    pub batches_settled: i64,
}

impl Store {
    /// The batches on record, in order.
    pub async fn batches(&self, lease: &Lease) -> Fenced<Vec<BatchRecord>> {
        let rows = batch::Entity::find()
            .filter(batch::Column::Run.eq(lease.run().run.as_str()))
            .order_by_asc(batch::Column::Seq)
            .all(&self.readers)
            .await
            .map_err(database)?;
        Ok(rows.into_iter().map(to_domain).collect::<Result<Vec<_>>>()?)
    }

    /// Records what is about to be sent. Without it nothing may be.
    pub async fn intent_record(
        &self,
        lease: &Lease,
        intent: Intent,
        now: Timestamp,
    ) -> std::result::Result<SendPermit, IntentRefused> {
        let epoch = lease.epoch();
        let answer = self.under_lease(lease, move |transaction, row| {
            Box::pin(async move {
                let allowed = allowed(transaction, &row).await?;
                if allowed.is_ok() {
                    record_intent(transaction, &row.id, epoch, &intent, now).await?;
                }
                Ok(allowed.map(|()| SendPermit { attempt_id: intent.attempt_id, send_by: intent.send_by }))
            })
        });
        match answer.await {
            Ok(permit) => permit,
            Err(crate::LeaseError::Fenced) => Err(IntentRefused::Fenced),
            Err(crate::LeaseError::Failed(error)) => Err(error.into()),
        }
    }

    /// Records what came back, what becomes of the batch, and the account.
    pub async fn attempt_record(
        &self,
        lease: &Lease,
        attempt_id: &str,
        outcome: AttemptOutcome,
        after: BatchAfter,
        delta: CountsDelta,
        now: Timestamp,
    ) -> Fenced<()> {
        let attempt_id = attempt_id.to_owned();
        self.under_lease(lease, move |transaction, row| {
            Box::pin(async move {
                let found =
                    attempt::Entity::find_by_id(attempt_id.as_str()).one(transaction).await.map_err(database)?;
                let found = found.ok_or_else(|| corrupt("attempts", "an answer without an intent"))?;
                let seq = found.seq;
                let mut found = found.into_active_model();
                found.outcome = Set(Some(outcome.word().to_owned()));
                found.answer_time = Set(Some(now.as_millis()));
                if let AttemptOutcome::Queued { remote_id } = &outcome {
                    found.remote_id = Set(Some(remote_id.clone()));
                }
                attempt::Entity::update(found).exec(transaction).await.map_err(database)?;
                let doubt = if outcome == AttemptOutcome::Unknown { Doubt::Raised } else { Doubt::AsBefore };
                record_batch(transaction, &row.id, seq, after, doubt).await?;
                add(transaction, row, delta).await
            })
        })
        .await
    }

    /// Records what became of a batch without an attempt: the result of a poll, or of a recovery.
    pub async fn batch_record(
        &self,
        lease: &Lease,
        seq: u32,
        after: BatchAfter,
        delta: CountsDelta,
        _now: Timestamp,
    ) -> Fenced<()> {
        self.under_lease(lease, move |transaction, row| {
            Box::pin(async move {
                record_batch(transaction, &row.id, i64::from(seq), after, Doubt::Raised).await?;
                add(transaction, row, delta).await
            })
        })
        .await
    }
}

/// Whether it is now possible that the rows are at the destination although nothing says so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    Raised,
    AsBefore,
}

async fn allowed(
    transaction: &DatabaseTransaction,
    row: &run::Model,
) -> Result<std::result::Result<(), IntentRefused>> {
    if runs::read_state(row)? != RunState::Processing {
        return Ok(Err(IntentRefused::Stopped));
    }
    let key = (row.tenant.clone(), row.connection.clone());
    let generation = connection::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    let plan = plan::find(transaction, &row.id).await?;
    let same = match (generation, plan) {
        (Some(connection), Some(plan)) => connection.generation == plan.connection_generation,
        _ => false,
    };
    Ok(if same { Ok(()) } else { Err(IntentRefused::Moved) })
}

async fn record_intent(
    transaction: &DatabaseTransaction,
    run: &str,
    epoch: i64,
    intent: &Intent,
    now: Timestamp,
) -> Result<()> {
    let key = &intent.batch;
    let seq = i64::from(key.seq);
    match find(transaction, run, seq).await? {
        Some(found) => {
            let attempts = found.attempts + 1;
            let mut row = found.into_active_model();
            row.state = Set(BatchState::Intended.word().to_owned());
            row.attempts = Set(attempts);
            batch::Entity::update(row).exec(transaction).await.map_err(database)?;
        }
        None => {
            let row = batch::ActiveModel {
                run: Set(run.to_owned()),
                seq: Set(seq),
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
            };
            batch::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
        }
    }
    let row = attempt::ActiveModel {
        id: Set(intent.attempt_id.clone()),
        run: Set(run.to_owned()),
        seq: Set(seq),
        epoch: Set(epoch),
        account: Set(intent.account.clone()),
        body_digest: Set(intent.body_digest.to_vec()),
        intent_time: Set(now.as_millis()),
        send_by: Set(intent.send_by.as_millis()),
        outcome: Set(None),
        remote_id: Set(None),
        answer_time: Set(None),
    };
    attempt::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

async fn find(connection: &impl ConnectionTrait, run: &str, seq: i64) -> Result<Option<batch::Model>> {
    batch::Entity::find_by_id((run.to_owned(), seq)).one(connection).await.map_err(database)
}

async fn record_batch(
    transaction: &DatabaseTransaction,
    run: &str,
    seq: i64,
    after: BatchAfter,
    doubt: Doubt,
) -> Result<()> {
    let found = find(transaction, run, seq).await?.ok_or_else(|| corrupt("batches", "an outcome without a batch"))?;
    let doubted = found.may_have_arrived;
    let mut row = found.into_active_model();
    let state = match after {
        BatchAfter::Queued { remote_id, sent_time } => {
            row.remote_id = Set(Some(remote_id));
            row.sent_time = Set(Some(sent_time.as_millis()));
            BatchState::Queued
        }
        BatchAfter::Due => {
            row.may_have_arrived = Set(doubted || doubt == Doubt::Raised);
            BatchState::Due
        }
        BatchAfter::Split { refused } => {
            row.refused = Set(to_json(&refused)?);
            BatchState::Split
        }
        BatchAfter::Settled { confirmed, refused } => {
            row.confirmed = Set(i64::from(confirmed));
            row.refused = Set(to_json(&refused)?);
            row.may_have_arrived = Set(false);
            BatchState::Settled
        }
        BatchAfter::Unknown => BatchState::Unknown,
    };
    row.state = Set(state.word().to_owned());
    batch::Entity::update(row).exec(transaction).await.map_err(database)?;
    Ok(())
}

async fn add(transaction: &DatabaseTransaction, row: run::Model, delta: CountsDelta) -> Result<()> {
    if delta == CountsDelta::default() {
        return Ok(());
    }
    let mut counts: Counts = from_json("runs", &row.counts)?;
    counts.queued = counts.queued.saturating_add_signed(delta.queued);
    counts.confirmed = counts.confirmed.saturating_add_signed(delta.confirmed);
    counts.refused = counts.refused.saturating_add_signed(delta.refused);
    counts.unknown = counts.unknown.saturating_add_signed(delta.unknown);
    counts.not_sent = counts.not_sent.saturating_add_signed(delta.not_sent);
    let (settled, version) = (row.batches_settled + delta.batches_settled, row.version + 1);
    let mut row = row.into_active_model();
    row.counts = Set(to_json(&counts)?);
    row.batches_settled = Set(settled);
    row.version = Set(version);
    run::Entity::update(row).exec(transaction).await.map_err(database)?;
    Ok(())
}

impl BatchState {
    const ALL: [Self; 6] = [Self::Due, Self::Intended, Self::Queued, Self::Settled, Self::Split, Self::Unknown];

    fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Intended => "intended",
            Self::Queued => "queued",
            Self::Settled => "settled",
            Self::Split => "split",
            Self::Unknown => "unknown",
        }
    }
}

impl AttemptOutcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::ContactsRefused => "contacts_refused",
            Self::RequestRefused => "request_refused",
            Self::RateLimited => "rate_limited",
            Self::CredentialsRefused => "credentials_refused",
            Self::AccountLapsed => "account_lapsed",
            Self::NotFound => "not_found",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
            Self::Void => "void",
        }
    }
}

fn to_domain(row: batch::Model) -> Result<BatchRecord> {
    let small = |number: i64| u32::try_from(number).map_err(|error| corrupt("batches", error));
    let state = BatchState::ALL.into_iter().find(|state| state.word() == row.state);
    Ok(BatchRecord {
        seq: small(row.seq)?,
        parent: row.parent.map(small).transpose()?,
        first: u64::try_from(row.first).map_err(|error| corrupt("batches", error))?,
        rows: small(row.rows)?,
        removed: from_json("batches", &row.removed)?,
        state: state.ok_or_else(|| corrupt("batches", format!("state `{}`", row.state)))?,
        attempts: small(row.attempts)?,
        may_have_arrived: row.may_have_arrived,
        remote_id: row.remote_id,
        sent_time: row.sent_time.map(Timestamp::from_millis),
        confirmed: small(row.confirmed)?,
        refused: from_json("batches", &row.refused)?,
    })
}
