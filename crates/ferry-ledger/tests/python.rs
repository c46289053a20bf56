//! Two implementations, written apart, must say the same of every log: this crate's, and `tests/verify.py`.
//! `FERRY_TEST_LONG=1` alters 10,000 logs instead of 300.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::{Dice, Item, OWN, check_with, file, hex, key, relink, rich, signer};
use ferry_ledger::checkpoint::Checkpoint;
use ferry_ledger::verify::Report;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Alterations of one log, before another log is made.
const OF_ONE: usize = 25;

struct Case {
    what: String,
    file: Vec<u8>,
    kept: Vec<String>,
}

#[test]
fn a_second_implementation_agrees_on_every_altered_log() {
    let long = std::env::var("FERRY_TEST_LONG").is_ok_and(|value| value == "1");
    let count = if long { 10_000 } else { 300 };
    let mut dice = Dice(20_261_128);
    let mut cases = Vec::new();
    while cases.len() < count {
        let log = rich(&mut dice);
        let whole = log.file();
        let case = Case { what: "nothing".into(), file: whole, kept: Vec::new() };
        cases.push(case);
        for _ in 0..OF_ONE.min(count - cases.len()) {
            cases.push(alter(&log.items, &mut dice));
        }
    }
    let verdicts = python(&cases);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for (case, verdict) in cases.iter().zip(&verdicts) {
        let report = check_with(&case.file, &case.kept);
        assert_eq!(*verdict, report.verdict(), "{}: {}\n{}", case.what, told(&report), shown(case));
        let kind = case.what.split(' ').next().unwrap().to_owned();
        *seen.entry(kind).or_default() += u32::from(!report.is_good());
    }
    assert_eq!(seen["nothing"], 0, "a log that was not altered is good");
}

fn told(report: &Report) -> String {
    report.bad.as_ref().map_or_else(String::new, |bad| bad.what.clone())
}

fn shown(case: &Case) -> String {
    String::from_utf8_lossy(&case.file).into_owned()
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/verify.py")
}

/// What the script says of each file.
fn python(cases: &[Case]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for (place, case) in cases.iter().enumerate() {
        let path = folder.path().join(format!("{place}.jsonl"));
        std::fs::write(&path, &case.file).unwrap();
        list += &format!("{}\t{}", path.display(), key(1));
        if !case.kept.is_empty() {
            let notes = folder.path().join(format!("{place}.notes"));
            std::fs::write(&notes, case.kept.concat()).unwrap();
            list += &format!("\t{}", notes.display());
        }
        list.push('\n');
    }
    let path = folder.path().join("list");
    std::fs::write(&path, list).unwrap();
    let output = Command::new("python3").arg(script()).arg("--batch").arg(&path).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs python3, and it cannot be started: {error}"));
    let said = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), cases.len(), "{}", String::from_utf8_lossy(&output.stderr));
    verdicts
}

