//! A log as the store makes it, small enough to be altered by hand.
#![allow(unreachable_pub, reason = "a module of tests")]
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use ferry_ledger::checkpoint::{Checkpoint, Signer, VerifierKey};
use ferry_ledger::file::{FileCheckpoint, FileEntry, FileLog, FileWriter};
use ferry_ledger::merkle::{Frontier, Leaf, NodeId, consistency_plan, inclusion_plan, pseudonym};
use ferry_ledger::verify::{Report, verify};
use ferry_ledger::{Entry, EntryResult, GENESIS, Hash, body_hash, hash};
use std::collections::{BTreeMap, HashMap};

pub const ORIGIN: &str = "ferry.audit/6f1c";
pub const OWN: &str = "tenants/acme";

/// Numbers that look random and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }
}

#[derive(Debug, Clone)]
pub struct Row {
    pub chain: String,
    pub number: u64,
    pub body: Option<Vec<u8>>,
    pub body_hash: Hash,
    pub hash: Hash,
}

#[derive(Debug, Clone)]
pub struct Seal {
    pub note: String,
    pub key: VerifierKey,
    pub leaf_index: u64,
    pub entries: u64,
    pub inclusion: Vec<Hash>,
    pub consistency: Vec<Hash>,
}

#[derive(Debug, Clone)]
pub enum Item {
    Entry(Row),
    Seal(Seal),
}

impl Seal {
    fn write(&self, file: &mut FileWriter<Vec<u8>>) -> std::io::Result<()> {
        file.checkpoint(&FileCheckpoint {
            note: &self.note,
            public_key: &self.key,
            leaf_index: self.leaf_index,
            entries: self.entries,
            inclusion_proof: &self.inclusion,
            consistency_proof: &self.consistency,
        })
    }

    /// What `GetCheckpoint` answers.
    pub fn receipt(&self) -> String {
        let mut file = FileWriter::new(Vec::new());
        self.write(&mut file).unwrap();
        String::from_utf8(file.into_inner()).unwrap()
    }
}

impl Item {
    pub fn row(&mut self) -> Option<&mut Row> {
        match self {
            Self::Entry(row) => Some(row),
            Self::Seal(_) => None,
        }
    }

    pub fn seal(&mut self) -> Option<&mut Seal> {
        match self {
            Self::Entry(_) => None,
            Self::Seal(seal) => Some(seal),
        }
    }
}

pub struct Log {
    pub tenant: String,
    pub uid: String,
    pub items: Vec<Item>,
    pub heads: HashMap<String, (u64, Hash)>,
    pub time_ms: i64,
    pub seed: u8,
    edge: Frontier,
    nodes: HashMap<NodeId, Hash>,
    leaf: (u64, u64),
    sealed: u64,
}

pub fn signer(seed: u8) -> Signer {
    Signer::new(ORIGIN, &[seed; 32]).unwrap()
}

pub fn key(seed: u8) -> VerifierKey {
    signer(seed).verifier_key().clone()
}

impl Log {
    pub fn new() -> Self {
        Self {
            tenant: "acme".into(),
            uid: "uid-1".into(),
            items: Vec::new(),
            heads: HashMap::new(),
            time_ms: 1_700_000_000_000,
            seed: 1,
            edge: Frontier::empty(),
            nodes: HashMap::new(),
            leaf: (0, 0),
            sealed: 0,
        }
    }

    /// Appends an entry to a chain.
    pub fn append(&mut self, chain: &str, kind: &str, object: &str, details: &[(&str, &str)]) {
        let (number, previous) = self.heads.get(chain).copied().unwrap_or((0, GENESIS));
        self.time_ms += 1_000;
        let text = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        let entry = Entry {
            tenant: self.tenant.clone(),
            chain: chain.split_once("/runs/").map_or("", |(_, run)| run).to_owned(),
            number: number + 1,
            time_ms: self.time_ms,
            kind: kind.into(),
            actor: "maria".into(),
            actor_role: "OWNER".into(),
            required_role: "OPERATOR".into(),
            object: object.into(),
            result: EntryResult::Ok,
            reason: String::new(),
            correlation_id: format!("req-{}", self.time_ms),
            origin: "10.0.0.1:1".into(),
            details: details.iter().map(text).collect::<BTreeMap<_, _>>(),
        };
        let row = linked(chain, number + 1, &previous, Some(entry.encode()));
        self.heads.insert(chain.to_owned(), (row.number, row.hash));
        self.items.push(Item::Entry(row));
    }

