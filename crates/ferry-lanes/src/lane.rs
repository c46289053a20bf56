//! A lane: the one way to a destination account, shared by all who send there.
//!
//! A request takes a [`Slot`] before anything else. The lane gives slots by the account's documented limits and in
//! turns. The limiter is in memory; a new owner (a restart) takes the recorded imports of the last minute as just
//! arrived, and honours a recorded wait, so a crash never lets a limit be passed.

use crate::hold;
use crate::learn::CompletionAge;
use crate::limiter::{Class, Grant, Limiter};
use crate::pace::TimeScale;
use crate::people::{Mark, Marker, OnTheWay, People, Wish};
use crate::turns::{Party, Turns};
use crate::window::Opening;
use ferry_domain::{Result, Timestamp};
use ferry_store::Store;
use ferry_telemetry::Telemetry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};

/// One party's way to an account: that of a run, or of a question. When it is dropped, its turns are forgotten.
pub struct Lane {
    pub(crate) account: Arc<Account>,
    party: Party,
}

/// What all who share an account share.
pub(crate) struct Account {
    name: String,
    store: Store,
    scale: TimeScale,
    state: Mutex<State>,
    changed: Notify,
    completion: Mutex<CompletionAge>,
    marker: Arc<Marker>,
    people: Arc<People>,
    telemetry: Telemetry,
}

struct State {
    limiter: Limiter,
    waiting: Vec<Waiter>,
    turns: Turns,
    unanswered_imports: usize,
    most_unanswered: usize,
    /// Lanes and slots. Without any, the account is forgotten a while after `last_used`.
    users: usize,
    last_used: Instant,
    is_closed: bool,
}

struct Waiter {
    party: Party,
    class: Class,
    since: Instant,
    ready: oneshot::Sender<Slot>,
}

enum Decision {
    Give(Waiter, Grant),
    WaitUntil(Instant),
    WaitForChange,
    End,
}

/// Leave to make one request now. Dropping it counts the request as sent.
pub struct Slot {
    account: Arc<Account>,
    class: Class,
    grant: Option<Grant>,
    waited: Duration,
}

/// What a new account begins with.
pub(crate) struct Beginning {
    pub(crate) name: String,
    pub(crate) store: Store,
    pub(crate) scale: TimeScale,
    pub(crate) unanswered_imports: usize,
    pub(crate) marker: Arc<Marker>,
    pub(crate) people: Arc<People>,
    pub(crate) telemetry: Telemetry,
    pub(crate) limiter: Limiter,
}

impl Lane {
    /// The account's host.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account.name
    }

    /// The type of the account's destination.
    #[must_use]
    pub fn destination(&self) -> &'static str {
        crate::DESTINATION
    }

    /// Where requests of the account are told of.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.account.telemetry
    }

    /// Imports that may be on their way at once.
    #[must_use]
    pub fn most_unanswered(&self) -> usize {
        self.account.lock().most_unanswered
    }

    /// How old a batch usually is when the destination is done with it.
    #[must_use]
    pub fn completion_age(&self) -> Duration {
        self.account.completion.lock().unwrap_or_else(PoisonError::into_inner).expected()
    }

    /// A poll found a batch done or not, so long (in the destination's time) after it was sent.
    pub fn learn_completion(&self, age: Duration, done: bool) {
        self.account.completion.lock().unwrap_or_else(PoisonError::into_inner).learn(age, done);
    }

    /// Waits for a slot. Cancel-safe: a slot given to a caller that is gone is given back.
    pub async fn slot(&self, class: Class) -> Option<Slot> {
        let (ready, given) = oneshot::channel();
        let since = Instant::now();
        self.account.lock().waiting.push(Waiter { party: self.party, class, since, ready });
        self.account.changed.notify_one();
        given.await.ok()
    }

    /// The destination asked to be left alone for `wait` (its time). Nothing is sent from now on until then; it is on
    /// record when this returns.
    pub async fn asked_to_wait(&self, wait: Duration, now: Timestamp) -> Result<()> {
        let wait = hold::asked(wait, self.account.scale);
        self.account.lock().limiter.hold(Instant::now() + wait);
        self.account.changed.notify_one();
        self.account.store.lane_hold(self.account(), now.plus(wait), now).await
    }

    /// How long (real time) nothing is sent because the destination asked for it.
    #[must_use]
    pub fn held_for(&self) -> Option<Duration> {
        self.account.held_for()
    }

    /// Until when nothing is sent, if that is more than an hour (the destination's time) away.
    #[must_use]
    pub fn long_hold(&self, now: Timestamp) -> Option<Timestamp> {
        let left = self.held_for().filter(|left| hold::is_long(*left, self.account.scale))?;
        Some(now.plus(left))
    }

    /// What stands for the person with this address in all lanes of this process.
    #[must_use]
    pub fn mark(&self, address: &str) -> Mark {
        self.account.marker.mark(address)
    }

    /// Takes the people of a batch that is to be sent, or leaves a wish for them.
    pub fn take(&self, people: Vec<Mark>) -> Result<OnTheWay, Wish> {
        self.account.people.take(people)
    }

    /// Takes the people of a batch that an earlier process left on the way.
    #[must_use]
    pub fn take_up(&self, people: Vec<Mark>) -> OnTheWay {
        self.account.people.take_up(people)
    }

    /// Changes each time that people who were wished for may be free.
    #[must_use]
    pub fn released(&self) -> watch::Receiver<u64> {
        self.account.people.released()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut state = self.account.lock();
        state.turns.leave(self.party);
        state.left();
    }
}

