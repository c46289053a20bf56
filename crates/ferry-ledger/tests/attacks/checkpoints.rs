//! Attacks on checkpoints and their keys, and what checkpoints kept elsewhere tell.

use super::common::{Item, Log, ORIGIN, OWN, check, check_with, file, key, signer};
use super::{bad_entry, log, note_of, says};
use ferry_ledger::Entry;
use ferry_ledger::checkpoint::Checkpoint;
use ferry_ledger::verify::{Place, verify};

#[test]
fn a05_a_file_whose_checkpoints_show_no_leaf_proves_nothing() {
    let mut log = log();
    for seal in log.items.iter_mut().filter_map(Item::seal) {
        seal.entries = 0;
    }
    bad_entry(&log.verify(), OWN, 1);
    log.items.retain_mut(|item| item.row().is_some());
    says(&log.verify(), &Place::Checkpoint(1), "nothing in this file is signed");
}

#[test]
fn a06_a_rewritten_log_is_found_by_any_older_checkpoint() {
    let kept = note_of(log().items.last_mut().unwrap());
    // The key's holder writes another history, which is consistent with itself.
    let mut other = Log::new();
    (0..10).for_each(|_| other.own("ANOTHER_HISTORY"));
    other.seal(3, None);
    other.own("ANOTHER_HISTORY");
    other.seal(9, None);
    assert!(other.verify().is_good());
    let report = check_with(&other.file(), std::slice::from_ref(&kept));
    assert!(report.is_good() && report.pinned_by_size == 1, "other sizes alone cannot be compared, and it says so");
    // At the same size, or with a checkpoint of the old history in the file, it shows.
    let size = Checkpoint::parse(&kept[..=kept.rfind("\n\n").unwrap()]).unwrap().size;
    let mut other = Log::new();
    other.own("ANOTHER_HISTORY");
    other.seal(usize::try_from(size).unwrap() - 2, None);
    let report = check_with(&other.file(), std::slice::from_ref(&kept));
    says(&report, &Place::Pinned(1), "forked");
    assert_eq!(report.bad.unwrap().proof, [kept, note_of(other.items.last_mut().unwrap())]);
    let mut mixed = log();
    let last = mixed.items.pop().unwrap();
    other.items.push(last);
    assert!(!other.verify().is_good());
}

/// Another history is signed on top of the tree that holds the leaf of the first one, and that leaf is not shown, or an
/// older one in its place. Every root is right then; only what was covered tells.
#[test]
fn a06_entries_changed_behind_a_leaf_that_is_hidden_are_found_by_what_was_covered() {
    let mut log = log();
    let seals: Vec<_> = log.items.iter_mut().filter_map(Item::seal).map(|seal| seal.clone()).collect();
    let (older, kept) = (&seals[1], &seals[2]);
    assert!(check_with(&log.file(), &[kept.receipt()]).is_good());
    let place = log.place(OWN, 9);
    let row = log.items[place].row().unwrap();
    let altered = Entry { actor: "somebody else".into(), ..Entry::decode(row.body.as_ref().unwrap()).unwrap() };
    row.body = Some(altered.encode());
    log.relink(OWN);
    let last = log.place(OWN, 10);
    let head = log.items[last].row().unwrap().hash;
    log.heads.insert(OWN.to_owned(), (10, head));
    log.own("WRITTEN_SINCE");
    log.seal(0, None);
    let size = Checkpoint::parse(&kept.note[..=kept.note.rfind("\n\n").unwrap()]).unwrap().size;
    for shown in [None, Some(older)] {
        let inclusion = shown.map_or_else(Vec::new, |older| log.inclusion(older.leaf_index, size));
        let hidden = log.items.iter_mut().filter_map(Item::seal).find(|seal| seal.note == kept.note).unwrap();
        (hidden.entries, hidden.leaf_index) = shown.map_or((0, 0), |older| (older.entries, older.leaf_index));
        hidden.inclusion = inclusion;
        let report = check_with(&log.file(), std::slice::from_ref(&kept.note));
        assert!(report.is_good() && report.pinned_bare == 1, "a note alone does not tell, and it says so: {report}");
        says(&check_with(&log.file(), &[kept.receipt()]), &Place::Pinned(1), "not those that it covers");
    }
}

#[test]
fn a05_a_tail_that_is_cut_is_found_by_what_was_covered_although_the_tree_has_grown() {
    let mut log = log();
    let kept = log.items.last_mut().unwrap().seal().unwrap().clone();
    log.items.retain(|item| !matches!(item, Item::Entry(row) if row.chain == OWN && row.number >= 8));
    let hidden = log.items.last_mut().unwrap().seal().unwrap();
    (hidden.entries, hidden.inclusion) = (0, Vec::new());
    assert!(check_with(&log.file(), std::slice::from_ref(&kept.note)).is_good());
    says(&check_with(&log.file(), &[kept.receipt()]), &Place::Pinned(1), "cut: it covers the entries up to 10");
}

#[test]
fn a07_an_older_checkpoint_in_the_place_of_a_newer_is_found() {
    let whole = log();
    let places: Vec<usize> =
        (0..whole.items.len()).filter(|place| whole.items[*place].clone().seal().is_some()).collect();
    let mut replaced = whole.items.clone();
    replaced[places[2]] = whole.items[places[0]].clone();
    says(&check(&file(&replaced)), &Place::Checkpoint(3), "leaves");
    // The newest dropped, and all after it: only somebody who kept it knows.
    let kept = note_of(&mut whole.items[places[2]].clone());
    let cut = file(&whole.items[..places[1] + 1]);
    assert!(check(&cut).is_good());
    says(&check_with(&cut, &[kept]), &Place::Pinned(1), "cut or restored");
}

