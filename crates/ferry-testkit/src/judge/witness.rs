//! A witness of the audit log: it remembers every checkpoint that it has seen, and at the end all of them must be of one
//! history, by their signatures and by the leaves on record.

use super::record::{all, number_of, number_on_record, open};
use crate::{Stage, eventually};
use ferry_ledger::Hash;
use ferry_ledger::checkpoint::{Checkpoint, VerifierKey, open as open_note, split_notes};
use ferry_ledger::merkle::{Frontier, Leaf, pseudonym};
use std::collections::BTreeMap;
use std::time::Duration;

/// A checkpoint is due after a second on a stage; a busy machine takes its time.
const COVERED: Duration = Duration::from_secs(90);

/// Entries, leaves and copies that lack, in one number.
const UNCOVERED: &str = "SELECT (SELECT COUNT(*) FROM audit_chains WHERE number > leaf_number) \
     + (SELECT COUNT(*) FROM runs WHERE entries > entries_anchored) \
     + (SELECT COUNT(*) FROM plan_indexes p JOIN runs r ON r.id = p.run AND r.end_time IS NOT NULL WHERE p.folded = 0) \
     + (SELECT COUNT(*) FROM audit_checkpoints c JOIN audit_log l ON l.log = c.log AND c.size > l.copied_size)";

/// Waits until a checkpoint outside of the database covers all that is on record, and what ended runs sent is folded.
pub async fn covered(stage: &Stage) {
    eventually(COVERED, || async {
        match number_on_record(stage, UNCOVERED).await {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
}

/// The copy as it lies there: its whole notes, and the bytes behind the last one.
#[must_use]
pub fn copied_notes(stage: &Stage) -> (Vec<String>, usize) {
    let bytes = std::fs::read(stage.path("keys").join("checkpoints").join("checkpoints.notes")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let (notes, torn) = split_notes(&text);
    (notes.into_iter().map(str::to_owned).collect(), torn.len())
}

/// What `ferry audit key` prints: the key that the newest log began with, and the one that signs it now.
#[must_use]
pub fn log_keys(stage: &Stage) -> Vec<VerifierKey> {
    let keys = stage.path("keys").display().to_string();
    let ferry = std::process::Command::new(crate::binary("ferry")).args(["audit", "key", "--keys-dir", &keys]).output();
    let ferry = ferry.unwrap();
    assert!(ferry.status.success(), "{}", String::from_utf8_lossy(&ferry.stderr));
    String::from_utf8(ferry.stdout).unwrap().lines().map(|key| key.parse().unwrap()).collect()
}

/// See the module.
#[derive(Default)]
pub struct Witness {
    seen: BTreeMap<(String, u64), (Hash, String)>,
    /// The first key of each log.
    keys: BTreeMap<String, VerifierKey>,
}

impl Witness {
    /// Looks at the copy and at the database. Fails the test if a size has two roots.
    pub async fn look(&mut self, stage: &Stage) {
        let mut notes = copied_notes(stage).0;
        if !notes.is_empty() {
            let key = log_keys(stage).remove(0);
            self.keys.entry(key.name().to_owned()).or_insert(key);
        }
        let stored = all(&open(stage).await, "SELECT note FROM audit_checkpoints").await;
        notes.extend(stored.iter().map(|row| row.try_get::<String>("", "note").unwrap()));
        for note in notes {
            let checkpoint = Checkpoint::parse(&note[..=note.rfind("\n\n").unwrap()]).unwrap();
            let key = (checkpoint.origin, checkpoint.size);
            let (root, _) = self.seen.entry(key.clone()).or_insert((checkpoint.root, note));
            assert_eq!(*root, checkpoint.root, "two roots of {key:?}");
        }
    }

    /// How many checkpoints it has seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// Fails the test unless every checkpoint is signed by the key of its time, and the leaves on record make its root.
    /// Of a log that the database lost a part of, that part is not there.
    pub async fn agrees(&self, stage: &Stage) {
        let mut trees = BTreeMap::new();
        for log in self.keys.keys() {
            trees.insert(log.clone(), roots(stage, log).await);
        }
        let mut keys = self.keys.clone();
        for ((log, size), (root, note)) in &self.seen {
            let key = keys.get_mut(log).unwrap_or_else(|| panic!("no key of {log}"));
            let opened = open_note(note, std::slice::from_ref(key));
            let opened = opened.unwrap_or_else(|error| panic!("{log} {size}: {error}"));
            if let Some(next) = Checkpoint::parse(opened.text).unwrap().next_key {
                *key = next;
            }
            let tree = &trees[log];
            let place = usize::try_from(*size).unwrap();
            assert!(tree.get(place).is_none_or(|found| found == root), "{log} {size}: the leaves make another root");
            let is_current = log_keys(stage)[0].name() == log;
            assert!(place < tree.len() || !is_current, "{log} {size}: the database lacks leaves");
        }
    }
}

/// The root of each size of a log's tree, from its leaves alone.
async fn roots(stage: &Stage, log: &str) -> Vec<Hash> {
    let statement = format!(
        "SELECT l.tenant, t.uid, l.number, l.head, l.position FROM audit_leaves l \
         LEFT JOIN tenants t ON t.id = l.tenant WHERE l.log = '{log}' ORDER BY l.position"
    );
    let mut tree = Frontier::empty();
    let mut roots = vec![tree.root()];
    for row in all(&open(stage).await, &statement).await {
        assert_eq!(number_of(&row, "position"), tree.size(), "a leaf is missing");
        let (tenant, uid): (String, Option<String>) =
            (row.try_get("", "tenant").unwrap(), row.try_get("", "uid").unwrap());
        let head: Vec<u8> = row.try_get("", "head").unwrap();
        let leaf = Leaf {
            pseudonym: pseudonym(&tenant, &uid.unwrap_or_default()),
            number: number_of(&row, "number"),
            head: head.try_into().unwrap(),
        };
        tree.push(leaf.hash());
        roots.push(tree.root());
    }
    roots
}
