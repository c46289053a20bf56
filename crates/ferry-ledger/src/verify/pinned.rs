//! Checkpoints that somebody kept elsewhere, held against the file.
//!
//! A signed note holds the root of the tree, and no word of a tenant: a file that shows no leaf of the tenant at that
//! size, or an older one, agrees with it whatever became of the entries. What `GetCheckpoint` answers says how many
//! entries the checkpoint covers and proves it, so whoever kept that needs to believe the file in nothing.

use super::report::{Bad, Place, Report, Restored};
use super::seals::{Seals, hashes, holds};
use crate::Hash;
use crate::checkpoint::{Checkpoint, VerifierKey, open};
use crate::file::{Line, LogLine, Objects, Read, parse};
use std::collections::HashMap;

/// A checkpoint that somebody kept.
pub(super) struct Kept {
    note: String,
    /// What the note claims, unchecked.
    claimed: Checkpoint,
    covers: Option<Covers>,
}

/// What it covers of the tenant's own chain.
struct Covers {
    number: u64,
    leaf_index: u64,
    proof: Vec<Hash>,
}

impl Kept {
    /// Reads a signed note, or the JSON object that `GetCheckpoint` answers.
    pub(super) fn read(text: &str) -> Option<Self> {
        if !text.starts_with('{') {
            return Self::new(text.to_owned(), None);
        }
        let mut objects = Objects::new(text.as_bytes());
        let Ok(Read::Object(bytes, _)) = objects.next() else { return None };
        let Ok(Line::Checkpoint(line)) = parse(bytes) else { return None };
        let proof = hashes(&line.inclusion_proof)?;
        let covers = Covers { number: line.entries.0, leaf_index: line.leaf_index.0, proof };
        Self::new(line.note.0.into_owned(), (covers.number > 0).then_some(covers))
    }

    fn new(note: String, covers: Option<Covers>) -> Option<Self> {
        let claimed = Checkpoint::parse(&note[..=note.rfind("\n\n")?]).ok()?;
        Some(Self { note, claimed, covers })
    }

    /// The size of its tree, and the number of the entry whose hash it proves.
    pub(super) fn asks_for(&self) -> (u64, Option<u64>) {
        (self.claimed.size, self.covers.as_ref().map(|covers| covers.number))
    }
}

/// What was read of the file.
pub(super) struct Seen<'a> {
    pub(super) log: &'a LogLine<'a>,
    pub(super) seals: &'a Seals,
    /// Hashes of the tenant's own entries, of those numbers that were asked for.
    pub(super) own: &'a HashMap<u64, Option<Hash>>,
    /// How many entries there are.
    pub(super) number: u64,
}

/// Holds what was kept against the file, in the order given.
pub(super) fn compare(
    all: &[Option<Kept>],
    trusted: &VerifierKey,
    seen: &Seen<'_>,
    report: &mut Report,
) -> Result<(), Bad> {
    let origin = &*seen.log.origin.0;
    let mut keys = vec![trusted.clone()];
    keys.extend(seen.seals.keys.iter().cloned());
    for (place, kept) in all.iter().enumerate() {
        let place = Place::Pinned(place as u64 + 1);
        let bad = |what: String| Err(Bad::at(place.clone(), what));
        let Some(Kept { note, claimed, covers }) = kept else { return bad("it is no checkpoint".to_owned()) };
        if claimed.origin != origin {
            if told(claimed, &report.restored) {
                report.anomaly(|| {
                    format!("{place} is of the log before the database was restored; it cannot be compared")
                });
                continue;
            }
            return bad(format!("it is of {:?}, and this file is of {origin:?}", claimed.origin));
        }
        if let Err(error) = open(note, &keys) {
            return bad(error.to_string());
        }
        keys.extend(claimed.next_key.clone());
        let newest = seen.seals.size();
        if claimed.size > newest {
            return bad(format!(
                "cut or restored: a checkpoint of {} leaves was signed, and the newest of this file has {newest}",
                claimed.size
            ));
        }
        match seen.seals.asked.get(&claimed.size) {
            Some(Some((root, _))) if *root == claimed.root => report.pinned_same += 1,
            Some(Some((_, other))) => {
                let what =
                    format!("forked: the file has another checkpoint of {} leaves, with another root", claimed.size);
                return Err(Bad { place, what, proof: vec![note.clone(), other.clone()] });
            }
            _ => report.pinned_by_size += 1,
        }
        match covers {
            None => report.pinned_bare += 1,
            Some(covers) => {
                covered(covers, claimed, seen).or_else(bad)?;
                report.pinned_through = report.pinned_through.max(covers.number);
            }
        }
    }
    Ok(())
}

/// Whether the entries of the file are those that the checkpoint covered when somebody kept it.
fn covered(covers: &Covers, kept: &Checkpoint, seen: &Seen<'_>) -> Result<(), String> {
    let Covers { number, leaf_index, proof } = covers;
    let Some(head) = seen.own.get(number).copied().flatten() else {
        return Err(format!("cut: it covers the entries up to {number}, and the file ends with {}", seen.number));
    };
    if !holds(kept, seen.log, (*number, head), (*leaf_index, proof)) {
        return Err(format!(
            "the entries up to {number} are not those that it covers: one was altered, put in or left out"
        ));
    }
    Ok(())
}

/// Where the hashes go that are asked for.
pub(super) fn asked(all: &[Option<Kept>]) -> HashMap<u64, Option<Hash>> {
    let numbers = all.iter().flatten().filter_map(|kept| kept.asks_for().1);
    numbers.map(|number| (number, None)).collect()
}

/// Whether the log says itself that it began anew after this checkpoint.
fn told(kept: &Checkpoint, restored: &[Restored]) -> bool {
    restored.iter().any(|restored| restored.origin == kept.origin && restored.size >= kept.size)
}
