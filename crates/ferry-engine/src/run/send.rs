//! One attempt to send one batch: slot, intent on record, send, answer on record.
//!
//! A crash before the intent's commit: nothing left. After it: the attempt is without an answer and counts as unknown;
//! the batch is sent again. An import is an upsert by address, so a repeat changes nothing at the destination.

use super::RunContext;
use super::asked::{self, SEND_BY};
use super::feed::Prepared;
use super::recipient::Recipients;
use super::{account, destination, retry};
use crate::failure::{self, Stop};
use ferry_destinations::activecampaign::{ImportOutcome, Refusal, RefusalReason};
use ferry_domain::Timestamp;
use ferry_lanes::{Class, REQUEST_DEADLINE, Slot};
use ferry_store::{AttemptOutcome, BatchAfter, CountsDelta, Intent, IntentRefused, RefusedRow, SendPermit};
use ferry_telemetry::Step;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The destination's own wait where a rate limit answer names none (bulk import page: retry in a minute).
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// What became of one attempt.
pub(super) enum Sent {
    /// The destination has it; its result is to be polled.
    Queued { remote_id: String, sent_time: Timestamp, sent_at: Instant },
    /// Some rows were refused up front, the rest goes as a child batch.
    Split { refused: Vec<u32> },
    /// The request as a whole was refused: every row of it.
    Refused,
    /// It may have arrived, or certainly has not; it is sent again after a while.
    Again { after: Duration, why: Why },
    /// Too many attempts: the outcome of its rows stays unknown.
    GivenUp,
    /// Nothing more can be sent.
    Stop(Stop),
}

/// Why a batch is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The destination's limit; no failure of anybody.
    RateLimit,
    /// The key was refused, which may be a passing fault.
    Forbidden,
    /// The key was refused to another request meanwhile, so this one was held back.
    KeyInDoubt,
    /// The destination refused the whole request and names no row, which may be a passing fault.
    Refused,
    /// The host could not be reached.
    Unreachable,
    /// An answer is missing or unreadable.
    NoAnswer,
    /// Too much time passed between intent and send, or the destination asked to wait meanwhile.
    Late,
}

/// Sends a batch once.
pub(super) async fn send(context: Arc<RunContext>, prepared: &Prepared, recipients: &Recipients) -> Sent {
    match attempt(&context, prepared, recipients).await {
        Ok(sent) => sent,
        Err(stop) => Sent::Stop(stop),
    }
}

async fn attempt(context: &Arc<RunContext>, prepared: &Prepared, recipients: &Recipients) -> Result<Sent, Stop> {
    let class = if prepared.rows() == 1 { Class::ImportOne } else { Class::ImportMany };
    let asked = context.key_doubt.asking();
    let slot = tokio::select! {
        biased;
        () = context.stop_sending.cancelled() => return Err(Stop::Shutdown),
        slot = context.lane.slot(class) => slot.ok_or(Stop::Shutdown)?,
    };
    if context.key_doubt.has_changed(asked) {
        slot.unused();
        return Ok(Sent::Again { after: Duration::ZERO, why: Why::KeyInDoubt });
    }
    let begun = Instant::now();
    let permit = match intent(context, prepared, recipients).await {
        Ok(permit) => permit,
        Err(stop) => {
            slot.unused();
            return Err(stop);
        }
    };
    if begun.elapsed() > SEND_BY || slot.is_held() {
        slot.unused();
        record(context, &permit, AttemptOutcome::Void, BatchAfter::Due, CountsDelta::default()).await?;
        return Ok(Sent::Again { after: Duration::ZERO, why: Why::Late });
    }
    ferry_domain::failpoint!("intent-committed");
    let sent_at = Instant::now();
    let job = &prepared.job;
    let exchange = context.exchange(class, &slot, job.attempts + 1, Some(job.key.seq));
    let import =
        context.destination.import(prepared.body.clone(), prepared.rows(), permit.attempt_id(), REQUEST_DEADLINE);
    let outcome = exchange.around(import).await;
    drop(exchange);
    ferry_domain::failpoint!("answer-read");
    match &outcome {
        ImportOutcome::CredentialsRefused => context.key_doubt.refused(asked),
        ImportOutcome::Queued { .. } | ImportOutcome::ContactsRefused { .. } => context.key_doubt.taken(asked),
        // A wildcard, because nothing else says whether the key was looked at.
        _ => {}
    }
    finish_attempt(context, prepared, &permit, slot, outcome, sent_at).await
}