/// One alteration of a log, as somebody might make it who has the database and no key.
#[allow(clippy::too_many_lines, reason = "one arm for each kind of alteration")]
fn alter(items: &[Item], dice: &mut Dice) -> Case {
    let mut items = items.to_vec();
    let mut kept = Vec::new();
    let rows: Vec<usize> = (0..items.len()).filter(|place| items[*place].row().is_some()).collect();
    let seals: Vec<usize> = (0..items.len()).filter(|place| items[*place].seal().is_some()).collect();
    let row = rows[dice.roll(rows.len())];
    let seal = seals[dice.roll(seals.len())];
    let what = match dice.roll(17) {
        0 => {
            let mut bytes = file(&items);
            let bit = dice.roll(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            return Case { what: format!("flip bit {bit}"), file: bytes, kept };
        }
        1 => {
            let mut bytes = file(&items);
            bytes.truncate(dice.roll(bytes.len()));
            return Case { what: format!("cut to {} bytes", bytes.len()), file: bytes, kept };
        }
        2 => {
            let body = items[row].row().unwrap().body.get_or_insert_default();
            if !body.is_empty() {
                let place = dice.roll(body.len());
                body[place] ^= 1 << dice.roll(8);
            }
            "body altered"
        }
        3 => {
            items.remove(row);
            "delete"
        }
        4 => {
            let other = rows[dice.roll(rows.len())];
            items.swap(row, other);
            "swap"
        }
        5 => {
            let copy = items[row].clone();
            let chain = items[row].row().unwrap().chain.clone();
            items.insert(rows[dice.roll(rows.len())], copy);
            relink(&mut items, &chain);
            "insert, hashes recomputed"
        }
        6 => {
            let chain = items[row].row().unwrap().chain.clone();
            items.remove(row);
            relink(&mut items, &chain);
            "remove, hashes recomputed"
        }
        7 => {
            items.truncate(1 + dice.roll(items.len()));
            "tail cut"
        }
        8 => {
            items.retain(
                |item| !matches!(item, Item::Entry(other) if other.chain == OWN && other.number as usize > row),
            );
            "tail of the own chain cut"
        }
        9 => foreign(&mut items, row, dice),
        10 => {
            let seal = items[seal].seal().unwrap();
            let proof = if dice.roll(2) == 0 { &mut seal.inclusion } else { &mut seal.consistency };
            match (proof.len(), dice.roll(3)) {
                (0, _) | (_, 0) => proof.push([dice.roll(256) as u8; 32]),
                (_, 1) => {
                    proof.pop();
                }
                (length, _) => proof[dice.roll(length)][dice.roll(32)] ^= 1 << dice.roll(8),
            }
            "proof altered"
        }
        11 => note(&mut items, seal, dice),
        12 => {
            let seal = items[seal].seal().unwrap();
            match dice.roll(4) {
                0 => seal.leaf_index += 1,
                1 => seal.entries += 1,
                2 => seal.entries = seal.entries.saturating_sub(1),
                _ => seal.key = key(3),
            }
            "leaf altered"
        }
        13 => {
            items.remove(seal);
            "checkpoint removed"
        }
        14 => {
            let whole = items[seals[dice.roll(seals.len())]].seal().unwrap();
            kept.push(if dice.roll(2) == 0 { whole.note.clone() } else { whole.receipt() });
            items.truncate(seal + dice.roll(2));
            "kept elsewhere, and the file cut"
        }
        15 => {
            // What was covered was kept, truly or not, and only the last leaf is shown.
            let mut whole = items[seal].seal().unwrap().clone();
            match dice.roll(4) {
                0 => whole.leaf_index += 1,
                1 => whole.entries = whole.entries.saturating_sub(1),
                2 => whole.entries += 1,
                _ => {}
            }
            kept.push(whole.receipt());
            for place in &seals[..seals.len() - 1] {
                let hidden = items[*place].seal().unwrap();
                (hidden.entries, hidden.inclusion) = (0, Vec::new());
            }
            "kept with what it covers, and its leaf hidden"
        }
        _ => {
            let row = items[row].row().unwrap();
            row.body = None;
            "redacted"
        }
    };
    Case { what: what.to_owned(), file: file(&items), kept }
}

/// An entry that says something else of where it is, or is shown elsewhere.
fn foreign(items: &mut [Item], place: usize, dice: &mut Dice) -> &'static str {
    let row = items[place].row().unwrap();
    let (chain, body) = (row.chain.clone(), row.body.clone().unwrap_or_default());
    let Ok(mut entry) = ferry_ledger::Entry::decode(&body) else { return "redacted already" };
    match dice.roll(6) {
        0 => entry.tenant = "globex".into(),
        1 => entry.chain += "x",
        2 => {
            row.chain = "tenants/globex".into();
            return "foreign chain";
        }
        3 => {
            row.number = [0, u64::MAX, row.number + 1][dice.roll(3)];
            return "foreign number";
        }
        4 => {
            entry.details.insert("run_entries".into(), dice.roll(9).to_string());
            entry.details.insert("run_head".into(), hex(&[0; 32]));
            entry.details.insert("attempt".into(), "attempt-0".into());
        }
        _ => {
            let kinds =
                ["RUN_ENDED", "RUN_ANCHORED", "RUN_STARTED", "RETENTION_APPLIED", "EGRESS_INTENT", "EGRESS_OUTCOME"];
            entry.kind = kinds[dice.roll(kinds.len())].into();
        }
    }
    row.body = Some(entry.encode());
    relink(items, &chain);
    "foreign entry"
}

/// A note that says or shows something else; by a key that could have signed it, by another, or by none.
fn note(items: &mut [Item], place: usize, dice: &mut Dice) -> &'static str {
    let seal = items[place].seal().unwrap();
    let end = seal.note.rfind("\n\n").unwrap();
    let body = seal.note[..=end].to_owned();
    let Ok(mut checkpoint) = Checkpoint::parse(&body) else { return "note of no checkpoint" };
    match dice.roll(7) {
        0 => checkpoint.size = [0, 1, u64::MAX, checkpoint.size + 1][dice.roll(4)],
        1 => checkpoint.root[dice.roll(32)] ^= 1,
        2 => checkpoint.time_ms = -checkpoint.time_ms,
        3 => checkpoint.next_key = Some(key(3)),
        4 => checkpoint.origin += "x",
        5 => {
            seal.note += &signer(9).signature_line(&body);
            return "note with a stranger's signature";
        }
        _ => {
            let changed = seal.note.replacen("time ", ["time  ", "other 5\ntime ", "time 1\ntime "][dice.roll(3)], 1);
            seal.note = changed;
            return "note altered";
        }
    }
    seal.note = match dice.roll(3) {
        0 => checkpoint.body() + &seal.note[end + 1..],
        1 => checkpoint.sign(&signer(1)),
        _ => checkpoint.sign(&signer(3)),
    };
    "note signed"
}