impl Account {
    pub(crate) fn start(beginning: Beginning) -> Arc<Self> {
        let Beginning { name, store, scale, unanswered_imports, marker, people, telemetry, limiter } = beginning;
        let state = State {
            limiter,
            waiting: Vec::new(),
            turns: Turns::default(),
            unanswered_imports: 0,
            most_unanswered: unanswered_imports,
            users: 0,
            last_used: Instant::now(),
            is_closed: false,
        };
        let account = Arc::new(Self {
            name,
            store,
            scale,
            state: Mutex::new(state),
            changed: Notify::new(),
            completion: Mutex::new(CompletionAge::new()),
            marker,
            people,
            telemetry,
        });
        tokio::spawn(Arc::clone(&account).dispatch());
        account
    }

    pub(crate) fn lane(self: &Arc<Self>) -> Lane {
        let mut state = self.lock();
        state.users += 1;
        let party = state.turns.join();
        drop(state);
        Lane { account: Arc::clone(self), party }
    }

    /// Ends, if nobody has used it for so long.
    pub(crate) fn end_if_unused(&self, for_so_long: Duration) -> bool {
        let mut state = self.lock();
        state.is_closed = state.users == 0 && state.last_used.elapsed() > for_so_long;
        let is_closed = state.is_closed;
        drop(state);
        if is_closed {
            self.changed.notify_one();
        }
        is_closed
    }

    pub(crate) fn ceiling_use(&self) -> f64 {
        self.lock().limiter.ceiling_use(Instant::now())
    }

    fn held_for(&self) -> Option<Duration> {
        let now = Instant::now();
        self.lock().limiter.held_until(now).map(|until| until.saturating_duration_since(now))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding the lock leaves counters that are still safe: they only err towards waiting.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dispatch(self: Arc<Self>) {
        loop {
            let decision = self.lock().decide(Instant::now());
            match decision {
                Decision::Give(Waiter { class, since, ready, .. }, grant) => {
                    let waited = since.elapsed();
                    let slot = Slot { account: Arc::clone(&self), class, grant: Some(grant), waited };
                    match ready.send(slot) {
                        Ok(()) => self.telemetry.waited(crate::DESTINATION, class.into(), waited),
                        Err(unwanted) => unwanted.unused(),
                    }
                }
                Decision::WaitUntil(instant) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(instant.into()) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Decision::WaitForChange => self.changed.notified().await,
                Decision::End => return,
            }
        }
    }
}

// === impl State ===

impl State {
    fn decide(&mut self, now: Instant) -> Decision {
        if self.is_closed {
            return Decision::End;
        }
        self.waiting.retain(|waiter| !waiter.ready.is_closed());
        let mut earliest: Option<Instant> = None;
        for place in self.turns.order(self.waiting.iter().map(|waiter| (waiter.party, waiter.class))) {
            let class = self.waiting[place].class;
            if class.is_import() && self.unanswered_imports >= self.most_unanswered {
                continue;
            }
            match self.limiter.opening(class, now) {
                Opening::At(at) if at <= now => return self.give(place, now),
                Opening::At(at) => earliest = Some(earliest.map_or(at, |other| other.min(at))),
                Opening::AfterAnAnswer => {}
            }
        }
        earliest.map_or(Decision::WaitForChange, Decision::WaitUntil)
    }

    fn give(&mut self, place: usize, now: Instant) -> Decision {
        let waiter = self.waiting.remove(place);
        self.unanswered_imports += usize::from(waiter.class.is_import());
        self.turns.served(waiter.party, waiter.class);
        self.users += 1;
        let grant = self.limiter.grant(waiter.class, now);
        Decision::Give(waiter, grant)
    }

    fn left(&mut self) {
        self.users -= 1;
        self.last_used = Instant::now();
    }
}

// === impl Slot ===

impl Slot {
    /// The answer is here, or can no longer come.
    pub fn answered(mut self) {
        self.end(|limiter, grant| limiter.arrived(&grant, Instant::now()));
    }

    /// Nothing was sent with it.
    pub fn unused(mut self) {
        self.end(|limiter, grant| limiter.give_back(&grant));
    }

    /// How long it was waited for.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether the destination has asked to be left alone since the slot was given.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.account.held_for().is_some()
    }

    fn end(&mut self, how: impl FnOnce(&mut Limiter, Grant)) {
        let Some(grant) = self.grant.take() else { return };
        let mut state = self.account.lock();
        state.unanswered_imports -= usize::from(self.class.is_import());
        how(&mut state.limiter, grant);
        state.left();
        drop(state);
        self.account.changed.notify_one();
    }
}

impl Drop for Slot {
    /// Whoever asked is gone, and what was sent may still be on its way: it arrives before its deadline or never.
    fn drop(&mut self) {
        self.end(|limiter, grant| limiter.arrived(&grant, Instant::now() + crate::REQUEST_DEADLINE));
    }
}
