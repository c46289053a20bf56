//! A lane: the one way to a destination account, shared by every run that sends there.
//!
//! A request takes a [`Slot`] before anything else. The lane gives slots by the account's documented limits, imports
//! before polls, runs in turn. The limiter is in memory; a new owner (a restart) takes the recorded imports of the last
//! minute as just arrived, and honours a recorded wait, so a crash never lets a limit be passed.

mod learn;
mod limiter;
mod registry;
mod window;

pub(crate) use learn::CompletionAge;
pub(crate) use limiter::Class;
pub(crate) use registry::Lanes;

use crate::pace::TimeScale;
use limiter::{Grant, Limiter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use window::Opening;

/// Imports that may be on their way at once. A crash can repeat at most these.
pub(crate) const UNANSWERED_IMPORTS: usize = 4;
/// Batches of one run that may wait for their result at once.
pub(crate) const UNSETTLED_BATCHES: usize = 400;

/// The way to one account.
pub(crate) struct Lane {
    account: String,
    state: Mutex<State>,
    changed: Notify,
    completion: Mutex<CompletionAge>,
}

struct State {
    limiter: Limiter,
    waiting: Vec<Waiter>,
    unanswered_imports: usize,
    /// The turn in which a run was last served; who waited longest is next.
    served: HashMap<String, u64>,
    turn: u64,
}

struct Waiter {
    run: String,
    class: Class,
    ready: oneshot::Sender<Slot>,
}

enum Decision {
    Give(oneshot::Sender<Slot>, Grant, Class),
    WaitUntil(Instant),
    WaitForChange,
}

/// Leave to make one request now. Dropping it counts the request as sent.
pub(crate) struct Slot {
    lane: Arc<Lane>,
    class: Class,
    grant: Option<Grant>,
}

impl Lane {
    fn start(account: String, scale: TimeScale, recent_imports: usize, held_for: Option<Duration>) -> Arc<Self> {
        let now = Instant::now();
        let mut limiter = Limiter::new(scale, recent_imports, now);
        if let Some(wait) = held_for {
            limiter.hold(now + wait);
        }
        let state = State { limiter, waiting: Vec::new(), unanswered_imports: 0, served: HashMap::new(), turn: 0 };
        let lane = Arc::new(Self {
            account,
            state: Mutex::new(state),
            changed: Notify::new(),
            completion: Mutex::new(CompletionAge::new()),
        });
        tokio::spawn(Arc::clone(&lane).dispatch());
        lane
    }

    /// The account's host.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// How old a batch usually is when the destination is done with it.
    pub(crate) fn completion_age(&self) -> Duration {
        self.completion.lock().unwrap_or_else(PoisonError::into_inner).expected()
    }

    /// A poll found a batch done or not, so long (in the destination's time) after it was sent.
    pub(crate) fn learn_completion(&self, age: Duration, done: bool) {
        self.completion.lock().unwrap_or_else(PoisonError::into_inner).learn(age, done);
    }

    /// Waits for a slot. Cancel-safe: a slot given to a caller that is gone is given back.
    pub(crate) async fn slot(self: &Arc<Self>, class: Class, run: &str) -> Option<Slot> {
        let (ready, given) = oneshot::channel();
        self.lock().waiting.push(Waiter { run: run.to_owned(), class, ready });
        self.changed.notify_one();
        given.await.ok()
    }

    /// Nothing is sent for `wait` (real time). The caller has recorded it.
    pub(crate) fn hold(&self, wait: Duration) {
        self.lock().limiter.hold(Instant::now() + wait);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding the lock leaves counters that are still safe: they only err towards waiting.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dispatch(self: Arc<Self>) {
        loop {
            let decision = self.lock().decide(Instant::now());
            match decision {
                Decision::Give(ready, grant, class) => {
                    let slot = Slot { lane: Arc::clone(&self), class, grant: Some(grant) };
                    if let Err(unwanted) = ready.send(slot) {
                        unwanted.unused();
                    }
                }
                Decision::WaitUntil(instant) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(instant.into()) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Decision::WaitForChange => self.changed.notified().await,
            }
        }
    }
}

// === impl State ===

impl State {
    fn decide(&mut self, now: Instant) -> Decision {
        self.waiting.retain(|waiter| !waiter.ready.is_closed());
        let mut earliest: Option<Instant> = None;
        for position in self.in_order() {
            let class = self.waiting[position].class;
            if is_import(class) && self.unanswered_imports >= UNANSWERED_IMPORTS {
                continue;
            }
            match self.limiter.opening(class, now) {
                Opening::At(at) if at <= now => return self.give(position, now),
                Opening::At(at) => earliest = Some(earliest.map_or(at, |other| other.min(at))),
                Opening::AfterAnAnswer => {}
            }
        }
        earliest.map_or(Decision::WaitForChange, Decision::WaitUntil)
    }

    /// Imports first, since they bound the run; within a kind, the run that was served longest ago.
    fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_key(|position| {
            let waiter = &self.waiting[*position];
            (!is_import(waiter.class), self.served.get(&waiter.run).copied().unwrap_or(0), *position)
        });
        order
    }

    fn give(&mut self, position: usize, now: Instant) -> Decision {
        let waiter = self.waiting.remove(position);
        if is_import(waiter.class) {
            self.unanswered_imports += 1;
            self.turn += 1;
            self.served.insert(waiter.run, self.turn);
        }
        let grant = self.limiter.grant(waiter.class, now);
        Decision::Give(waiter.ready, grant, waiter.class)
    }
}

fn is_import(class: Class) -> bool {
    match class {
        Class::ImportMany | Class::ImportOne => true,
        Class::Poll | Class::Other => false,
    }
}

// === impl Slot ===

impl Slot {
    /// The answer is here, or can no longer come.
    pub(crate) fn answered(mut self) {
        self.end(|limiter, grant| limiter.arrived(&grant, Instant::now()));
    }

    /// Nothing was sent with it.
    pub(crate) fn unused(mut self) {
        self.end(|limiter, grant| limiter.give_back(&grant));
    }

    fn end(&mut self, how: impl FnOnce(&mut Limiter, Grant)) {
        let Some(grant) = self.grant.take() else { return };
        let mut state = self.lane.lock();
        if is_import(self.class) {
            state.unanswered_imports -= 1;
        }
        how(&mut state.limiter, grant);
        drop(state);
        self.lane.changed.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.end(|limiter, grant| limiter.arrived(&grant, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn fast() -> Arc<Lane> {
        Lane::start("demo".to_owned(), TimeScale::new(1_000.0).unwrap(), 0, None)
    }

    #[tokio::test]
    async fn no_more_imports_are_on_their_way_than_a_crash_may_repeat() {
        let lane = fast();
        let mut held = Vec::new();
        for _ in 0..UNANSWERED_IMPORTS {
            held.push(lane.slot(Class::ImportMany, "a").await.unwrap());
        }
        let next = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.slot(Class::ImportMany, "a").await.unwrap() }
        });
        assert_eq!(lane.lock().unanswered_imports, UNANSWERED_IMPORTS);
        held.pop().unwrap().answered();
        next.await.unwrap().answered();
    }

    #[tokio::test]
    async fn runs_take_turns() {
        let lane = fast();
        lane.hold(Duration::from_millis(50));
        let (given, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        for run in ["a", "a", "a", "b"] {
            let (lane, given) = (Arc::clone(&lane), given.clone());
            waiting.push(tokio::spawn(async move {
                let slot = lane.slot(Class::ImportMany, run).await.unwrap();
                given.send(run).unwrap();
                slot.answered();
            }));
            tokio::task::yield_now().await;
        }
        for task in waiting {
            task.await.unwrap();
        }
        let order: Vec<&str> = std::iter::from_fn(|| order.try_recv().ok()).collect();
        assert_eq!(order.iter().position(|run| *run == "b"), Some(1), "{order:?}");
    }

    #[tokio::test]
    async fn a_slot_for_a_caller_that_is_gone_goes_to_the_next() {
        let lane = fast();
        lane.hold(Duration::from_millis(20));
        tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.slot(Class::ImportMany, "gone").await.is_some() }
        })
        .abort();
        lane.slot(Class::ImportMany, "next").await.unwrap().unused();
        assert_eq!(lane.lock().unanswered_imports, 0);
    }
}
