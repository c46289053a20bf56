//! The main part of a run: batches go out and settle at the same time, until all have an outcome or something stops it.
//!
//! One task owns the run's state; sends and polls are tasks of their own that come back with a result. What is in
//! memory here can be lost at any time: it is rebuilt from the recorded batches.

use super::caution::Caution;
use super::deferred::Deferred;
use super::feed::{Feed, Job, Prepared, rest_of};
use super::plan::Adopted;
use super::recipient::Recipients;
use super::recover::{self, Recovered};
use super::retry;
use super::send::{self, Sent, Why};
use super::settle::{self, Polled, Unsettled};
use super::time::Limit;
use super::workflow::Task;
use super::{RunContext, asked};
use crate::failure::{self, Stop};
use ferry_domain::{LeavePolicy, Phase, Reason};
use ferry_lanes::UNSETTLED_BATCHES;
use ferry_store::TakesOff;
use ferry_telemetry::{Phase as Part, inherited};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often the store is asked whether the run was cancelled, besides the intents, which always ask.
const CANCEL_CHECK: Duration = Duration::from_millis(250);
/// How long the results of sent batches are waited for once a run is to stop (the destination's time).
const GRACE: Duration = Duration::from_secs(120);

/// Sends and settles. `Ok(None)`: every batch has an outcome. `Ok(Some(stop))`: it ended before.
pub(super) async fn work(context: &Arc<RunContext>, plan: &Adopted) -> Result<Option<Stop>, Stop> {
    let mut work = match begin(context, plan).await {
        Ok(work) => work,
        Err(Stop::Fenced) => return Err(Stop::Fenced),
        Err(stop) => return Ok(Some(stop)),
    };
    if let Err(stop) = work.until_done_or_stopped().await {
        work.stop_with(stop);
    }
    work.drain().await;
    ferry_domain::failpoint!("work-done");
    let Work { stop, task, .. } = work;
    match stop {
        Some(Stop::Fenced) => Err(Stop::Fenced),
        Some(stop) => Ok(Some(stop)),
        None => {
            task.done();
            Ok(None)
        }
    }
}

async fn begin(context: &Arc<RunContext>, plan: &Adopted) -> Result<Work, Stop> {
    let shared = &context.shared;
    shared.store.run_phase(&context.lease, Phase::Sending, shared.now()).await?;
    let recovered = recover::recover(context, plan).await?;
    Ok(Work::new(Arc::clone(context), plan, recovered))
}

/// Whether somebody asked for the end of the run, or removed its connection.
pub(super) async fn stop_asked(context: &RunContext) -> Result<Option<Stop>, Stop> {
    asked::stop_asked(&context.shared, &context.lease).await
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
    /// Taken from `due` or `fresh`, and waiting for people who are in batches of other runs.
    deferred: Deferred,
    next_seq: u32,
    /// Imports that may be on their way at once, and as many polls.
    unanswered: usize,
    list: u32,
    recipients: Recipients,
    unsettled: Vec<(Instant, Unsettled)>,
    sends: JoinSet<(Prepared, Sent)>,
    polls: JoinSet<(Unsettled, Polled)>,
    imports: Caution,
    questions: Caution,
    /// While the key is in doubt, nothing is asked before this.
    probe_at: Instant,
    refused_requests: u32,
    phase: Phase,
    /// What the operational stream is told of the phase.
    task: Task,
    stop: Option<Stop>,
    /// When a run that is to stop no longer waits for results.
    grace_until: Option<Instant>,
    limit: Limit,
}

impl Work {
    fn new(context: Arc<RunContext>, plan: &Adopted, recovered: Recovered) -> Self {
        let now = Instant::now();
        let limit = Limit::of(&context, &plan.record);
        Self {
            feed: Feed::new(Arc::clone(&context)).read_ahead(recovered.fresh.clone()),
            due: recovered.due,
            later: Vec::new(),
            fresh: recovered.fresh,
            deferred: Deferred::default(),
            list: plan.record.list,
            recipients: Recipients::of(&context, &plan.record),
            next_seq: recovered.next_seq,
            unanswered: context.lane.most_unanswered(),
            unsettled: recovered.unsettled.into_iter().map(|batch| (now, batch)).collect(),
            sends: JoinSet::new(),
            polls: JoinSet::new(),
            imports: Caution::new(now),
            questions: Caution::new(now),
            probe_at: now,
            refused_requests: 0,
            phase: Phase::Sending,
            task: Task::begin(&context, Part::Sending),
            stop: None,
            grace_until: None,
            limit,
            context,
        }
    }

