//! Checkpoints: who signed them, that each continues the one before, and what of the tenant's chain they prove.

use super::chain::Chain;
use super::report::{Bad, Newest, Place, Report, instant};
use crate::Hash;
use crate::checkpoint::{Checkpoint, VerifierKey, open};
use crate::file::{CheckpointLine, LogLine, Text, hash};
use crate::merkle::{Leaf, empty_root, pseudonym, verify_consistency, verify_inclusion};
use std::collections::HashMap;

/// Hashes of a proof, at most: a tree of 2^64 leaves needs no more.
const MAX_PROOF: usize = 64;

/// The checkpoints as they are read.
#[derive(Debug)]
pub(super) struct Seals {
    /// The key that whoever verifies trusts.
    trusted: VerifierKey,
    /// Whether it has signed one of the checkpoints. That vouches for those before too: each is proved to be the
    /// beginning of the next.
    vouched: bool,
    /// The keys that have signed, and who may sign next.
    pub(super) keys: Vec<VerifierKey>,
    last: Option<(Checkpoint, String)>,
    /// The tenant's own chain is proved up to here.
    pub(super) covered: u64,
    /// Those of the sizes that somebody asked for.
    pub(super) asked: HashMap<u64, Option<(Hash, String)>>,
}

impl Seals {
    pub(super) fn new(trusted: VerifierKey, sizes: impl Iterator<Item = u64>) -> Self {
        let asked = sizes.map(|size| (size, None)).collect();
        Self { trusted, vouched: false, keys: Vec::new(), last: None, covered: 0, asked }
    }

    /// The size of the newest tree.
    pub(super) fn size(&self) -> u64 {
        self.last.as_ref().map_or(0, |(last, _)| last.size)
    }

    pub(super) fn newest_time(&self) -> Option<i64> {
        self.last.as_ref().map(|(last, _)| last.time_ms)
    }

    /// Checks a checkpoint. Returns up to where the tenant's own chain is proved now.
    pub(super) fn check(
        &mut self,
        line: &CheckpointLine<'_>,
        log: &LogLine<'_>,
        own: (&str, &mut Chain),
        report: &mut Report,
    ) -> Result<u64, Bad> {
        let place = Place::Checkpoint(report.checkpoints + 1);
        let bad = |what: String| Bad::at(place.clone(), what);
        let key: VerifierKey = line.public_key.0.parse().map_err(|error| bad(format!("its `publicKey`: {error}")))?;
        match self.keys.last() {
            None => self.keys.push(key.clone()),
            Some(expected) if *expected != key => {
                return Err(bad(format!(
                    "it is signed by {key}, and {expected} must sign it: no signed change of key leads there"
                )));
            }
            Some(_) => {}
        }
        let note = open(&line.note.0, std::slice::from_ref(&key)).map_err(|error| bad(error.to_string()))?;
        let checkpoint = Checkpoint::parse(note.text).map_err(|error| bad(error.to_string()))?;
        let next = checkpoint.next_key.as_ref();
        if checkpoint.origin != log.origin.0
            || key.name() != checkpoint.origin
            || next.is_some_and(|next| next.name() != checkpoint.origin)
        {
            return Err(bad(format!(
                "it is of {:?}, by a key of {:?}, and this is {:?}",
                checkpoint.origin,
                key.name(),
                log.origin.0
            )));
        }
        self.follows(&checkpoint, line, &place)?;
        if self.newest_time().is_some_and(|time| checkpoint.time_ms < time) {
            let number = report.checkpoints + 1;
            report.anomaly(|| format!("the time of checkpoint {number} is before that of the one before"));
        }
        self.covers(&checkpoint, line, log, own, &place)?;
        self.vouched |= key == self.trusted;
        if let Some(next) = next {
            self.keys.push(next.clone());
            report.key_changes += 1;
        }
        report.checkpoints += 1;
        let (size, root, time_ms) = (checkpoint.size, checkpoint.root, checkpoint.time_ms);
        report.newest = Some(Newest { size, root, time_ms, key: key.to_string() });
        if let Some(asked) = self.asked.get_mut(&size) {
            *asked = Some((root, line.note.0.clone().into_owned()));
        }
        self.last = Some((checkpoint, line.note.0.clone().into_owned()));
        Ok(self.covered)
    }