    pub fn own(&mut self, kind: &str) {
        self.append(OWN, kind, "tenants/acme/connections/c", &[("after", "00ff")]);
    }

    /// Writes into the tenant's chain how long a run's chain is.
    pub fn anchor(&mut self, kind: &str, run: &str) {
        let (number, head) = self.heads.get(run).copied().unwrap_or((0, GENESIS));
        self.append(OWN, kind, run, &[("run_entries", &number.to_string()), ("run_head", &hex(&head))]);
    }

    /// An intent in a run's chain, and its outcome.
    pub fn attempt(&mut self, run: &str, attempt: &str) {
        let host = ("host", "acme.example");
        self.append(run, "EGRESS_INTENT", run, &[("attempt", attempt), host, ("count", "250")]);
        self.append(run, "EGRESS_OUTCOME", run, &[("attempt", attempt), ("outcome", "confirmed")]);
    }

    /// Signs a checkpoint, with leaves of other tenants before and after this one's.
    pub fn seal(&mut self, others: usize, next_seed: Option<u8>) {
        self.time_ms += 1_000;
        for other in 0..others {
            let number = self.edge.size() + other as u64;
            self.leaf_of("globex", number, [7; 32]);
        }
        let (number, head) = self.heads.get(OWN).copied().unwrap_or((0, GENESIS));
        if number > self.leaf.1 {
            self.leaf = (self.edge.size(), number);
            self.leaf_of("acme", number, head);
        }
        self.leaf_of("initech", self.edge.size(), [8; 32]);
        let size = self.edge.size();
        let (root, next_key) = (self.edge.root(), next_seed.map(key));
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root, time_ms: self.time_ms, next_key };
        let signer = signer(self.seed);
        let inclusion = match self.leaf.1 {
            0 => Vec::new(),
            _ => self.inclusion(self.leaf.0, size),
        };
        self.items.push(Item::Seal(Seal {
            note: checkpoint.sign(&signer),
            key: signer.verifier_key().clone(),
            leaf_index: self.leaf.0,
            entries: self.leaf.1,
            inclusion,
            consistency: consistency_plan(self.sealed, size).unwrap().finish(&self.nodes).unwrap(),
        }));
        self.sealed = size;
        self.seed = next_seed.unwrap_or(self.seed);
    }

    /// The proof that a leaf is in the tree of this size.
    pub fn inclusion(&self, leaf: u64, size: u64) -> Vec<Hash> {
        inclusion_plan(leaf, size).unwrap().finish(&self.nodes).unwrap()
    }

    fn leaf_of(&mut self, tenant: &str, number: u64, head: Hash) {
        let leaf = Leaf { pseudonym: pseudonym(tenant, "uid-1"), number, head };
        self.nodes.extend(self.edge.push(leaf.hash()));
    }

    /// Takes the bytes of a chain's entries away, and says so.
    pub fn retain(&mut self, chain: &str, through: u64, policy: &str) {
        self.redact(chain, through);
        let through = through.to_string();
        let details = [("chain", chain), ("through", &*through), ("policy", policy), ("days", "30")];
        self.append(OWN, "RETENTION_APPLIED", OWN, &details);
    }

    pub fn redact(&mut self, chain: &str, through: u64) {
        for row in self.items.iter_mut().filter_map(Item::row) {
            if row.chain == chain && row.number <= through {
                row.body = None;
            }
        }
    }

    pub fn file(&self) -> Vec<u8> {
        file(&self.items)
    }

    pub fn verify(&self) -> Report {
        check(&self.file())
    }

    /// Where the entry of a chain is.
    pub fn place(&self, chain: &str, number: u64) -> usize {
        let is_it = |item: &Item| matches!(item, Item::Entry(row) if row.chain == chain && row.number == number);
        self.items.iter().position(is_it).unwrap()
    }

    /// Computes the hashes of a chain anew, as an attacker would who has the database and no key.
    pub fn relink(&mut self, chain: &str) {
        relink(&mut self.items, chain);
    }
}