async fn intent(context: &Arc<RunContext>, prepared: &Prepared, recipients: &Recipients) -> Result<SendPermit, Stop> {
    let now = context.shared.now();
    let (recipient, action) = recipients.of_batch(prepared.job.removal);
    let intent = Intent {
        attempt_id: uuid::Uuid::now_v7().to_string(),
        batch: prepared.job.key.clone(),
        account: context.lane.account().to_owned(),
        body_digest: prepared.digest,
        keyed_digest: prepared.keyed_digest,
        recipient,
        action,
        send_by: now.plus(SEND_BY),
    };
    match context.shared.store.intent_record(&context.lease, intent, now).await {
        Ok(permit) => Ok(permit),
        Err(IntentRefused::Fenced) => Err(Stop::Fenced),
        // By whom, and whether what was sent may still be asked after, the store knows.
        Err(IntentRefused::Stopped | IntentRefused::Moved) => {
            Err(asked::stop_asked(&context.shared, &context.lease).await?.unwrap_or_else(moved))
        }
        Err(IntentRefused::Failed(error)) => Err(failure::unrecorded(error.into())),
    }
}

fn moved() -> Stop {
    failure::failed(
        ferry_domain::Reason::PlanExpired,
        ferry_domain::Culprit::User,
        ferry_domain::Severity::Temporary,
        "the connection was changed while this run was going on; run it again",
    )
}

/// Records the answer, then gives the slot back: the next request of the account is granted on recorded ground.
async fn finish_attempt(
    context: &Arc<RunContext>,
    prepared: &Prepared,
    permit: &SendPermit,
    slot: Slot,
    outcome: ImportOutcome,
    sent_at: Instant,
) -> Result<Sent, Stop> {
    let not_sent = matches!(outcome, ImportOutcome::NotSent);
    let sent = record_outcome(context, prepared, permit, outcome, sent_at).await;
    if not_sent {
        slot.unused()
    } else {
        slot.answered()
    }
    sent
}

async fn record_outcome(
    context: &Arc<RunContext>,
    prepared: &Prepared,
    permit: &SendPermit,
    outcome: ImportOutcome,
    sent_at: Instant,
) -> Result<Sent, Stop> {
    let rows = i64::try_from(prepared.rows()).unwrap_or(i64::MAX);
    let attempts = prepared.job.attempts + 1;
    let none = CountsDelta::default();
    match outcome {
        ImportOutcome::Queued { batch_id } => {
            let sent_time = context.shared.now();
            let after = BatchAfter::Queued { remote_id: batch_id.clone(), sent_time };
            let delta = prepared.job.counted(CountsDelta { queued: rows, not_sent: -rows, ..none });
            record(context, permit, AttemptOutcome::Queued { remote_id: batch_id.clone() }, after, delta).await?;
            context.progress(Step::Queued, rows);
            Ok(Sent::Queued { remote_id: batch_id, sent_time, sent_at })
        }
        ImportOutcome::ContactsRefused { refusals } => split(context, prepared, permit, &refusals).await,
        ImportOutcome::RequestRefused { .. } if attempts < retry::REFUSED_ATTEMPTS => {
            record(context, permit, AttemptOutcome::RequestRefused, BatchAfter::Due, none).await?;
            Ok(Sent::Again { after: retry::backoff(prepared.job.attempts, retry::random()), why: Why::Refused })
        }
        ImportOutcome::RequestRefused { .. } => refuse(context, prepared, permit).await,
        ImportOutcome::RateLimited { retry_after } => {
            let held = context.keep_away(retry_after.unwrap_or(RATE_LIMIT_WAIT)).await;
            record(context, permit, AttemptOutcome::RateLimited, BatchAfter::Due, none).await?;
            held?;
            ferry_domain::failpoint!("wait-recorded");
            Ok(Sent::Again { after: Duration::ZERO, why: Why::RateLimit })
        }
        ImportOutcome::CredentialsRefused => {
            record(context, permit, AttemptOutcome::CredentialsRefused, BatchAfter::Due, none).await?;
            Ok(Sent::Again { after: retry::backoff(0, retry::random()), why: Why::Forbidden })
        }
        ImportOutcome::AccountLapsed => {
            record(context, permit, AttemptOutcome::AccountLapsed, BatchAfter::Due, none).await?;
            Err(failure::account_lapsed())
        }
        ImportOutcome::AccountFull => {
            record(context, permit, AttemptOutcome::AccountFull, BatchAfter::Due, none).await?;
            Err(failure::account_full())
        }
        ImportOutcome::NotFound => {
            record(context, permit, AttemptOutcome::NotFound, BatchAfter::Due, none).await?;
            Err(failure::not_an_account())
        }
        ImportOutcome::NotSent => {
            record(context, permit, AttemptOutcome::NotSent, BatchAfter::Due, none).await?;
            Ok(Sent::Again { after: retry::backoff(prepared.job.attempts, retry::random()), why: Why::Unreachable })
        }
        ImportOutcome::Unknown { .. } if attempts >= retry::ATTEMPTS => {
            let delta =
                prepared.job.counted(CountsDelta { unknown: rows, not_sent: -rows, batches_settled: 1, ..none });
            record(context, permit, AttemptOutcome::Unknown, BatchAfter::Unknown, delta).await?;
            Ok(Sent::GivenUp)
        }
        ImportOutcome::Unknown { retry_after } => {
            let held = match retry_after {
                Some(wait) => context.keep_away(wait).await,
                None => Ok(()),
            };
            record(context, permit, AttemptOutcome::Unknown, BatchAfter::Due, none).await?;
            held?;
            Ok(Sent::Again { after: retry::backoff(prepared.job.attempts, retry::random()), why: Why::NoAnswer })
        }
    }
}