    async fn until_done_or_stopped(&mut self) -> Result<(), Stop> {
        let shutdown = self.context.shared.shutdown.clone();
        let mut released = self.context.lane.released();
        // Its time may have run out while nobody carried it; then it sends nothing more.
        self.check_cancelled().await?;
        while !self.is_over() {
            self.start_sends().await;
            self.start_polls();
            self.note_phase().await?;
            let wake = self.next_wake();
            tokio::select! {
                () = shutdown.cancelled(), if self.stop.is_none() => self.stop_with(Stop::Shutdown),
                Some(sent) = self.sends.join_next() => self.after_send(sent)?,
                Some(polled) = self.polls.join_next() => self.after_poll(polled)?,
                _ = released.changed(), if !self.deferred.is_empty() => {}
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
        // A question that was asked counts for the account's limits until its answer is here.
        self.context.stop_asking.cancel();
        if matches!(self.stop, Some(Stop::Removed)) {
            // Nobody waits for an answer there any more, and a question that has not begun must not begin. What was
            // answered is still recorded: the account is made from the record after this.
            self.context.hang_up.cancel();
        }
        while self.polls.join_next().await.is_some() {}
    }

    fn is_over(&self) -> bool {
        let nothing_left = self.nothing_to_send();
        let nothing_unsettled = self.unsettled.is_empty() && self.polls.is_empty() && self.sends.is_empty();
        match &self.stop {
            None => nothing_left && nothing_unsettled,
            Some(Stop::Shutdown | Stop::Fenced | Stop::Unsealed | Stop::Unrecorded | Stop::Removed) => true,
            Some(Stop::Cancelled | Stop::LongWait { .. } | Stop::Ended(..)) => {
                nothing_unsettled || self.grace_until.is_some_and(|until| Instant::now() >= until)
            }
        }
    }

    fn nothing_to_send(&self) -> bool {
        self.due.is_empty() && self.later.is_empty() && self.fresh.is_empty() && self.deferred.is_empty()
    }

    fn stop_with(&mut self, stop: Stop) {
        self.context.stop_sending.cancel();
        self.deferred.clear();
        let worse = matches!(self.stop, Some(Stop::Cancelled | Stop::LongWait { .. } | Stop::Ended(..)))
            && matches!(stop, Stop::Removed);
        if self.stop.is_some() && !worse {
            return;
        }
        let no_use_in_asking = match &stop {
            Stop::LongWait { .. } | Stop::Removed => true,
            Stop::Ended(_, error) => matches!(
                error.reason,
                Reason::CredentialsRefused | Reason::AccountLapsed | Reason::HostUnreachable | Reason::Internal
            ),
            Stop::Cancelled | Stop::Shutdown | Stop::Fenced | Stop::Unsealed | Stop::Unrecorded => false,
        };
        let grace = if no_use_in_asking { Duration::ZERO } else { self.context.shared.scale.real(GRACE) };
        self.grace_until = Some(Instant::now() + grace);
        self.stop = Some(stop);
    }

    async fn start_sends(&mut self) {
        let now = Instant::now();
        let ready = self.later.extract_if(.., |(at, _)| *at <= now).map(|(_, job)| job);
        self.due.extend(ready);
        while self.stop.is_none()
            && self.may_ask()
            && self.imports.allows(self.sends.len(), Instant::now())
            && self.sends.len() < self.unanswered
            && self.sends.len() + self.unsettled.len() + self.polls.len() < UNSETTLED_BATCHES
        {
            match self.next_batch().await {
                Ok(Some(prepared)) => {
                    let (context, recipients) = (Arc::clone(&self.context), self.recipients.clone());
                    self.sends.spawn(inherited(async move {
                        let sent = send::send(context, &prepared, &recipients).await;
                        (prepared, sent)
                    }));
                }
                Ok(None) => return,
                Err(stop) => return self.stop_with(stop),
            }
        }
    }

    /// While the key is in doubt, one request at a time goes out, and only after a wait.
    fn may_ask(&self) -> bool {
        let alone = self.sends.is_empty() && self.polls.is_empty();
        self.context.key_doubt.refusals() == 0 || (alone && self.probe_at <= Instant::now())
    }

    fn key_refused(&mut self) {
        let refusals = self.context.key_doubt.refusals();
        if refusals >= retry::REFUSED_KEYS {
            self.stop_with(failure::credentials_refused());
        }
        self.probe_at = Instant::now() + self.context.shared.scale.real(retry::backoff(refusals, retry::random()));
    }

    /// The next batch that may go, with its people taken.
    async fn next_batch(&mut self) -> Result<Option<Prepared>, Stop> {
        loop {
            let repeat = self.next_repeat();
            let freed = if repeat.is_none() && !self.imports.is_on() { self.deferred.freed() } else { None };
            let prepared = match freed {
                Some(prepared) => prepared,
                None => {
                    let Some(job) = repeat.or_else(|| self.next_new()) else { return Ok(None) };
                    let prepared = self.feed.prepare(job).await?;
                    let Some(prepared) = self.deferred.admit(&self.context.lane, prepared) else { continue };
                    prepared
                }
            };
            if self.may_remove(&prepared.job).await? {
                return Ok(Some(prepared));
            }
        }
    }

    /// Whether people may still be taken off the list. Another export of the tenant may have put them there since the
    /// plan was made; then nobody is taken off by this run, and the next plan knows better. Whom an erasure takes off is
    /// nobody's to hold.
    async fn may_remove(&mut self, job: &Job) -> Result<bool, Stop> {
        let unsubscribes = job.removal && self.context.export.leave_policy == LeavePolicy::Unsubscribe;
        let erasure = matches!(self.context.takes_off, Some(TakesOff::One(_)));
        // What may have arrived is not taken back by leaving it open.
        if !unsubscribes || erasure || job.may_have_arrived {
            return Ok(true);
        }
        let (shared, lease) = (&self.context.shared, &self.context.lease);
        if !shared.store.others_moved(lease, self.list).await? {
            return Ok(true);
        }
        self.due.retain(|job| !job.removal || job.may_have_arrived);
        self.later.retain(|(_, job)| !job.removal || job.may_have_arrived);
        self.fresh.retain(|job| !job.removal);
        self.deferred.drop_removals();
        let warning = "not everybody who left was unsubscribed: another export sends to this list at the same time, or \
                       has done so since the plan was made; the next run does it";
        shared.store.run_warn(lease, warning, shared.now()).await?;
        Ok(false)
    }

    /// A batch that has its people already. Others may wait for them, so it waits for nobody.
    fn next_repeat(&mut self) -> Option<Job> {
        let repeat = self.due.iter().position(|job| job.people.is_some())?;
        self.due.remove(repeat)
    }

    /// In an outage nothing new goes out, so that it costs few unknown outcomes.
    fn next_new(&mut self) -> Option<Job> {
        if self.deferred.is_full() {
            return None;
        }
        self.due.pop_front().or_else(|| if self.imports.is_on() { None } else { self.fresh.pop_front() })
    }

    fn start_polls(&mut self) {
        let now = Instant::now();
        while self.polls.len() < self.unanswered && self.may_ask() && self.questions.allows(self.polls.len(), now) {
            let due = self.unsettled.iter().enumerate().filter(|(_, (at, _))| *at <= now);
            let Some(oldest) = due.min_by_key(|(_, (_, batch))| (batch.sent_time, batch.job.key.seq)).map(|(at, _)| at)
            else {
                return;
            };
            let (_, batch) = self.unsettled.swap_remove(oldest);
            let context = Arc::clone(&self.context);
            self.polls.spawn(inherited(async move {
                let polled = settle::poll(context, &batch).await;
                (batch, polled)
            }));
        }
    }

    fn after_send(&mut self, sent: Result<(Prepared, Sent), tokio::task::JoinError>) -> Result<(), Stop> {
        let (prepared, sent) = sent.map_err(panicked)?;
        match sent {
            Sent::Queued { remote_id, sent_time, sent_at } => {
                self.imports.got_through();
                self.refused_requests = 0;
                let job = Job { attempts: prepared.job.attempts + 1, ..prepared.job };
                let identities = prepared.identities;
                let batch = Unsettled { job, remote_id, sent_time, sent_at: Some(sent_at), identities, polls: 0 };
                let first_look = self.context.shared.scale.real(self.context.lane.completion_age());
                self.unsettled.push((sent_at + first_look, batch));
            }
            Sent::Split { refused } => {
                self.imports.got_through();
                self.repair(&prepared, &refused);
            }
            Sent::Refused => {
                self.imports.got_through();
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
        let Some(key) = rest_of(&prepared.job.key, refused.iter().copied(), self.next_seq) else { return };
        self.next_seq += 1;
        self.due.push_front(Job { people: prepared.job.people.clone(), ..Job::new(key, prepared.job.removal) });
    }

    fn again(&mut self, job: Job, after: Duration, why: Why) {
        let counts = match why {
            Why::RateLimit | Why::Late | Why::KeyInDoubt => false,
            Why::Refused => {
                self.imports.got_through();
                true
            }
            Why::Forbidden => {
                self.key_refused();
                true
            }
            Why::Unreachable | Why::NoAnswer => {
                let scale = self.context.shared.scale;
                self.imports.failed(self.sends.len(), Instant::now(), |wait| scale.real(wait));
                if why == Why::Unreachable && job.attempts + 1 >= retry::ATTEMPTS {
                    self.stop_with(failure::unreachable_host());
                }
                true
            }
        };
        let may_have_arrived = job.may_have_arrived || why == Why::NoAnswer;
        let job = Job { attempts: job.attempts + u32::from(counts), may_have_arrived, ..job };
        self.later.push((Instant::now() + self.context.shared.scale.real(after), job));
    }

    fn after_poll(&mut self, polled: Result<(Unsettled, Polled), tokio::task::JoinError>) -> Result<(), Stop> {
        let (batch, polled) = polled.map_err(panicked)?;
        let later = |wait: Duration| Instant::now() + self.context.shared.scale.real(wait);
        match polled {
            Polled::Settled => self.questions.got_through(),
            Polled::NotYet(wait) => {
                let (at, polls) = (later(wait), batch.polls + 1);
                self.questions.got_through();
                self.unsettled.push((at, Unsettled { polls, ..batch }));
            }
            Polled::NoAnswer(wait) => {
                let (at, polls) = (later(wait), batch.polls + 1);
                let scale = self.context.shared.scale;
                self.questions.failed(self.polls.len(), Instant::now(), |wait| scale.real(wait));
                self.unsettled.push((at, Unsettled { polls, ..batch }));
            }
            Polled::Held => self.unsettled.push((Instant::now(), batch)),
            Polled::Forbidden => {
                self.unsettled.push((Instant::now(), batch));
                self.key_refused();
            }
            Polled::SendAgain => {
                let wait = retry::backoff(batch.job.attempts, retry::random());
                self.later.push((later(wait), Job { may_have_arrived: true, ..batch.job }));
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
            // One that only waits for results waits no longer when its connection goes.
            if let Some(stop @ Stop::Removed) = stop_asked(&self.context).await? {
                self.stop_with(stop);
            }
            return Ok(());
        }
        if let Some(stop) = stop_asked(&self.context).await? {
            self.stop_with(stop);
        } else if let Err(stop) = super::not_for_long(&self.context.lane, self.context.shared.now()) {
            // Another run of the account was told.
            self.stop_with(stop);
        } else if let Some(stop) = self.limit.over() {
            self.stop_with(stop);
        }
        Ok(())
    }

    async fn note_phase(&mut self) -> Result<(), Stop> {
        let all_sent = self.nothing_to_send() && self.sends.is_empty();
        if all_sent && self.phase == Phase::Sending {
            self.phase = Phase::Settling;
            let settling = Task::begin(&self.context, Part::Settling);
            std::mem::replace(&mut self.task, settling).done();
            let shared = &self.context.shared;
            shared.store.run_phase(&self.context.lease, Phase::Settling, shared.now()).await?;
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let wake = self.grace_until.map_or(now + CANCEL_CHECK, |until| until.min(now + CANCEL_CHECK));
        if !self.may_ask() {
            // What is due waits for the answer that ends the doubt, or for the next probe.
            return if self.probe_at > now { wake.min(self.probe_at) } else { wake };
        }
        let polls = self.unsettled.iter().map(|(at, _)| *at);
        let may_poll = self.polls.len() < self.unanswered && self.questions.allows(self.polls.len(), now);
        let sends = self.later.iter().map(|(at, _)| *at);
        let probes = [self.imports.next_probe(now), self.questions.next_probe(now)].into_iter().flatten();
        polls.filter(|_| may_poll).chain(sends).chain(probes).fold(wake, Instant::min)
    }
}

fn panicked(error: tokio::task::JoinError) -> Stop {
    // The text of a panic may quote what it was about.
    tracing::error!(panicked = error.is_panic(), "a task of a run ended badly");
    failure::internal("a part of Ferry failed during this run; report it")
}