    /// That its tree begins with that of the checkpoint before.
    fn follows(&self, checkpoint: &Checkpoint, line: &CheckpointLine<'_>, place: &Place) -> Result<(), Bad> {
        let bad = |what: String| Err(Bad::at(place.clone(), what));
        let Some(proof) = hashes(&line.consistency_proof) else {
            return bad("its `consistencyProof` is no list of at most 64 hashes".to_owned());
        };
        let (size, root) = self.last.as_ref().map_or((0, empty_root()), |(last, _)| (last.size, last.root));
        if checkpoint.size < size {
            return bad(format!("its tree has {} leaves, and that of the one before has {size}", checkpoint.size));
        }
        if let Some((last, note)) = &self.last
            && (last.size, true) == (checkpoint.size, last.root != checkpoint.root)
        {
            let what = format!("forked: two checkpoints of {size} leaves have different roots");
            return Err(Bad {
                place: place.clone(),
                what,
                proof: vec![note.clone(), line.note.0.clone().into_owned()],
            });
        }
        if !verify_consistency(size, &root, checkpoint.size, &checkpoint.root, &proof) {
            return bad("it is not proved to continue the checkpoint before".to_owned());
        }
        Ok(())
    }

    /// That the tenant's chain is what its leaf says.
    fn covers(
        &mut self,
        checkpoint: &Checkpoint,
        line: &CheckpointLine<'_>,
        log: &LogLine<'_>,
        (name, own): (&str, &mut Chain),
        place: &Place,
    ) -> Result<(), Bad> {
        let (number, covered) = (line.entries.0, self.covered);
        let bad = |what: String| Err(Bad::at(place.clone(), what));
        let Some(proof) = hashes(&line.inclusion_proof) else {
            return bad("its `inclusionProof` is no list of at most 64 hashes".to_owned());
        };
        if number == 0 {
            return Ok(());
        }
        if number < covered {
            return bad(format!("it covers entries up to {number}, and one before it up to {covered}"));
        }
        let Some(head) = own.hash_of(number) else {
            let what = format!(
                "it is missing: the checkpoint of {} covers entries up to {number}",
                instant(checkpoint.time_ms)
            );
            return Err(Bad::entry(name, own.number + 1, what));
        };
        if !holds(checkpoint, log, (number, head), (line.leaf_index.0, &proof)) {
            if number == covered {
                return bad("its tree is not proved to hold the end of the tenant's chain".to_owned());
            }
            let what = format!(
                "the checkpoint of {} does not prove the entries from here to {number}: they are not those that were \
                 signed, or its proof was altered",
                instant(checkpoint.time_ms)
            );
            return Err(Bad::entry(name, covered + 1, what));
        }
        self.covered = number;
        own.forget_before(number);
        Ok(())
    }

    /// At the end of the file: that the trusted key has signed.
    pub(super) fn settle(&self) -> Result<(), Bad> {
        let what = match self.keys.first() {
            _ if self.vouched => return Ok(()),
            None => "there is none: nothing in this file is signed; export again after the next checkpoint".to_owned(),
            Some(key) => {
                format!("it is signed by {key}, and nothing in this file is signed by the given key {}", self.trusted)
            }
        };
        Err(Bad::at(Place::Checkpoint(1), what))
    }
}

/// Whether a checkpoint's tree is proved to hold the leaf of the tenant's chain up to this entry.
pub(super) fn holds(
    checkpoint: &Checkpoint,
    log: &LogLine<'_>,
    (number, head): (u64, Hash),
    (leaf_index, proof): (u64, &[Hash]),
) -> bool {
    let leaf = Leaf { pseudonym: pseudonym(&log.tenant.0, &log.tenant_uid.0), number, head };
    verify_inclusion(&leaf.hash(), leaf_index, checkpoint.size, proof, &checkpoint.root)
}

/// The hashes of a proof, if that is what the texts are.
pub(super) fn hashes(texts: &[Text<'_>]) -> Option<Vec<Hash>> {
    if texts.len() > MAX_PROOF { None } else { texts.iter().map(hash).collect() }
}