/// The whole request is refused, again and again. Rows that an earlier attempt may have brought there stay unknown.
async fn refuse(context: &Arc<RunContext>, prepared: &Prepared, permit: &SendPermit) -> Result<Sent, Stop> {
    let rows = i64::try_from(prepared.rows()).unwrap_or(i64::MAX);
    let settled = CountsDelta { not_sent: -rows, batches_settled: 1, ..CountsDelta::default() };
    let (after, delta) = if prepared.job.may_have_arrived {
        (BatchAfter::Unknown, CountsDelta { unknown: rows, ..settled })
    } else {
        let refused = all_rows(prepared, account::REQUEST_REFUSED);
        (BatchAfter::Settled { confirmed: 0, refused }, CountsDelta { refused: rows, ..settled })
    };
    let refused = delta.refused;
    record(context, permit, AttemptOutcome::RequestRefused, after, prepared.job.counted(delta)).await?;
    context.progress(Step::Refused, refused);
    Ok(Sent::Refused)
}

/// One bad address refuses the whole request; nothing was queued. The bad rows are refused, the rest becomes a child.
async fn split(
    context: &Arc<RunContext>,
    prepared: &Prepared,
    permit: &SendPermit,
    refusals: &[Refusal],
) -> Result<Sent, Stop> {
    let sent = sent_offsets(prepared);
    let mut refused: Vec<RefusedRow> = refusals
        .iter()
        .filter_map(|refusal| {
            let offset = *sent.get(refusal.index)?;
            Some(RefusedRow { offset, reason: refusal.reason.as_str().to_owned() })
        })
        .collect();
    refused.sort_by_key(|row| row.offset);
    refused.dedup_by_key(|row| row.offset);
    let offsets: Vec<u32> = refused.iter().map(|row| row.offset).collect();
    let count = i64::try_from(offsets.len()).unwrap_or(i64::MAX);
    // With no row left there is no child, and this batch is done.
    let batches_settled = i64::from(offsets.len() == prepared.rows());
    let delta = prepared.job.counted(CountsDelta {
        refused: count,
        not_sent: -count,
        batches_settled,
        ..CountsDelta::default()
    });
    record(context, permit, AttemptOutcome::ContactsRefused, BatchAfter::Split { refused }, delta).await?;
    context.progress(Step::Refused, count);
    ferry_domain::failpoint!("batch-split");
    let about_all = batches_settled == 1 && refusals.iter().all(|refusal| refusal.reason == RefusalReason::Other);
    if about_all && let Some(stop) = destination::list_deleted(context).await {
        return Err(stop);
    }
    Ok(Sent::Split { refused: offsets })
}

/// The offsets of the rows that are in the request, in its order.
pub(super) fn sent_offsets(prepared: &Prepared) -> Vec<u32> {
    let key = &prepared.job.key;
    (0..key.rows).filter(|offset| !key.removed.contains(offset)).collect()
}

fn all_rows(prepared: &Prepared, reason: &str) -> Vec<RefusedRow> {
    sent_offsets(prepared).into_iter().map(|offset| RefusedRow { offset, reason: reason.to_owned() }).collect()
}

async fn record(
    context: &Arc<RunContext>,
    permit: &SendPermit,
    outcome: AttemptOutcome,
    after: BatchAfter,
    delta: CountsDelta,
) -> Result<(), Stop> {
    let now = context.shared.now();
    let store = &context.shared.store;
    let recorded = store.attempt_record(&context.lease, permit.attempt_id(), outcome, after, delta, now).await;
    recorded.map_err(failure::unrecorded)?;
    ferry_domain::failpoint!("answer-committed");
    Ok(())
}
