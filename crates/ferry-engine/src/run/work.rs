//! The main part of a run: batches go out and settle at the same time, until all have an outcome or something stops it.
//!
//! One task owns the run's state; sends and polls are tasks of their own that come back with a result. What is in
//! memory here can be lost at any time: it is rebuilt from the recorded batches.

use super::RunContext;
use super::feed::{Feed, Job, Prepared};
use super::plan::Adopted;
use super::recover::{self, Recovered};
use super::retry;
use super::send::{self, Sent, Why};
use super::settle::{self, Polled, Unsettled};
use crate::failure::{self, Stop};
use crate::lane::{UNANSWERED_IMPORTS, UNSETTLED_BATCHES};
use ferry_domain::{Culprit, Phase, Reason, RunError, RunState, Severity};
use ferry_store::BatchKey;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Polls that may be on their way at once.
const UNANSWERED_POLLS: usize = 4;
/// How often the store is asked whether the run was cancelled, besides the intents, which always ask.
const CANCEL_CHECK: Duration = Duration::from_millis(250);
/// How long the results of sent batches are waited for once a run is to stop (the destination's time).
const GRACE: Duration = Duration::from_secs(120);
/// A run may take at least this long, and at least twice its estimate (the destination's time).
const SHORTEST_LIMIT: Duration = Duration::from_secs(90 * 60);

/// Sends and settles. `Ok(None)`: every batch has an outcome. `Ok(Some(stop))`: it ended before.
pub(super) async fn work(context: &Arc<RunContext>, plan: &Adopted) -> Result<Option<Stop>, Stop> {
    let shared = &context.shared;
    shared.store.run_phase(&context.lease, Phase::Sending, shared.now()).await?;
    let recovered = recover::recover(context, plan).await?;
    let mut work = Work::new(Arc::clone(context), plan, recovered);
    work.until_done_or_stopped().await?;
    work.drain().await;
    Ok(work.stop)
}

/// Whether a person asked for the end of the run.
pub(super) async fn stop_asked(context: &RunContext) -> Result<Option<Stop>, Stop> {
    match context.shared.store.run_state(&context.lease).await? {
        RunState::Cancelling | RunState::Cancelled => Ok(Some(Stop::Cancelled)),
        _ => Ok(None),
    }
}

struct Work {
    context: Arc<RunContext>,
    feed: Feed,
    /// To be sent before anything new: recovered, repaired, to be repeated.
    due: VecDeque<Job>,
    /// To be sent again, not before an instant.
    later: Vec<(Instant, Job)>,
    /// The plan's batches that were never sent.
    fresh: VecDeque<Job>,
    next_seq: u32,
    unsettled: Vec<(Instant, Unsettled)>,
    sends: JoinSet<(Prepared, Sent)>,
    polls: JoinSet<(Unsettled, Polled)>,
    failures: u32,
    refused_keys: u32,
    refused_requests: u32,
    phase: Phase,
    stop: Option<Stop>,
    /// When a run that is to stop no longer waits for results.
    grace_until: Option<Instant>,
    limit: Instant,
}

impl Work {
    fn new(context: Arc<RunContext>, plan: &Adopted, recovered: Recovered) -> Self {
        let now = Instant::now();
        let estimate = Duration::from_secs_f64(plan.record.batch_rows.len() as f64 * 60.0 / 100.0);
        let limit = now + context.shared.scale.real((estimate * 2).max(SHORTEST_LIMIT));
        Self {
            feed: Feed::new(Arc::clone(&context)),
            due: recovered.due,
            later: Vec::new(),
            fresh: recovered.fresh,
            next_seq: recovered.next_seq,
            unsettled: recovered.unsettled.into_iter().map(|batch| (now, batch)).collect(),
            sends: JoinSet::new(),
            polls: JoinSet::new(),
            failures: 0,
            refused_keys: 0,
            refused_requests: 0,
            phase: Phase::Sending,
            stop: None,
            grace_until: None,
            limit,
            context,
        }
    }

    async fn until_done_or_stopped(&mut self) -> Result<(), Stop> {
        let shutdown = self.context.shared.shutdown.clone();
        let mut changes = self.context.shared.store.changes();
        while !self.is_over() {
            self.start_sends().await;
            self.start_polls();
            self.note_phase().await?;
            let wake = self.next_wake();
            tokio::select! {
                () = shutdown.cancelled(), if self.stop.is_none() => self.stop_with(Stop::Shutdown),
                Some(sent) = self.sends.join_next() => self.after_send(sent)?,
                Some(polled) = self.polls.join_next() => self.after_poll(polled)?,
                _ = changes.changed() => self.check_cancelled().await?,
                () = tokio::time::sleep_until(wake.into()) => self.check_cancelled().await?,
            }
        }
        Ok(())
    }

