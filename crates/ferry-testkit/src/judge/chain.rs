//! The run's own chain of entries, held against its rows and against what the simulator saw: what left is on record once,
//! and nothing can be taken out without a trace.

use super::case::Case;
use super::record::number_of;
use crate::Stage;
use ferry_ledger::{Entry, GENESIS, Hash, link};
use sea_orm::{DatabaseConnection, QueryResult};
use std::collections::BTreeMap;

/// A run's chain as stored, and what its tenant's chain says of it.
pub(super) struct Chain {
    entries: Vec<Stored>,
    /// Number and hash, by the run's row.
    head: (u64, Option<Vec<u8>>),
    /// Of RUN_STARTED, RUN_ANCHORED and RUN_ENDED, in their order: the kind, the number and the hash.
    anchors: Vec<(String, u64, String)>,
}

struct Stored {
    number: u64,
    body: Vec<u8>,
    hash: Vec<u8>,
}

/// What the entries say of each attempt.
#[derive(Default)]
struct OfAttempt {
    intents: Vec<(u32, usize)>,
    outcomes: Vec<String>,
}

impl Chain {
    pub(super) async fn read(database: &DatabaseConnection, run: &str, uid: &str) -> Self {
        let entries = "SELECT number, body, hash FROM audit_entries WHERE chain = ? ORDER BY number";
        let entries = super::record::of_run(database, entries, uid).await.iter().map(stored).collect();
        let head = super::record::of_run(database, "SELECT entries, entries_head FROM runs WHERE id = ?", uid).await;
        let head = head.first().map(|row| (number_of(row, "entries"), row.try_get("", "entries_head").unwrap()));
        let anchors = "SELECT body FROM audit_entries WHERE chain = '' AND object = ? \
                       AND kind IN ('RUN_STARTED', 'RUN_ANCHORED', 'RUN_ENDED') ORDER BY number";
        let anchors = super::record::of_run(database, anchors, run).await.iter().map(anchor).collect();
        Self { entries, head: head.unwrap_or_default(), anchors }
    }

    /// The entries and the hash after each, as they follow from their bodies.
    fn follow(&self, tell: &mut impl FnMut(String)) -> Vec<(Entry, Hash)> {
        let mut previous = GENESIS;
        let mut followed = Vec::new();
        for (place, stored) in (1..).zip(&self.entries) {
            let Ok(entry) = Entry::decode(&stored.body) else {
                tell(format!("entry {place} cannot be read"));
                return followed;
            };
            previous = link(&previous, &stored.body).hash;
            if stored.number != place || entry.number != place || stored.hash != previous {
                tell(format!("entry {place} does not follow the one before"));
            }
            followed.push((entry, previous));
        }
        followed
    }
}

fn stored(row: &QueryResult) -> Stored {
    let body = row.try_get::<Option<Vec<u8>>>("", "body").unwrap().unwrap_or_default();
    Stored { number: number_of(row, "number"), body, hash: row.try_get("", "hash").unwrap() }
}

fn anchor(row: &QueryResult) -> (String, u64, String) {
    let entry = Entry::decode(&row.try_get::<Vec<u8>>("", "body").unwrap()).unwrap();
    let detail = |key: &str| entry.details.get(key).cloned().unwrap_or_default();
    (entry.kind.clone(), detail("run_entries").parse().unwrap(), detail("run_head"))
}

