//! Chains of runs: what they may hold, and how they hang on the tenant's own chain.

use super::chain::Chain;
use super::report::Bad;
use crate::view::EntryView;
use crate::{Hash, chain, checkpoint};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The chains of all runs.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) by_name: HashMap<Box<str>, Run>,
    /// Anchors that were found right and wait for a checkpoint: by their entry in the tenant's chain, run and entry of
    /// the run.
    waiting: BTreeMap<u64, (Box<str>, u64)>,
    /// The tenant's own chain is proved up to here.
    proved: u64,
    /// Attempts are kept as hashes under this key: whoever wrote the file cannot look for two that are the same.
    key: Hash,
}

/// One run.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) chain: Chain,
    /// The last entry that an anchor has named rightly.
    anchored: u64,
    /// The last entry that any anchor has named.
    named: u64,
    /// The last entry that is proved by a checkpoint, through an anchor.
    pub(super) covered: u64,
    /// Anchors that name entries not read yet.
    pending: VecDeque<Anchor>,
    /// Where the run ended.
    ended: Option<u64>,
    /// Attempts, and whether their outcome is known.
    attempts: HashMap<[u8; 16], bool>,
}

#[derive(Debug)]
struct Anchor {
    number: u64,
    head: Hash,
    entry: u64,
}

impl Runs {
    pub(super) fn new(key: Hash) -> Self {
        Self { by_name: HashMap::new(), waiting: BTreeMap::new(), proved: 0, key }
    }

    pub(super) fn of(&mut self, name: &str) -> &mut Run {
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.into(), Run::default());
        }
        self.by_name.entry(name.into()).or_default()
    }

    /// An entry of a run has been appended: its anchors, and its attempt. No `view` where it is redacted.
    pub(super) fn appended(&mut self, own: &str, name: &str, view: Option<&EntryView<'_>>) -> Result<(), Bad> {
        let Some(run) = self.by_name.get_mut(name) else { return Ok(()) };
        let number = run.chain.number;
        if run.ended.is_some_and(|ended| number > ended) {
            return Err(Bad::entry(name, number, "the run had ended before it"));
        }
        if let Some(view) = view {
            run.attempt(name, view, &self.key)?;
        }
        while let Some(anchor) = run.pending.pop_front_if(|anchor| anchor.number == number) {
            run.check(own, name, &anchor)?;
            if anchor.entry <= self.proved {
                run.covered = number;
            } else {
                self.waiting.insert(anchor.entry, (name.into(), number));
            }
        }
        Ok(())
    }

    /// An entry `number` of the tenant's own chain says how long a run's chain is, and what is at its end.
    pub(super) fn anchor(&mut self, own: &str, number: u64, name: &str, view: &EntryView<'_>) -> Result<(), Bad> {
        let bad = |what: &str| Bad::entry(own, number, what);
        let (entries, head) = match (view.detail("run_entries"), view.detail("run_head")) {
            (None, None) if view.kind == "RUN_STARTED" => return Ok(()),
            (Some(entries), Some(head)) => (checkpoint::decimal(entries), unhex(head)),
            _ => return Err(bad("it must name `run_entries` and `run_head`")),
        };
        let (Some(entries), Some(head)) = (entries, head) else {
            return Err(bad("its `run_entries` is no number, or its `run_head` no hash"));
        };
        let run = self.of(name);
        if entries < run.named {
            return Err(bad("it names fewer entries of the run than an entry before"));
        }
        run.named = entries;
        if view.kind == "RUN_ENDED" {
            if run.ended.is_some_and(|ended| ended != entries) {
                return Err(bad("the run has ended before, with fewer entries"));
            }
            run.ended = Some(entries);
        }
        let anchor = Anchor { number: entries, head, entry: number };
        if run.chain.number < entries {
            run.pending.push_back(anchor);
        } else {
            run.check(own, name, &anchor)?;
            if let Some(ended) = run.ended.filter(|ended| run.chain.number > *ended) {
                return Err(Bad::entry(name, ended + 1, "the run had ended before it"));
            }
            self.waiting.insert(number, (name.into(), entries));
        }
        Ok(())
    }

    /// A checkpoint covers the tenant's own chain up to `number`.
    pub(super) fn cover(&mut self, number: u64) {
        self.proved = number;
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= number) {
            let (name, entries) = first.remove();
            if let Some(run) = self.by_name.get_mut(&name) {
                run.covered = run.covered.max(entries);
            }
        }
    }

    /// The first anchor that names an entry which the file does not have.
    pub(super) fn missing(&self) -> Result<(), Bad> {
        let pending = self.by_name.iter().filter_map(|(name, run)| Some((run.pending.front()?, name, run)));
        match pending.min_by_key(|(anchor, ..)| anchor.entry) {
            None => Ok(()),
            Some((anchor, name, run)) => Err(Bad::entry(
                name,
                run.chain.number + 1,
                format!(
                    "it is missing: entry {} of the tenant's chain says that the run has {} entries, and the file has {}",
                    anchor.entry, anchor.number, run.chain.number
                ),
            )),
        }
    }
}

impl Run {
    fn check(&mut self, own: &str, name: &str, anchor: &Anchor) -> Result<(), Bad> {
        let number = anchor.number;
        if self.chain.hash_of(number) != Some(anchor.head) {
            if number == self.anchored {
                let what = "it names another hash for this entry of the run than an entry before";
                return Err(Bad::entry(own, anchor.entry, what));
            }
            let what = format!(
                "the tenant's chain names another hash for entry {number} of the run: entries were altered from here \
                 on, up to that one"
            );
            return Err(Bad::entry(name, self.anchored + 1, what));
        }
        self.anchored = number;
        self.chain.forget_before(number);
        if self.ended == Some(number) && self.chain.number == number {
            self.attempts = HashMap::new();
        }
        Ok(())
    }

    fn attempt(&mut self, name: &str, view: &EntryView<'_>, key: &Hash) -> Result<(), Bad> {
        let number = self.chain.number;
        let bad = |what: String| Err(Bad::entry(name, number, what));
        let is_outcome = match view.kind {
            "EGRESS_INTENT" => false,
            "EGRESS_OUTCOME" => true,
            _ => return Ok(()),
        };
        let Some(attempt) = view.detail("attempt") else { return bad("it names no attempt".to_owned()) };
        let hash = chain::over(key, &[attempt.as_bytes()]);
        let Some(short) = hash.first_chunk::<16>().copied() else { return Ok(()) };
        match (is_outcome, self.attempts.get_mut(&short)) {
            (false, None) => {
                self.attempts.insert(short, false);
                Ok(())
            }
            (true, Some(known)) if !*known => {
                *known = true;
                Ok(())
            }
            (false, Some(_)) | (true, Some(_)) => {
                bad(format!("there is an entry of this kind for attempt {attempt:?} already"))
            }
            // The intent may be among those whose bytes are gone.
            (true, None) if !self.chain.redacted.is_empty() => {
                self.attempts.insert(short, true);
                Ok(())
            }
            (true, None) => bad(format!("it is the outcome of attempt {attempt:?}, and that has no intent")),
        }
    }
}

fn unhex(text: &str) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