    /// Requests on their way are waited for, at most their deadline: what they did must be on record.
    async fn drain(&mut self) {
        while let Some(sent) = self.sends.join_next().await {
            if let Err(stop) = self.after_send(sent) {
                self.stop_with(stop);
            }
        }
        self.polls.shutdown().await;
    }

    fn is_over(&self) -> bool {
        let nothing_left = self.due.is_empty() && self.later.is_empty() && self.fresh.is_empty();
        let nothing_unsettled = self.unsettled.is_empty() && self.polls.is_empty() && self.sends.is_empty();
        match &self.stop {
            None => nothing_left && nothing_unsettled,
            Some(Stop::Shutdown | Stop::Fenced) => true,
            Some(Stop::Cancelled | Stop::Ended(..)) => {
                nothing_unsettled || self.grace_until.is_some_and(|until| Instant::now() >= until)
            }
        }
    }

    fn stop_with(&mut self, stop: Stop) {
        self.context.stop_sending.cancel();
        if self.stop.is_some() {
            return;
        }
        let no_use_in_asking = matches!(&stop, Stop::Ended(_, error) if matches!(error.reason,
            Reason::CredentialsRefused | Reason::AccountLapsed | Reason::HostUnreachable | Reason::Internal));
        let grace = if no_use_in_asking { Duration::ZERO } else { self.context.shared.scale.real(GRACE) };
        self.grace_until = Some(Instant::now() + grace);
        self.stop = Some(stop);
    }

    async fn start_sends(&mut self) {
        let now = Instant::now();
        let ready = self.later.extract_if(.., |(at, _)| *at <= now).map(|(_, job)| job);
        self.due.extend(ready);
        while self.stop.is_none()
            && self.sends.len() < UNANSWERED_IMPORTS
            && self.sends.len() + self.unsettled.len() + self.polls.len() < UNSETTLED_BATCHES
        {
            let Some(job) = self.next_job() else { return };
            match self.feed.prepare(job).await {
                Ok(prepared) => {
                    let context = Arc::clone(&self.context);
                    self.sends.spawn(async move {
                        let sent = send::send(context, &prepared).await;
                        (prepared, sent)
                    });
                }
                Err(stop) => return self.stop_with(stop),
            }
        }
    }

    fn next_job(&mut self) -> Option<Job> {
        if let Some(job) = self.due.pop_front() {
            return Some(job);
        }
        // After several failures in a row nothing new goes out, so that an outage costs few unknown outcomes.
        if self.failures >= retry::FAILURES_BEFORE_CAUTION {
            return None;
        }
        self.fresh.pop_front()
    }

    fn start_polls(&mut self) {
        let now = Instant::now();
        while self.polls.len() < UNANSWERED_POLLS {
            let due = self.unsettled.iter().enumerate().filter(|(_, (at, _))| *at <= now);
            let Some(oldest) = due.min_by_key(|(_, (_, batch))| (batch.sent_time, batch.job.key.seq)).map(|(at, _)| at)
            else {
                return;
            };
            let (_, batch) = self.unsettled.swap_remove(oldest);
            let context = Arc::clone(&self.context);
            self.polls.spawn(async move {
                let polled = settle::poll(context, &batch).await;
                (batch, polled)
            });
        }
    }

    fn after_send(&mut self, sent: Result<(Prepared, Sent), tokio::task::JoinError>) -> Result<(), Stop> {
        let (prepared, sent) = sent.map_err(panicked)?;
        match sent {
            Sent::Queued { remote_id, sent_time, sent_at } => {
                (self.failures, self.refused_keys, self.refused_requests) = (0, 0, 0);
                let job = Job { attempts: prepared.job.attempts + 1, ..prepared.job };
                let identities = prepared.identities;
                let batch = Unsettled { job, remote_id, sent_time, sent_at: Some(sent_at), identities, polls: 0 };
                let first_look = self.context.shared.scale.real(self.context.lane.completion_age());
                self.unsettled.push((sent_at + first_look, batch));
            }
            Sent::Split { refused } => self.repair(&prepared, &refused),
            Sent::Refused => {
                self.refused_requests += 1;
                if self.refused_requests >= retry::REFUSED_REQUESTS {
                    self.stop_with(failure::destination_failed());
                }
            }
            Sent::Again { after, why } => self.again(prepared.job, after, why),
            Sent::GivenUp => self.stop_with(failure::destination_failed()),
            Sent::Stop(Stop::Fenced) => return Err(Stop::Fenced),
            Sent::Stop(Stop::Shutdown) => self.due.push_front(prepared.job),
            Sent::Stop(stop) => self.stop_with(stop),
        }
        Ok(())
    }