impl Case<'_> {
    /// The chain is whole, its anchors agree with it, and it says of each attempt what its row says.
    pub(super) fn chain(&self, findings: &mut Vec<String>) {
        let mut tell = |text: String| findings.push(format!("chain: {text}"));
        let chain = &self.record.chain;
        let followed = chain.follow(&mut tell);
        let last = followed.last().map(|(_, hash)| hash.to_vec());
        if chain.head != (followed.len() as u64, last) {
            tell(format!("the run's row says {} entries, or another head than entry {}", chain.head.0, followed.len()));
        }
        for (kind, number, head) in &chain.anchors {
            let at = match number.checked_sub(1) {
                None => Some(GENESIS),
                Some(before) => followed.get(usize::try_from(before).unwrap()).map(|(_, hash)| *hash),
            };
            if at.map(hex).as_ref() != Some(head) {
                tell(format!("{kind} anchors {number} entries under another hash"));
            }
        }
        let ended: Vec<u64> =
            chain.anchors.iter().filter(|(kind, ..)| kind == "RUN_ENDED").map(|(_, number, _)| *number).collect();
        if self.record.run.end_time.is_some() && ended != [followed.len() as u64] {
            tell(format!("RUN_ENDED anchors {ended:?} entries of {}", followed.len()));
        }
        self.attempts_of(&followed, &mut tell);
    }

    fn attempts_of(&self, followed: &[(Entry, Hash)], tell: &mut impl FnMut(String)) {
        let mut said: BTreeMap<&str, OfAttempt> = BTreeMap::new();
        for (entry, _) in followed {
            let detail = |key: &str| entry.details.get(key).map_or("", String::as_str);
            let of = said.entry(detail("attempt"));
            let batch = detail("batch").parse().unwrap_or(u32::MAX);
            match entry.kind.as_str() {
                "EGRESS_INTENT" => {
                    of.or_default().intents.push((batch, detail("count").parse().unwrap_or(usize::MAX)));
                    if detail("digest").len() != 64 || detail("host").is_empty() || detail("purpose").is_empty() {
                        tell(format!("entry {} does not say what left, to whom and what for", entry.number));
                    }
                }
                "EGRESS_OUTCOME" => of.or_default().outcomes.push(detail("outcome").to_owned()),
                "EGRESS_SETTLED" if self.record.batches.contains_key(&batch) => {}
                other => tell(format!("entry {} is of a kind or a batch that is not the run's: {other}", entry.number)),
            }
        }
        for attempt in &self.record.attempts {
            let said = said.remove(attempt.id.as_str()).unwrap_or_default();
            let rows = self.record.batches.get(&attempt.seq).map_or(0, |batch| batch.kept.len());
            if said.intents != [(attempt.seq, rows)] {
                tell(format!("attempt {} of {rows} contacts has the intents {:?}", attempt.id, said.intents));
            }
            if said.outcomes != attempt.outcome.iter().cloned().collect::<Vec<_>>() {
                tell(format!("attempt {} has the outcomes {:?}", attempt.id, said.outcomes));
            }
            for request in self.seen.get(attempt.id.as_str()).into_iter().flatten() {
                let sent = request.accepted.as_ref().map_or(rows, |import| import.addresses.len());
                if said.intents.iter().any(|(_, count)| *count != sent) {
                    tell(format!("attempt {} brought {sent} contacts there", attempt.id));
                }
            }
        }
        said.into_keys().for_each(|id| tell(format!("entries name the attempt `{id}`, which has no row")));
    }
}

fn hex(hash: Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks every chain in the database: no gap, no fork, each head as its last entry says.
pub async fn whole_chains(stage: &Stage) {
    let database = super::record::open(stage).await;
    let all = "SELECT tenant, chain, number, body, hash FROM audit_entries ORDER BY tenant, chain, number";
    let mut heads: BTreeMap<(String, String), (u64, Hash)> = BTreeMap::new();
    for row in super::record::all(&database, all).await {
        let of: (String, String) = (row.try_get("", "tenant").unwrap(), row.try_get("", "chain").unwrap());
        let (number, previous) = heads.get(&of).copied().unwrap_or((0, GENESIS));
        let stored = stored(&row);
        let hash = link(&previous, &stored.body).hash;
        assert!(stored.number == number + 1 && stored.hash == hash, "{of:?}: entry {} does not follow", stored.number);
        heads.insert(of, (number + 1, hash));
    }
}
