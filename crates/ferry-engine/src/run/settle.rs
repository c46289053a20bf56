//! From "queued" to an outcome for every row.
//!
//! ActiveCampaign lists the addresses that failed, without a reason, and the ids of those that it took. Only the
//! failures are counted: whether the other list holds updated contacts too is not documented (bulk import status page).

use super::feed::{Identities, Job};
use super::retry;
use super::{RunContext, asked};
use crate::failure::{Stop, unrecorded};
use ferry_destinations::activecampaign::{CallError, ImportStatus};
use ferry_domain::Timestamp;
use ferry_lanes::{Class, REQUEST_DEADLINE};
use ferry_segments::{Email, REASON_NOT_GIVEN, identity_digest};
use ferry_store::{BatchAfter, CountsDelta, RefusedRow};
use ferry_telemetry::Step;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The destination knows a batch a second after it came (bulk import status page).
const FORGOTTEN: Duration = Duration::from_secs(600);

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
    /// Not done yet, or not clear: look again after this (in the destination's time).
    NotYet(Duration),
    /// The destination will not do it, or its answer fits no row: it is sent again.
    SendAgain,
    /// The question had no answer: ask again after this.
    NoAnswer(Duration),
    /// Not asked: the destination wants to be left alone, or the key is in doubt.
    Held,
    /// The key was refused, which may be a passing fault.
    Forbidden,
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
    let asked = context.key_doubt.asking();
    let slot = tokio::select! {
        biased;
        () = context.stop_asking.cancelled() => return Err(Stop::Shutdown),
        slot = context.lane.slot(Class::Poll) => slot.ok_or(Stop::Shutdown)?,
    };
    if context.key_doubt.has_changed(asked) {
        slot.unused();
        return Ok(Polled::Held);
    }
    ferry_domain::failpoint!("poll-granted");
    if let Err(stop) = asked::may_ask(context).await {
        slot.unused();
        return Err(stop);
    }
    // The look took its time; the destination may have asked for a wait meanwhile.
    if slot.is_held() {
        slot.unused();
        return Ok(Polled::Held);
    }
    let asked_at = Instant::now();
    let exchange = context.exchange(Class::Poll, &slot, batch.polls + 1, Some(batch.job.key.seq));
    let question = exchange.around(context.destination.import_status(&batch.remote_id, REQUEST_DEADLINE));
    let status = tokio::select! {
        biased;
        () = context.hang_up.cancelled() => return Err(Stop::Removed),
        status = question => status,
    };
    drop(exchange);
    let wait = match &status {
        Err(CallError::RateLimited { retry_after }) => Some(retry_after.unwrap_or(Duration::from_secs(1))),
        _ => None,
    };
    if let Some(wait) = wait {
        // Before the slot is given back, so that nobody is let through in between.
        let held = context.keep_away(wait).await;
        slot.answered();
        return held.map(|()| Polled::Held);
    }
    slot.answered();
    match &status {
        Err(CallError::CredentialsRefused | CallError::Forbidden) => context.key_doubt.refused(asked),
        Err(_) => {}
        Ok(_) => context.key_doubt.taken(asked),
    }
    let age = age(context, batch, asked_at);
    match status {
        Ok(ImportStatus::Completed { failures }) => {
            if let Some(age) = age {
                context.lane.learn_completion(age, true);
            }
            settle(context, batch, &failures).await
        }
        Ok(ImportStatus::Failed | ImportStatus::Interrupted) => send_again(context, batch).await,
        Ok(ImportStatus::NotYet) | Err(CallError::NotFound) if is_forgotten(context, batch) => {
            tracing::warn!(batch = batch.job.key.seq, "the destination no longer knows a batch; it is sent again");
            send_again(context, batch).await
        }
        Err(CallError::NotFound) => Ok(Polled::NotYet(retry::backoff(batch.polls, retry::random()))),
        Ok(ImportStatus::NotYet | ImportStatus::Waiting | ImportStatus::Claimed | ImportStatus::Active) => {
            if let (Some(age), 0) = (age, batch.polls) {
                context.lane.learn_completion(age, false);
            }
            Ok(Polled::NotYet(retry::backoff(batch.polls, retry::random())))
        }
        Err(CallError::CredentialsRefused | CallError::Forbidden) => Ok(Polled::Forbidden),
        Err(error) if error.is_retryable() => Ok(Polled::NoAnswer(retry::backoff(batch.polls, retry::random()))),
        Err(error) => Err(crate::failure::from_call(&error)),
    }
}

/// Whether a batch that the destination knows nothing of is too old to be unknown yet.
fn is_forgotten(context: &RunContext, batch: &Unsettled) -> bool {
    context.shared.scale.documented(context.shared.now().since(batch.sent_time)) > FORGOTTEN
}

/// How old the batch was when asked, in the destination's time.
fn age(context: &RunContext, batch: &Unsettled, asked_at: Instant) -> Option<Duration> {
    batch.sent_at.map(|sent_at| context.shared.scale.documented(asked_at.saturating_duration_since(sent_at)))
}

async fn settle(context: &Arc<RunContext>, batch: &Unsettled, failures: &[String]) -> Result<Polled, Stop> {
    let Some(refused) = match_failures(context, batch, failures) else {
        if batch.polls < retry::STRANGE_RESULTS {
            return Ok(Polled::NotYet(retry::backoff(batch.polls, retry::random())));
        }
        tracing::warn!(batch = batch.job.key.seq, "a failure fits no row of its batch; the batch is sent again");
        return send_again(context, batch).await;
    };
    ferry_domain::failpoint!("result-read");
    let rows = rows(batch);
    let refused_count = i64::try_from(refused.len()).unwrap_or(i64::MAX);
    let confirmed = rows - refused_count;
    let delta =
        CountsDelta { queued: -rows, confirmed, refused: refused_count, batches_settled: 1, ..CountsDelta::default() };
    let after = BatchAfter::Settled { confirmed: u32::try_from(confirmed).unwrap_or(0), refused };
    let now = context.shared.now();
    let delta = batch.job.counted(delta);
    let store = &context.shared.store;
    let recorded = store.batch_record(&context.lease, batch.job.key.seq, after, delta, now).await;
    recorded.map_err(unrecorded)?;
    context.progress(Step::Confirmed, confirmed);
    context.progress(Step::Refused, refused_count);
    if let Some(sent_at) = batch.sent_at {
        context.shared.telemetry.settled(context.lane.destination(), sent_at.elapsed());
    }
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
    let key = context.files.identity_key();
    let mut refused = Vec::with_capacity(failures.len());
    for address in failures {
        let email = Email::parse(address).ok()?;
        let digest = identity_digest(&key, &email);
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
    let delta = batch.job.counted(delta);
    let store = &context.shared.store;
    let recorded = store.batch_record(&context.lease, batch.job.key.seq, after, delta, now).await;
    recorded.map_err(unrecorded)?;
    Ok(polled)
}

fn rows(batch: &Unsettled) -> i64 {
    i64::from(batch.job.key.rows) - i64::try_from(batch.job.key.removed.len()).unwrap_or(0)
}