    /// The rest of a batch of which some rows were refused goes as a child, before anything new.
    fn repair(&mut self, prepared: &Prepared, refused: &[u32]) {
        let parent = &prepared.job.key;
        let mut removed = parent.removed.clone();
        removed.extend_from_slice(refused);
        removed.sort_unstable();
        if removed.len() == parent.rows as usize {
            return;
        }
        let key =
            BatchKey { seq: self.next_seq, parent: Some(parent.seq), first: parent.first, rows: parent.rows, removed };
        self.next_seq += 1;
        self.due.push_front(Job { key, attempts: 0 });
    }

    fn again(&mut self, job: Job, after: Duration, why: Why) {
        let counts = match why {
            Why::RateLimit | Why::Late => false,
            Why::Forbidden => {
                self.refused_keys += 1;
                if self.refused_keys >= retry::REFUSED_KEYS {
                    self.stop_with(failure::credentials_refused());
                }
                true
            }
            Why::Unreachable => {
                self.failures += 1;
                if self.failures >= retry::ATTEMPTS {
                    self.stop_with(failure::unreachable_host());
                }
                true
            }
            Why::NoAnswer => {
                self.failures += 1;
                true
            }
        };
        let job = Job { attempts: job.attempts + u32::from(counts), ..job };
        self.later.push((Instant::now() + self.context.shared.scale.real(after), job));
    }

    fn after_poll(&mut self, polled: Result<(Unsettled, Polled), tokio::task::JoinError>) -> Result<(), Stop> {
        let (batch, polled) = polled.map_err(panicked)?;
        let later = |wait: Duration| Instant::now() + self.context.shared.scale.real(wait);
        match polled {
            Polled::Settled => {}
            Polled::NotYet(wait) | Polled::NoAnswer(wait) => {
                let polls = batch.polls + 1;
                self.unsettled.push((later(wait), Unsettled { polls, ..batch }));
            }
            Polled::SendAgain => {
                let wait = retry::backoff(batch.job.attempts, retry::random());
                self.later.push((later(wait), batch.job));
            }
            Polled::Stop(Stop::Fenced) => return Err(Stop::Fenced),
            Polled::Stop(stop) => {
                self.unsettled.push((later(retry::backoff(5, 1.0)), batch));
                self.stop_with(stop);
            }
        }
        Ok(())
    }

    async fn check_cancelled(&mut self) -> Result<(), Stop> {
        if self.stop.is_some() {
            return Ok(());
        }
        if let Some(stop) = stop_asked(&self.context).await? {
            self.stop_with(stop);
        } else if Instant::now() >= self.limit {
            let message = "the run took longer than its time limit; what was sent is reported";
            let error = RunError {
                reason: Reason::TimedOut,
                message: message.to_owned(),
                severity: Severity::Temporary,
                culprit: Culprit::Destination,
            };
            self.stop_with(Stop::Ended(RunState::TimedOut, error));
        }
        Ok(())
    }

    async fn note_phase(&mut self) -> Result<(), Stop> {
        let all_sent = self.due.is_empty() && self.later.is_empty() && self.fresh.is_empty() && self.sends.is_empty();
        if all_sent && self.phase == Phase::Sending {
            self.phase = Phase::Settling;
            let shared = &self.context.shared;
            shared.store.run_phase(&self.context.lease, Phase::Settling, shared.now()).await?;
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        let polls = self.unsettled.iter().map(|(at, _)| *at).filter(|_| self.polls.len() < UNANSWERED_POLLS);
        let sends = self.later.iter().map(|(at, _)| *at);
        let check = Instant::now() + CANCEL_CHECK;
        polls.chain(sends).chain(self.grace_until).fold(check, Instant::min)
    }
}

fn panicked(error: tokio::task::JoinError) -> Stop {
    tracing::error!(%error, "a task of a run panicked");
    failure::internal("a part of Ferry failed during this run; report it")
}
