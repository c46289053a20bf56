//! One who watches: what they were allowed to watch, and what waits for them.
//!
//! Changes of state wait in a queue; of runs that have moved only the run is noted, and what it is told is the newest
//! when it is taken. So a slow reader gets the newest state and loses no change, and costs no more than the queue. What
//! is queued is shared by all who watch; each counts it in full, so that nobody's place is bigger than it looks.
//!
//! What waits is taken in this order: the snapshot or the changes since the token, changes, moves. A move is noted only
//! while the run's changes up to it are in the queue or were taken, so no run ever goes back.

use super::WatchEvent;
use super::token::Position;
use ferry_domain::authz::{Actor, Token};
use ferry_domain::{Error, Run, RunId};
use ferry_store::{RunChange, WatchSnapshot, Watched};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Bytes of changes that wait for one reader.
const WAITING: usize = 64 * 1024;
/// A reader that takes nothing for so long while something waits is not there.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so long without a message comes a heartbeat.
const QUIET: Duration = Duration::from_secs(15);
/// How soon a reader that was too slow may come again.
const RETRY: Duration = Duration::from_secs(1);

/// Who reads the stream.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) token: Token,
    pub(super) actor: Actor,
}

/// A change of state, shared by all who are told of it.
pub(super) struct Change {
    pub(super) number: u64,
    pub(super) run: Arc<Run>,
    pub(super) bytes: usize,
}

impl From<RunChange> for Change {
    fn from(change: RunChange) -> Self {
        Self { number: change.number, run: Arc::new(change.run), bytes: change.bytes }
    }
}

/// The newest that is known of a run that is carried.
pub(super) struct Moving(Mutex<Arc<Run>>);

impl Moving {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self(Mutex::new(run))
    }

    pub(super) fn newest(&self) -> Arc<Run> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set(&self, run: Arc<Run>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = run;
    }
}

/// See the module.
pub(super) struct Watcher {
    pub(super) watched: Watched,
    pub(super) reader: Reader,
    state: Mutex<State>,
}

struct State {
    /// Its number in the hub.
    number: u64,
    /// The snapshot, or the changes since the token.
    first: VecDeque<First>,
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    moved: VecDeque<(RunId, Arc<Moving>)>,
    /// What of each run that goes on was in `first`: a read that was begun before is older.
    told: HashMap<RunId, i64>,
    /// The publisher's reads up to this one may be older than `first`.
    older_reads: u64,
    /// All up to this number was put into a queue or is none of this watcher's.
    through: u64,
    /// Up to where the reader has been told.
    position: Position,
    /// Whether the publisher tells of what comes.
    joined: bool,
    /// There is more to read before that.
    more: bool,
    /// The one run that is watched has ended.
    over: bool,
    heartbeat: bool,
    end: Option<End>,
    /// When the reader last took something.
    taken: Instant,
    /// Since when the next thing waits for it.
    waits_since: Instant,
    waker: Option<Waker>,
}

enum First {
    Run(Arc<Run>),
    Change(Change),
    SnapshotComplete,
}

enum End {
    Failed(Error),
    Over,
}

/// What there is for the reader.
pub(super) enum Taken {
    Event(WatchEvent, Position),
    /// All that was read was taken; there is more to read from here.
    Read(Position),
    Failed(Error),
    Over,
}

