//! From "queued" to an outcome for every row.
//!
//! ActiveCampaign lists the addresses that failed, without a reason, and the ids of those that it took. Only the
//! failures are counted: whether the other list holds updated contacts too is not documented (bulk import status page).

use super::RunContext;
use super::feed::{Identities, Job};
use super::retry;
use super::send::REQUEST_DEADLINE;
use crate::failure::Stop;
use crate::lane::Class;
use ferry_destinations::activecampaign::{CallError, ImportStatus};
use ferry_domain::Timestamp;
use ferry_segments::{Email, identity_digest};
use ferry_store::{BatchAfter, CountsDelta, RefusedRow};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The destination names no reason with a failure, so Ferry invents none.
const REASON_NOT_GIVEN: &str = "DESTINATION_REASON_NOT_GIVEN";

/// A batch that waits for its result.
#[derive(Clone)]
pub(super) struct Unsettled {
    pub(super) job: Job,
    pub(super) remote_id: String,
    pub(super) sent_time: Timestamp,
    /// When the answer came; nothing for one that an earlier process queued.
    pub(super) sent_at: Option<Instant>,
    pub(super) identities: Identities,
    pub(super) polls: u32,
}

/// What a poll found.
pub(super) enum Polled {
    /// Every row has its outcome, on record.
    Settled,
    /// Not done yet: look again after this (in the destination's time).
    NotYet(Duration),
    /// The destination will not do it, or its answer fits no row: it is sent again.
    SendAgain,
    /// The question had no answer: ask again after this.
    NoAnswer(Duration),
    /// The key or the account is refused.
    Stop(Stop),
}

/// Asks for one batch's result once.
pub(super) async fn poll(context: Arc<RunContext>, batch: &Unsettled) -> Polled {
    match ask(&context, batch).await {
        Ok(polled) => polled,
        Err(stop) => Polled::Stop(stop),
    }
}

async fn ask(context: &Arc<RunContext>, batch: &Unsettled) -> Result<Polled, Stop> {
    let slot = context.lane.slot(Class::Poll, context.run_label()).await.ok_or(Stop::Shutdown)?;
    let asked_at = Instant::now();
    let status = context.destination.import_status(&batch.remote_id, REQUEST_DEADLINE).await;
    slot.answered();
    let age = age(context, batch, asked_at);
    match status {
        Ok(ImportStatus::Completed { failures }) => {
            if let Some(age) = age {
                context.lane.learn_completion(age, true);
            }
            settle(context, batch, &failures).await
        }
        Ok(ImportStatus::Failed | ImportStatus::Interrupted) => send_again(context, batch).await,
        Ok(ImportStatus::NotYet | ImportStatus::Waiting | ImportStatus::Claimed | ImportStatus::Active) => {
            if let (Some(age), 0) = (age, batch.polls) {
                context.lane.learn_completion(age, false);
            }
            Ok(Polled::NotYet(retry::backoff(batch.polls, retry::random())))
        }
        Err(CallError::RateLimited { retry_after }) => {
            let wait = context.shared.scale.real(retry_after.unwrap_or(Duration::from_secs(1)));
            let now = context.shared.now();
            context.shared.store.lane_hold(context.lane.account(), now.plus(wait), now).await?;
            context.lane.hold(wait);
            Ok(Polled::NoAnswer(Duration::ZERO))
        }
        Err(error) if error.is_retryable() || batch.polls < retry::REFUSED_KEYS => {
            Ok(Polled::NoAnswer(retry::backoff(batch.polls, retry::random())))
        }
        Err(error) => Err(crate::failure::from_call(&error)),
    }
}

/// How old the batch was when asked, in the destination's time.
fn age(context: &RunContext, batch: &Unsettled, asked_at: Instant) -> Option<Duration> {
    batch.sent_at.map(|sent_at| context.shared.scale.documented(asked_at.saturating_duration_since(sent_at)))
}

async fn settle(context: &Arc<RunContext>, batch: &Unsettled, failures: &[String]) -> Result<Polled, Stop> {
    let Some(refused) = match_failures(context, batch, failures) else {
        tracing::warn!(batch = batch.job.key.seq, "a failure fits no row of its batch; the batch is sent again");
        return send_again(context, batch).await;
    };
    let rows = rows(batch);
    let refused_count = i64::try_from(refused.len()).unwrap_or(i64::MAX);
    let confirmed = rows - refused_count;
    let delta =
        CountsDelta { queued: -rows, confirmed, refused: refused_count, batches_settled: 1, ..CountsDelta::default() };
    let after = BatchAfter::Settled { confirmed: u32::try_from(confirmed).unwrap_or(0), refused };
    let now = context.shared.now();
    context.shared.store.batch_record(&context.lease, batch.job.key.seq, after, delta, now).await?;
    Ok(Polled::Settled)
}

/// The rows that the failures mean; nothing if one of them means no row of this batch.
fn match_failures(context: &RunContext, batch: &Unsettled, failures: &[String]) -> Option<Vec<RefusedRow>> {
    if failures.is_empty() {
        return Some(Vec::new());
    }
    let removed: HashSet<u32> = batch.job.key.removed.iter().copied().collect();
    let offsets: HashMap<&[u8; 16], u32> =
        batch.identities.iter().zip(0_u32..).filter(|(_, offset)| !removed.contains(offset)).collect();
    let mut refused = Vec::with_capacity(failures.len());
    for address in failures {
        let email = Email::parse(address).ok()?;
        let digest = identity_digest(&context.identity_key, &email);
        refused.push(*offsets.get(&digest)?);
    }
    refused.sort_unstable();
    refused.dedup();
    let reason = |offset| RefusedRow { offset, reason: REASON_NOT_GIVEN.to_owned() };
    Some(refused.into_iter().map(reason).collect())
}

async fn send_again(context: &Arc<RunContext>, batch: &Unsettled) -> Result<Polled, Stop> {
    let rows = rows(batch);
    let now = context.shared.now();
    let (after, delta, polled) = if batch.job.attempts >= retry::ATTEMPTS {
        let delta = CountsDelta { queued: -rows, unknown: rows, batches_settled: 1, ..CountsDelta::default() };
        (BatchAfter::Unknown, delta, Polled::Settled)
    } else {
        let delta = CountsDelta { queued: -rows, not_sent: rows, ..CountsDelta::default() };
        (BatchAfter::Due, delta, Polled::SendAgain)
    };
    context.shared.store.batch_record(&context.lease, batch.job.key.seq, after, delta, now).await?;
    Ok(polled)
}

fn rows(batch: &Unsettled) -> i64 {
    i64::from(batch.job.key.rows) - i64::try_from(batch.job.key.removed.len()).unwrap_or(0)
}