/// Numbers a chain's entries and computes their hashes anew, in the entries' bytes too.
pub fn relink(items: &mut [Item], chain: &str) {
    let (mut number, mut previous) = (0, GENESIS);
    for row in items.iter_mut().filter_map(Item::row).filter(|row| row.chain == chain) {
        number += 1;
        let body = row.body.as_ref().map(|body| match Entry::decode(body) {
            Ok(entry) => Entry { number, ..entry }.encode(),
            Err(_) => body.clone(),
        });
        let kept = row.body_hash;
        *row = linked(chain, number, &previous, body);
        if row.body.is_none() {
            (row.body_hash, row.hash) = (kept, hash(&previous, &kept));
        }
        previous = row.hash;
    }
}

fn linked(chain: &str, number: u64, previous: &Hash, body: Option<Vec<u8>>) -> Row {
    let body_hash = body_hash(body.as_deref().unwrap_or_default());
    Row { chain: chain.to_owned(), number, body, body_hash, hash: hash(previous, &body_hash) }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn file(items: &[Item]) -> Vec<u8> {
    let mut file = FileWriter::new(Vec::new());
    file.log(&FileLog { tenant: "acme", tenant_uid: "uid-1", origin: ORIGIN }).unwrap();
    for item in items {
        match item {
            Item::Seal(seal) => seal.write(&mut file),
            Item::Entry(row) => file.entry(&FileEntry {
                chain: &row.chain,
                number: row.number,
                encoded: row.body.as_deref(),
                body_hash: &row.body_hash,
                hash: &row.hash,
            }),
        }
        .unwrap();
    }
    file.into_inner()
}

pub fn check(file: &[u8]) -> Report {
    verify(file, &key(1), &[]).unwrap()
}

pub fn check_with(file: &[u8], kept: &[String]) -> Report {
    verify(file, &key(1), kept).unwrap()
}

/// A log with all that a log can hold: runs that ended and one that goes on, checkpoints, a change of key, redaction.
pub fn rich(dice: &mut Dice) -> Log {
    let mut log = Log::new();
    log.own("TENANT_CREATED");
    let runs: Vec<String> =
        (0..1 + dice.roll(3)).map(|run| format!("{OWN}/exports/x{}/runs/r{run}", run % 2)).collect();
    if dice.roll(2) == 0 {
        log.seal(dice.roll(4), None);
    }
    for (place, run) in runs.iter().enumerate() {
        log.anchor("RUN_STARTED", run);
        for step in 0..1 + dice.roll(6) {
            log.attempt(run, &format!("attempt-{step}"));
            match dice.roll(6) {
                0 => log.anchor("RUN_ANCHORED", run),
                1 => log.seal(dice.roll(3), None),
                2 => log.own("EXPORT_CHANGED"),
                _ => {}
            }
        }
        if place > 0 || dice.roll(2) == 0 {
            log.append(run, "EGRESS_SETTLED", run, &[("batch", "1")]);
            log.anchor("RUN_ENDED", run);
        }
    }
    for _ in 0..dice.roll(4) {
        log.own("CONNECTION_CHANGED");
    }
    if dice.roll(2) == 0 {
        log.retain(&runs[0], 1 + dice.roll(2) as u64, "2");
    }
    if dice.roll(2) == 0 {
        log.retain(OWN, 1, "2");
    }
    log.anchor("RUN_ANCHORED", &runs[0]);
    log.seal(dice.roll(3), (dice.roll(2) == 0).then_some(2));
    for _ in 0..dice.roll(3) {
        log.own("CONNECTION_CHANGED");
        log.seal(dice.roll(3), None);
    }
    if dice.roll(2) == 0 {
        log.own("NOT_COVERED_YET");
    }
    log
}