#[test]
fn a08_a_wrong_key_is_refused_and_an_unknown_signature_passed_over() {
    let mut log = log();
    let place = log.items.len() - 1;
    let seal = log.items[place].seal().unwrap();
    let body = seal.note[..=seal.note.rfind("\n\n").unwrap()].to_owned();
    let note = seal.note.clone();
    seal.note = note.clone() + &signer(7).signature_line(&body);
    assert!(log.verify().is_good());
    let seal = log.items[place].seal().unwrap();
    seal.note = format!("{body}\n{}", signer(7).signature_line(&body));
    says(&log.verify(), &Place::Checkpoint(3), "none of the given keys");
    log.items[place].seal().unwrap().key = key(7);
    says(&log.verify(), &Place::Checkpoint(3), "no signed change of key");
    // Somebody who verifies with another key than the log's learns which keys they are.
    let whole = super::log();
    let report = verify(&*whole.file(), &key(7), &[]).unwrap();
    says(&report, &Place::Checkpoint(1), &key(1).to_string());
}

#[test]
fn a09_two_checkpoints_of_one_size_are_a_fork_and_both_are_shown() {
    let mut log = log();
    let place = log.items.len() - 1;
    let mut other = log.items[place].clone();
    let seal = other.seal().unwrap();
    let mut checkpoint = Checkpoint::parse(&seal.note[..=seal.note.rfind("\n\n").unwrap()]).unwrap();
    checkpoint.root[0] ^= 1;
    seal.note = checkpoint.sign(&signer(1));
    let notes = [note_of(&mut log.items[place]), seal.note.clone()];
    log.items.push(other);
    let report = log.verify();
    says(&report, &Place::Checkpoint(4), "forked");
    let shown = report.to_string();
    assert_eq!(report.bad.unwrap().proof, notes);
    assert!(notes.iter().all(|note| note.lines().all(|line| shown.contains(line))));
    log.items.pop();
    assert!(check_with(&log.file(), &[notes[0].clone()]).is_good());
    says(&check_with(&log.file(), &[notes[1].clone()]), &Place::Pinned(1), "forked");
}

#[test]
fn a11_a_restored_database_is_told_of_and_found_by_a_kept_checkpoint() {
    let kept = note_of(log().items.last_mut().unwrap());
    let mut restored = Log::new();
    restored.own("TENANT_CREATED");
    restored.seal(1, None);
    says(&check_with(&restored.file(), std::slice::from_ref(&kept)), &Place::Pinned(1), "cut or restored");
    // A new log was begun, and says so.
    let mut log = Log::new();
    log.own("TENANT_CREATED");
    log.append(OWN, "DATABASE_RESTORED", OWN, &[("origin", "ferry.audit/old"), ("size", "9"), ("root", "00")]);
    log.seal(0, None);
    let old = |size| {
        let signer = ferry_ledger::checkpoint::Signer::new("ferry.audit/old", &[5; 32]).unwrap();
        Checkpoint { origin: "ferry.audit/old".into(), size, root: [1; 32], time_ms: 1, next_key: None }.sign(&signer)
    };
    let report = check_with(&log.file(), &[old(9)]);
    assert!(report.is_good() && report.restored.len() == 1 && report.anomaly_count == 1, "{report}");
    assert!(report.to_string().contains("the database was restored"));
    says(&check_with(&log.file(), &[old(10)]), &Place::Pinned(1), "ferry.audit/old");
    says(&check_with(&super::log().file(), &[old(1)]), &Place::Pinned(1), ORIGIN);
}

#[test]
fn a15_a_size_of_2_to_the_63_in_a_signed_checkpoint_is_refused() {
    for size in [1 << 63, u64::MAX] {
        let mut log = log();
        let seal = log.items.last_mut().unwrap().seal().unwrap();
        let mut checkpoint = Checkpoint::parse(&seal.note[..=seal.note.rfind("\n\n").unwrap()]).unwrap();
        checkpoint.size = size;
        seal.note = checkpoint.sign(&signer(1));
        (seal.leaf_index, seal.consistency) = (size - 1, vec![[0; 32]; 64]);
        says(&log.verify(), &Place::Checkpoint(3), "not proved to continue");
    }
}

#[test]
fn a16_entries_of_before_and_after_a_change_of_key_verify_by_either_key() {
    let mut log = log();
    log.own("KEY_ROTATED");
    log.seal(0, Some(2));
    log.own("CONNECTION_CHANGED");
    log.seal(0, None);
    let report = log.verify();
    assert!(report.is_good() && report.key_changes == 1, "{report}");
    assert!(verify(&*log.file(), &key(2), &[]).unwrap().is_good(), "the new key vouches for what it continues");
    assert!(!verify(&*log.file(), &key(3), &[]).unwrap().is_good());
    // A key that nobody announced.
    let mut log = super::log();
    log.seed = 2;
    log.own("CONNECTION_CHANGED");
    log.seal(0, None);
    says(&log.verify(), &Place::Checkpoint(4), "no signed change of key");
    // The old key may not go on signing.
    let mut log = super::log();
    log.seal(0, Some(2));
    log.seed = 1;
    log.seal(0, None);
    says(&log.verify(), &Place::Checkpoint(5), "no signed change of key");
}
