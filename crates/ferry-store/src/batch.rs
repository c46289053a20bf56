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
use crate::egress::{Recipient, Sends};
use crate::entity::batch;
use crate::error::{corrupt, database, from_json};
use crate::lease::{Lease, LeaseError};
use crate::record::{Record, Recorded, What};
use crate::run_work::Fenced;
use ferry_domain::{Counts, Error, Result, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
    /// Over `body_digest`, by a key of the tenant: on record, and of use only to who has the key and the bytes.
    pub keyed_digest: [u8; 32],
    /// Where it goes, and what for.
    pub recipient: Arc<Recipient>,
    /// What it does with the people in it.
    pub action: Sends,
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
    AccountFull,
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
    pub removals_confirmed: i64,
    pub removals_refused: i64,
    pub removals_unknown: i64,
    pub removals_not_sent: i64,
    pub batches_settled: i64,
}

impl Store {
    /// The batches on record, in order.
    pub async fn batches(&self, lease: &Lease) -> Fenced<Vec<BatchRecord>> {
        Ok(of_run(&self.readers, lease.run().run.as_str(), None).await?)
    }

    /// Records what is about to be sent. Without it nothing may be.
    pub async fn intent_record(
        &self,
        lease: &Lease,
        intent: Intent,
        now: Timestamp,
    ) -> std::result::Result<SendPermit, IntentRefused> {
        let permit = SendPermit { attempt_id: intent.attempt_id.clone(), send_by: intent.send_by };
        match self.record(lease, What::Intent { intent, now }).await? {
            Recorded::Written => Ok(permit),
            Recorded::Fenced => Err(IntentRefused::Fenced),
            Recorded::Stopped => Err(IntentRefused::Stopped),
            Recorded::Moved => Err(IntentRefused::Moved),
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
        self.outcome_record(lease, What::Answer { attempt_id, outcome, after, delta, now }).await
    }

    /// Records what became of a batch without an attempt: the result of a poll, or of a recovery.
    pub async fn batch_record(
        &self,
        lease: &Lease,
        seq: u32,
        after: BatchAfter,
        delta: CountsDelta,
        now: Timestamp,
    ) -> Fenced<()> {
        self.outcome_record(lease, What::Result { seq, after, delta, now }).await
    }

    async fn outcome_record(&self, lease: &Lease, what: What) -> Fenced<()> {
        match self.record(lease, what).await? {
            Recorded::Written => Ok(()),
            Recorded::Fenced | Recorded::Stopped | Recorded::Moved => Err(LeaseError::Fenced),
        }
    }

    async fn record(&self, lease: &Lease, what: What) -> Result<Recorded> {
        let run = lease.run().run.as_str().to_owned();
        self.writer.record(Record { run, epoch: lease.epoch(), what }).await
    }
}

impl CountsDelta {
    pub(crate) fn add_to(&self, counts: &mut Counts) {
        counts.queued = counts.queued.saturating_add_signed(self.queued);
        counts.confirmed = counts.confirmed.saturating_add_signed(self.confirmed);
        counts.refused = counts.refused.saturating_add_signed(self.refused);
        counts.unknown = counts.unknown.saturating_add_signed(self.unknown);
        counts.not_sent = counts.not_sent.saturating_add_signed(self.not_sent);
        counts.removals_confirmed = counts.removals_confirmed.saturating_add_signed(self.removals_confirmed);
        counts.removals_refused = counts.removals_refused.saturating_add_signed(self.removals_refused);
        counts.removals_unknown = counts.removals_unknown.saturating_add_signed(self.removals_unknown);
        counts.removals_not_sent = counts.removals_not_sent.saturating_add_signed(self.removals_not_sent);
    }
}

impl BatchAfter {
    pub(crate) fn state(&self) -> BatchState {
        match self {
            Self::Queued { .. } => BatchState::Queued,
            Self::Due => BatchState::Due,
            Self::Split { .. } => BatchState::Split,
            Self::Settled { .. } => BatchState::Settled,
            Self::Unknown => BatchState::Unknown,
        }
    }
}

/// What a batch says of one of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOutcome<'a> {
    /// The destination took it.
    Confirmed,
    /// The destination turned it down.
    Refused {
        /// Why, as far as the destination said.
        reason: &'a str,
        /// Whether it may be there all the same.
        may_be_there: bool,
    },
    /// It left, and nobody knows.
    Unknown,
}

impl BatchRecord {
    /// What it says of its rows that were neither refused nor taken out. Nothing where it says nothing, and what an
    /// earlier batch left open stays so.
    #[must_use]
    pub fn rest(&self) -> Option<RowOutcome<'static>> {
        match self.state {
            BatchState::Settled => Some(RowOutcome::Confirmed),
            BatchState::Queued | BatchState::Intended | BatchState::Unknown => Some(RowOutcome::Unknown),
            BatchState::Split | BatchState::Due if self.may_have_arrived => Some(RowOutcome::Unknown),
            // The rest of a split batch is its child's, or, if that was never begun, was not sent.
            BatchState::Split | BatchState::Due => None,
        }
    }

    /// Whether its refused rows may be there all the same. Refused up front nothing was queued; a result after queueing
    /// leaves open what was written.
    #[must_use]
    pub fn refused_may_be_there(&self) -> bool {
        (self.state == BatchState::Settled && self.remote_id.is_some()) || self.may_have_arrived
    }

    /// What it says of the row with this ordinal.
    #[must_use]
    pub fn outcome_of(&self, ordinal: u64) -> Option<RowOutcome<'_>> {
        let offset = ordinal.checked_sub(self.first).and_then(|offset| u32::try_from(offset).ok())?;
        if offset >= self.rows {
            return None;
        }
        if let Some(row) = self.refused.iter().find(|row| row.offset == offset) {
            return Some(RowOutcome::Refused { reason: &row.reason, may_be_there: self.refused_may_be_there() });
        }
        self.rest().filter(|_| !self.removed.contains(&offset))
    }
}

impl BatchState {
    const ALL: [Self; 6] = [Self::Due, Self::Intended, Self::Queued, Self::Settled, Self::Split, Self::Unknown];

    pub(crate) fn word(self) -> &'static str {
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
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::ContactsRefused => "contacts_refused",
            Self::RequestRefused => "request_refused",
            Self::RateLimited => "rate_limited",
            Self::CredentialsRefused => "credentials_refused",
            Self::AccountLapsed => "account_lapsed",
            Self::AccountFull => "account_full",
            Self::NotFound => "not_found",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
            Self::Void => "void",
        }
    }
}

/// The batches of a run on record, in order; of one row, those whose range it is in.
pub(crate) async fn of_run(
    connection: &impl ConnectionTrait,
    run: &str,
    ordinal: Option<u64>,
) -> Result<Vec<BatchRecord>> {
    use batch::Column as C;
    let mut rows = batch::Entity::find().filter(C::Run.eq(run));
    if let Some(ordinal) = ordinal {
        let ordinal = i64::try_from(ordinal).map_err(|error| corrupt("batches", error))?;
        let end = Expr::col(C::First).add(Expr::col(C::Rows));
        rows = rows.filter(C::First.lte(ordinal)).filter(end.gt(ordinal));
    }
    let rows = rows.order_by_asc(C::Seq).all(connection).await.map_err(database)?;
    rows.into_iter().map(to_domain).collect()
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
