//! One chain as it is read: its end, and the hashes that something later in the file may name.

use super::report::Bad;
use crate::file::EntryLine;
use crate::{GENESIS, Hash, chain};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;

/// A chain, up to the entry read last.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) number: u64,
    pub(super) hash: Hash,
    time_ms: Option<i64>,
    /// The hashes of the entries from `number - kept.len() + 1` on. Those before are proved already, and nothing may
    /// name them any more: so what has been covered costs no memory.
    kept: VecDeque<Hash>,
    /// Numbers of entries without bytes, as ranges.
    pub(super) redacted: Vec<(u64, u64)>,
}

impl Chain {
    /// The hash of an entry; of none that [`Self::forget_before`] took, and of none that has not been read.
    pub(super) fn hash_of(&self, number: u64) -> Option<Hash> {
        match self.number.checked_sub(number)? {
            _ if number == 0 => Some(GENESIS),
            back => {
                self.kept.len().checked_sub(usize::try_from(back).ok()?.checked_add(1)?).map(|place| self.kept[place])
            }
        }
    }

    pub(super) fn forget_before(&mut self, number: u64) {
        let first = self.number + 1 - self.kept.len() as u64;
        let gone = number.saturating_sub(first).min(self.kept.len() as u64);
        self.kept.drain(..usize::try_from(gone).unwrap_or(0));
        if self.kept.capacity() > 32 && self.kept.len() < self.kept.capacity() / 4 {
            self.kept.shrink_to(self.kept.len() * 2);
        }
    }

    /// Appends an entry, if it is the next one and its hashes are right. Its bytes, where it has them, are in `body`.
    pub(super) fn append(&mut self, line: &EntryLine<'_>, body: &mut Vec<u8>) -> Result<(), Bad> {
        let (name, number) = (&*line.chain.0, line.number.0);
        let next = self.number + 1;
        if number > next {
            return Err(Bad::entry(name, next, format!("it is missing: entry {number} comes after {}", self.number)));
        }
        if number < next {
            return Err(Bad::entry(name, next, format!("at its place there is an entry {number}")));
        }
        let bad = |what: &str| Bad::entry(name, number, what);
        let body_hash = crate::file::hash(&line.body_hash).ok_or_else(|| bad("its `bodyHash` is no SHA-256"))?;
        let hash = crate::file::hash(&line.hash).ok_or_else(|| bad("its `hash` is no SHA-256"))?;
        body.clear();
        STANDARD.decode_vec(line.encoded.0.as_bytes(), body).map_err(|_| bad("its `encoded` is not Base64"))?;
        if body.is_empty() {
            self.redact(number);
        } else if chain::body_hash(body) != body_hash {
            return Err(bad("its bytes are not those whose hash it names: it was altered"));
        }
        if chain::hash(&self.hash, &body_hash) != hash {
            return Err(bad("its hash does not follow from the entry before and its own bytes"));
        }
        (self.number, self.hash) = (number, hash);
        self.kept.push_back(hash);
        Ok(())
    }

    fn redact(&mut self, number: u64) {
        match self.redacted.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.redacted.push((number, number)),
        }
    }

    /// Takes note of an entry's time; says by how many milliseconds it lies before the entry before.
    pub(super) fn time(&mut self, time_ms: i64) -> Option<u64> {
        let before = self.time_ms.replace(time_ms)?;
        (time_ms < before).then(|| before.abs_diff(time_ms))
    }
}
