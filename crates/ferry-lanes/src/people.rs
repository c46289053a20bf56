//! Who is on the way to an account: the people in batches that were begun and are not settled.
//!
//! The destination may apply two batches of one person in either order, so only one of them is on its way at a time,
//! over all runs and tenants that share the account. Tenants have different keys for their digests, so a person is told
//! by a mark here: a hash of the address under a random key of this process, held while their batch is on its way.
//!
//! A batch takes all of its people or none. One that cannot leaves a wish, and nobody who came later takes a person
//! whom an older wish names. So the oldest wish waits for batches on their way alone; those end by themselves, since
//! nothing that is on its way waits for people. Hence no two wait for each other, and nobody waits for ever.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Longer than an address may be.
const LONGEST: usize = 256;

/// Stands for a person while this process lives; tells nothing about them. Two persons have the same mark once in
/// 2^64: then one waits for the other without need.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(u64);

/// Makes marks.
#[derive(Default)]
pub(crate) struct Marker(RandomState);

impl Marker {
    /// The mark of an address, however its case is. Equal to what makes two rows of a segment the same person.
    pub(crate) fn mark(&self, address: &str) -> Mark {
        let mut lower = [0; LONGEST];
        match lower.get_mut(..address.len()) {
            Some(lower) if address.is_ascii() => {
                lower.copy_from_slice(address.as_bytes());
                lower.make_ascii_lowercase();
                Mark(self.0.hash_one(&*lower))
            }
            _ => Mark(self.0.hash_one(address.to_lowercase().as_bytes())),
        }
    }
}

/// A mark is a hash already: a table of marks needs no other, and a million of them a run are looked up.
#[derive(Default)]
struct OfMark(u64);

impl Hasher for OfMark {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

type ByMark<T> = HashMap<Mark, T, BuildHasherDefault<OfMark>>;

/// The people of one account.
pub(crate) struct People {
    state: Mutex<State>,
    /// Changes whenever a batch or a wish has gone.
    released: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// In how many batches each is: in one, but for those that a restart found.
    on_the_way: ByMark<u32>,
    /// The wishes for each person, the oldest first.
    wished: ByMark<Vec<Ticket>>,
    last_ticket: Ticket,
    /// Runs of an earlier process that have not told yet whom it left on the way.
    recovering: usize,
}

type Ticket = u64;

/// The people of one batch, from before its intent until it is settled or given up: until the last clone is dropped.
#[derive(Clone)]
pub struct OnTheWay(Arc<Taken>);

struct Taken {
    people: Arc<People>,
    marks: Vec<Mark>,
}

impl std::fmt::Debug for OnTheWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnTheWay({})", self.0.marks.len())
    }
}

/// A batch that waits for others with the same people to end. Dropping it gives the wish up.
pub struct Wish {
    people: Arc<People>,
    ticket: Ticket,
    marks: Vec<Mark>,
}

/// A run that an earlier process began. While it has not told whom that process left on the way, nobody takes anybody.
pub struct Recovering {
    people: Arc<People>,
    is_done: AtomicBool,
}

impl Default for People {
    fn default() -> Self {
        Self { state: Mutex::default(), released: watch::Sender::new(0) }
    }
}

impl People {
    /// Takes all of these people, or leaves a wish for them.
    pub(crate) fn take(self: &Arc<Self>, marks: Vec<Mark>) -> Result<OnTheWay, Wish> {
        let marks = each_once(marks);
        let mut state = self.lock();
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        if state.take(&marks, ticket) {
            drop(state);
            return Ok(OnTheWay(Arc::new(Taken { people: Arc::clone(self), marks })));
        }
        for mark in &marks {
            state.wished.entry(*mark).or_default().push(ticket);
        }
        drop(state);
        Err(Wish { people: Arc::clone(self), ticket, marks })
    }

    /// Takes people whom an earlier process left on the way, whoever else has them.
    pub(crate) fn take_up(self: &Arc<Self>, marks: Vec<Mark>) -> OnTheWay {
        let marks = each_once(marks);
        self.lock().put(&marks);
        OnTheWay(Arc::new(Taken { people: Arc::clone(self), marks }))
    }

    /// Sees each time that somebody may have become free.
    pub(crate) fn released(&self) -> watch::Receiver<u64> {
        self.released.subscribe()
    }

    pub(crate) fn recovering(self: &Arc<Self>) -> Recovering {
        self.lock().recovering += 1;
        Recovering { people: Arc::clone(self), is_done: AtomicBool::new(false) }
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.lock());
        self.released.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding the lock can leave people behind: others then wait, and none is sent twice at once.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch that named one person twice would wait for itself.
fn each_once(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.sort_unstable();
    marks.dedup();
    marks
}

impl State {
    /// Takes all of these people, or none: nobody may have one of them, or have wished for one before this ticket.
    fn take(&mut self, marks: &[Mark], ticket: Ticket) -> bool {
        if self.recovering > 0 {
            return false;
        }
        for (place, mark) in marks.iter().enumerate() {
            let is_wished =
                self.wished.get(mark).and_then(|wishes| wishes.first()).is_some_and(|first| *first < ticket);
            match self.on_the_way.entry(*mark) {
                Entry::Vacant(free) if !is_wished => {
                    free.insert(1);
                }
                Entry::Vacant(_) | Entry::Occupied(_) => {
                    self.remove(&marks[..place]);
                    return false;
                }
            }
        }
        true
    }

    fn put(&mut self, marks: &[Mark]) {
        for mark in marks {
            *self.on_the_way.entry(*mark).or_default() += 1;
        }
    }

    fn remove(&mut self, marks: &[Mark]) {
        for mark in marks {
            if let Entry::Occupied(mut batches) = self.on_the_way.entry(*mark) {
                *batches.get_mut() -= 1;
                if *batches.get() == 0 {
                    batches.remove();
                }
            }
        }
    }

    fn forget(&mut self, marks: &[Mark], ticket: Ticket) {
        for mark in marks {
            if let Some(wishes) = self.wished.get_mut(mark) {
                wishes.retain(|wish| *wish != ticket);
                if wishes.is_empty() {
                    self.wished.remove(mark);
                }
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.people.change(|state| state.remove(&self.marks));
    }
}

impl Wish {
    /// Takes the people if they are free now.
    pub fn granted(mut self) -> Result<OnTheWay, Self> {
        if !self.people.lock().take(&self.marks, self.ticket) {
            return Err(self);
        }
        let marks = std::mem::take(&mut self.marks);
        self.people.change(|state| state.forget(&marks, self.ticket));
        Ok(OnTheWay(Arc::new(Taken { people: Arc::clone(&self.people), marks })))
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        if !self.marks.is_empty() {
            self.people.change(|state| state.forget(&self.marks, self.ticket));
        }
    }
}

impl Recovering {
    /// It has told.
    pub fn done(&self) {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            self.people.change(|state| state.recovering -= 1);
        }
    }
}

impl Drop for Recovering {
    fn drop(&mut self) {
        self.done();
    }
}