impl Watcher {
    /// Whoever goes on begins at its token; `over` if the one run that is watched has ended.
    pub(super) fn new(watched: Watched, reader: Reader, position: Position, over: bool) -> Self {
        let state = State {
            number: 0,
            first: VecDeque::new(),
            changes: VecDeque::new(),
            bytes: 0,
            moved: VecDeque::new(),
            told: HashMap::new(),
            older_reads: 0,
            through: if let Position::Through(number) = position { number } else { 0 },
            position,
            joined: false,
            more: true,
            over,
            heartbeat: false,
            end: None,
            taken: Instant::now(),
            waits_since: Instant::now(),
            waker: None,
        };
        Self { watched, reader, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has a number now.
    pub(super) fn enter(&self, number: u64) {
        self.state().number = number;
    }

    pub(super) fn number(&self) -> u64 {
        self.state().number
    }

    /// Up to where the reader has been told.
    pub(super) fn position(&self) -> Position {
        self.state().position
    }

    /// All up to this number is in the queue.
    pub(super) fn through(&self) -> u64 {
        self.state().through
    }

    /// Puts the snapshot before all that comes.
    pub(super) fn begin(&self, snapshot: WatchSnapshot) {
        let mut state = self.state();
        for run in snapshot.runs {
            self.note(&mut state, &run);
            state.first.push_back(First::Run(Arc::new(run)));
        }
        state.first.push_back(First::SnapshotComplete);
        (state.through, state.more, state.waits_since) = (snapshot.through, false, Instant::now());
    }

    /// Puts changes since the token before all that comes; there may be more of them.
    pub(super) fn go_on(&self, changes: Vec<RunChange>, through: u64, more: bool) {
        let mut state = self.state();
        for change in changes {
            self.note(&mut state, &change.run);
            state.first.push_back(First::Change(change.into()));
        }
        (state.through, state.more, state.waits_since) = (through, more, Instant::now());
        if !state.waits() && state.end.is_none() {
            state.position = Position::Through(through);
        }
    }

    /// A run that is about to be told apart from the publisher.
    fn note(&self, state: &mut State, run: &Run) {
        if run.state.is_terminal() {
            state.told.remove(&run.name.run);
            state.over |= self.watched.run().is_some();
        } else {
            state.told.insert(run.name.run.clone(), run.version);
        }
    }

    /// From now on the publisher tells what comes.
    pub(super) fn join(&self, older_reads: u64) {
        let mut state = self.state();
        (state.joined, state.older_reads) = (true, older_reads);
    }

    /// The tenant's next change. Whoever has no room for it is too slow.
    pub(super) fn offer(&self, change: &Arc<Change>) {
        let mut state = self.state();
        if change.number <= state.through {
            return;
        }
        state.through = change.number;
        if state.end.is_some() || !self.watched.covers(&change.run.name) {
            return;
        }
        state.begins_to_wait();
        // It is newer than what the run had moved to.
        state.moved.retain(|(run, _)| *run != change.run.name.run);
        state.over |= self.watched.run().is_some() && change.run.state.is_terminal();
        state.bytes += change.bytes;
        state.changes.push_back(Arc::clone(change));
        if state.bytes > WAITING {
            state.close(too_slow());
        }
    }

    /// A run that is carried has moved. What the watcher was told of it may be newer than the read.
    pub(super) fn moved(&self, moving: &Arc<Moving>, run: &Run) {
        let mut state = self.state();
        let id = &run.name.run;
        let is_known = state.told.get(id).is_some_and(|told| *told >= run.version);
        let waits = state.moved.iter().any(|(waiting, _)| waiting == id);
        if state.end.is_none() && !is_known && !waits && self.watched.covers(&run.name) {
            state.begins_to_wait();
            state.moved.push_back((id.clone(), Arc::clone(moving)));
        }
    }

    /// The publisher has told all of a read: wakes whoever something waits for.
    pub(super) fn told(&self, read: u64) {
        let mut state = self.state();
        if read > state.older_reads && !state.told.is_empty() {
            state.told = HashMap::new();
        }
        // What is none of this watcher's moves its token on; what was given up at the end does not.
        if !state.waits() && state.end.is_none() {
            if let Position::Through(number) = state.position {
                state.position = Position::Through(state.through.max(number));
            }
            return;
        }
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ends it. What waits is given up: whoever may not see it any more does not.
    pub(super) fn close(&self, error: Error) {
        let mut state = self.state();
        state.close(error);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Looks after the reader: a heartbeat if it was quiet, the end if nobody takes what waits.
    pub(super) fn look_after(&self, now: Instant) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        if state.waits() {
            if now.saturating_duration_since(state.waits_since) < PATIENCE {
                return;
            }
            tracing::info!("a watcher takes nothing; its stream ends");
            state.close(too_slow());
        } else {
            if !state.joined || now.saturating_duration_since(state.taken) < QUIET {
                return;
            }
            state.begins_to_wait();
            state.heartbeat = true;
        }
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether the stream has its end and only waits for the reader to take it.
    pub(super) fn has_ended(&self) -> bool {
        self.state().end.is_some()
    }

    /// Whether there is more to read before the publisher tells what comes.
    pub(super) fn has_more(&self) -> bool {
        self.state().more
    }

    /// The next thing for the reader.
    pub(super) fn take(&self, context: &mut Context<'_>) -> Poll<Taken> {
        let mut state = self.state();
        match state.end.take() {
            Some(End::Failed(error)) => {
                state.end = Some(End::Over);
                return Poll::Ready(Taken::Failed(error));
            }
            Some(End::Over) => {
                state.end = Some(End::Over);
                return Poll::Ready(Taken::Over);
            }
            None => {}
        }
        if let Some(event) = state.next() {
            state.taken = Instant::now();
            state.waits_since = state.taken;
            return Poll::Ready(Taken::Event(event, state.position));
        }
        if state.over && !state.more {
            state.end = Some(End::Over);
            return Poll::Ready(Taken::Over);
        }
        if !state.joined {
            return Poll::Ready(Taken::Read(state.position));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl State {
    fn waits(&self) -> bool {
        !self.first.is_empty() || !self.changes.is_empty() || !self.moved.is_empty() || self.heartbeat
    }

    /// Called before something is put into a queue.
    fn begins_to_wait(&mut self) {
        if !self.waits() {
            self.waits_since = Instant::now();
        }
    }

    fn close(&mut self, error: Error) {
        if self.end.is_none() {
            self.end = Some(End::Failed(error));
        }
        (self.first, self.changes, self.moved) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        (self.bytes, self.told) = (0, HashMap::new());
    }

    fn next(&mut self) -> Option<WatchEvent> {
        self.heartbeat &= self.first.is_empty() && self.changes.is_empty() && self.moved.is_empty();
        let (event, number) = if let Some(first) = self.first.pop_front() {
            match first {
                // A snapshot counts as a whole.
                First::Run(run) => return Some(WatchEvent::Run(run)),
                First::Change(change) => (WatchEvent::Run(change.run), change.number),
                First::SnapshotComplete => (WatchEvent::SnapshotComplete, 0),
            }
        } else if let Some(change) = self.changes.pop_front() {
            self.bytes = self.bytes.saturating_sub(change.bytes);
            (WatchEvent::Run(Arc::clone(&change.run)), change.number)
        } else if let Some((_, moving)) = self.moved.pop_front() {
            (WatchEvent::Run(moving.newest()), 0)
        } else if std::mem::take(&mut self.heartbeat) {
            (WatchEvent::Heartbeat, 0)
        } else {
            return None;
        };
        let ahead = match (self.first.front(), self.changes.front()) {
            (Some(First::Change(next)), _) => Some(next.number),
            (Some(_), _) => None,
            (None, next) => next.map(|next| next.number),
        };
        // Everything before what still waits has been told.
        let told = ahead.map_or(self.through, |next| next - 1);
        self.position = Position::Through(told.max(number));
        Some(event)
    }
}

fn too_slow() -> Error {
    Error::ResourceExhausted {
        message: "changes are not taken as fast as they come; read on with the last resume token, or watch fewer runs"
            .to_owned(),
        retry_after: RETRY,
    }
}
