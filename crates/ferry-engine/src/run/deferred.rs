//! Batches that wait for their turn because somebody in them is on the way to the account already, in a batch of
//! another run: the destination may apply two batches of one person in either order.

use super::feed::Prepared;
use ferry_lanes::{Lane, Wish};
use std::collections::VecDeque;

/// How many wait before the run looks no further for one that may go: they are in memory.
const MOST: usize = 4;

/// The batches that wait, the oldest first. Each has left a wish for its people, which keeps its turn.
#[derive(Default)]
pub(super) struct Deferred(VecDeque<(Wish, Prepared)>);

impl Deferred {
    /// The batch with its people if they are free; else it waits here.
    pub(super) fn admit(&mut self, lane: &Lane, mut prepared: Prepared) -> Option<Prepared> {
        if prepared.job.people.is_some() {
            return Some(prepared);
        }
        match lane.take(std::mem::take(&mut prepared.marks)) {
            Ok(people) => Some(prepared.with(people)),
            Err(wish) => {
                self.0.push_back((wish, prepared));
                None
            }
        }
    }

    /// The oldest batch whose people are free by now.
    pub(super) fn freed(&mut self) -> Option<Prepared> {
        for _ in 0..self.0.len() {
            let (wish, prepared) = self.0.pop_front()?;
            match wish.granted() {
                Ok(people) => return Some(prepared.with(people)),
                Err(wish) => self.0.push_back((wish, prepared)),
            }
        }
        None
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives up those who left: they are not sent.
    pub(super) fn drop_removals(&mut self) {
        self.0.retain(|(_, prepared)| !prepared.job.removal);
    }

    /// Gives all wishes up; the batches are not sent.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
