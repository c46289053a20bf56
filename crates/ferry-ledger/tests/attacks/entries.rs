//! Attacks on entries and their chains.

use super::common::{Item, Log, OWN, check, file, hex};
use super::{RUN, bad_entry, log};
use ferry_ledger::verify::Place;
use ferry_ledger::{Entry, EntryResult};

#[test]
fn a01_each_field_of_each_entry_altered_is_found_and_the_entry_named() {
    let whole = log();
    let alter: [fn(&mut Entry); 14] = [
        |entry| entry.tenant.push('x'),
        |entry| entry.chain.push('x'),
        |entry| entry.number += 1,
        |entry| entry.time_ms += 1,
        |entry| entry.kind.push('X'),
        |entry| entry.actor.push('x'),
        |entry| entry.actor_role.push('x'),
        |entry| entry.required_role.push('x'),
        |entry| entry.object.push('x'),
        |entry| entry.result = EntryResult::Failed,
        |entry| entry.reason.push('x'),
        |entry| entry.correlation_id.push('x'),
        |entry| entry.origin.push('x'),
        |entry| drop(entry.details.insert("count".into(), "1".into())),
    ];
    for place in 0..whole.items.len() {
        for alter in alter {
            let mut items = whole.items.clone();
            let Some(row) = items[place].row() else { continue };
            let (chain, number) = (row.chain.clone(), row.number);
            let mut entry = Entry::decode(row.body.as_ref().unwrap()).unwrap();
            alter(&mut entry);
            row.body = Some(entry.encode());
            bad_entry(&check(&file(&items)), &chain, number);
        }
    }
}

#[test]
fn a01_each_hash_altered_is_found() {
    let whole = log();
    for place in 0..whole.items.len() {
        for which in 0..2 {
            let mut items = whole.items.clone();
            let Some(row) = items[place].row() else { continue };
            let (chain, number) = (row.chain.clone(), row.number);
            *[&mut row.body_hash, &mut row.hash][which].last_mut().unwrap() ^= 1;
            bad_entry(&check(&file(&items)), &chain, number);
        }
    }
}

#[test]
fn a02_a_deleted_entry_is_found_wherever_it_was() {
    let whole = log();
    for place in 0..whole.items.len() {
        let mut items = whole.items.clone();
        let Some(row) = items[place].row() else { continue };
        let (chain, number) = (row.chain.clone(), row.number);
        items.remove(place);
        bad_entry(&check(&file(&items)), &chain, number);
    }
}

#[test]
fn a03_swapped_entries_and_a_moved_block_are_found() {
    let mut swapped = log();
    let (one, two) = (swapped.place(OWN, 5), swapped.place(OWN, 7));
    swapped.items.swap(one, two);
    bad_entry(&swapped.verify(), OWN, 5);
    let mut moved = log();
    let (from, to) = (moved.place(OWN, 6), moved.place(OWN, 9));
    moved.items[from..=to].rotate_left(2);
    bad_entry(&moved.verify(), OWN, 6);
    // With all hashes made anew it is a rewritten chain: only the checkpoint tells, and from where on.
    moved.relink(OWN);
    bad_entry(&moved.verify(), OWN, 4);
}

#[test]
fn a04_an_inserted_entry_with_all_hashes_made_anew_is_found_by_the_checkpoint() {
    // One after the last is no alteration of what was signed: it is the next entry.
    for number in 1..=9 {
        let mut log = log();
        let place = log.place(OWN, number);
        let copy = log.items[place].clone();
        log.items.insert(place, copy);
        log.relink(OWN);
        let report = log.verify();
        assert!(matches!(report.bad.unwrap().place, Place::Entry(chain, _) if chain == OWN));
    }
    // In a run's chain the anchor tells.
    let mut log = log();
    let place = log.place(RUN, 5);
    let mut copy = log.items[place].clone();
    let row = copy.row().unwrap();
    let mut entry = Entry::decode(row.body.as_ref().unwrap()).unwrap();
    entry.details.insert("attempt".into(), "other".into());
    row.body = Some(entry.encode());
    log.items.insert(place, copy);
    log.relink(RUN);
    bad_entry(&log.verify(), RUN, 5);
}

#[test]
fn a05_a_tail_that_is_cut_is_found_if_a_checkpoint_covers_it_and_only_then() {
    for cut in 1..=100_u64 {
        let mut log = Log::new();
        (0..150).for_each(|_| log.own("CONNECTION_CHANGED"));
        let uncovered = log.items.clone();
        log.seal(0, None);
        let gone = |items: &[Item]| -> Vec<Item> {
            let mut items = items.to_vec();
            items.retain_mut(|item| item.row().is_none_or(|row| row.number <= 150 - cut));
            items
        };
        bad_entry(&check(&file(&gone(&log.items))), OWN, 151 - cut);
        // The other side: cut before any checkpoint covers it, nothing can tell; the log goes on from there.
        let mut log = Log::new();
        log.items = gone(&uncovered);
        log.heads.insert(OWN.into(), log.items.last_mut().unwrap().row().map(|row| (row.number, row.hash)).unwrap());
        log.seal(0, None);
        assert!(log.verify().is_good());
    }
}

#[test]
fn a05_a_run_that_is_cut_is_found_by_its_anchor() {
    for number in 1..=6 {
        let mut log = log();
        log.items.retain_mut(|item| item.row().is_none_or(|row| row.chain != RUN || row.number < number));
        bad_entry(&log.verify(), RUN, number);
    }
}

#[test]
fn a10_an_entry_of_another_tenant_is_found() {
    let mut log = log();
    let place = log.place(OWN, 5);
    let row = log.items[place].row().unwrap();
    let entry = Entry { tenant: "globex".into(), ..Entry::decode(row.body.as_ref().unwrap()).unwrap() };
    row.body = Some(entry.encode());
    log.relink(OWN);
    bad_entry(&log.verify(), OWN, 5);
    log.items[place].row().unwrap().chain = "tenants/globex".into();
    bad_entry(&log.verify(), "tenants/globex", 5);
    // The whole log shown as another tenant's: its leaf is not that tenant's.
    let whole = String::from_utf8(super::log().file()).unwrap();
    bad_entry(&check(whole.replace("uid-1", "uid-2").as_bytes()), OWN, 1);
    // A run's entry in another run's chain.
    let mut log = super::log();
    let place = log.place(RUN, 2);
    let row = log.items[place].row().unwrap();
    let entry = Entry { chain: "r2".into(), ..Entry::decode(row.body.as_ref().unwrap()).unwrap() };
    row.body = Some(entry.encode());
    log.relink(RUN);
    bad_entry(&log.verify(), RUN, 2);
}

#[test]
fn a12_a_time_that_runs_backwards_is_reported_and_no_error() {
    let mut log = log();
    log.time_ms -= 90_000;
    log.own("CONNECTION_CHANGED");
    log.seal(0, None);
    let report = log.verify();
    assert!(report.is_good());
    assert_eq!(report.anomaly_count, 2, "the entry's and the checkpoint's: {report}");
    // An entry that no checkpoint covers though there were some since.
    let mut log = super::log();
    log.own("LEFT_OUT");
    log.time_ms += 3_600_000;
    log.seal(0, None);
    let first = log.items.clone().iter_mut().rev().find_map(|item| item.seal().cloned()).unwrap();
    assert_eq!(first.entries, 11);
    log.items.last_mut().unwrap().seal().unwrap().entries = 0;
    let report = log.verify();
    assert!(report.is_good() && report.to_string().contains("no checkpoint covers entry 11 on"), "{report}");
}

#[test]
fn a14_every_link_is_checked_also_where_both_ends_are_right() {
    for number in 2..=9 {
        let mut log = log();
        let place = log.place(OWN, number);
        let row = log.items[place].row().unwrap();
        row.body = Some(Entry { actor: "eve".into(), ..Entry::decode(row.body.as_ref().unwrap()).unwrap() }.encode());
        row.body_hash = ferry_ledger::body_hash(row.body.as_ref().unwrap());
        bad_entry(&log.verify(), OWN, number);
    }
}

#[test]
fn a17_what_retention_took_is_said_and_what_anybody_else_took_is_found() {
    let mut log = log();
    log.retain(RUN, 4, "2");
    log.retain(OWN, 1, "3");
    log.seal(0, None);
    let report = log.verify();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.policies.into_iter().collect::<Vec<_>>(), [(2, 4), (3, 1)]);
    assert!(log.verify().to_string().contains("4 entries by policy 2"));
    let place = log.place(RUN, 5);
    log.items[place].row().unwrap().body = None;
    bad_entry(&log.verify(), RUN, 5);
    // A hash of what is gone cannot be exchanged.
    let place = log.place(RUN, 2);
    log.items[place].row().unwrap().body_hash[0] ^= 1;
    bad_entry(&log.verify(), RUN, 2);
}

#[test]
fn a18_an_attempt_has_one_intent_and_then_one_outcome() {
    let append = |kind: &str, attempt: &str| {
        let mut log = Log::new();
        log.own("TENANT_CREATED");
        log.attempt(RUN, "a");
        log.append(RUN, kind, RUN, &[("attempt", attempt)]);
        log.seal(0, None);
        log.verify()
    };
    bad_entry(&append("EGRESS_INTENT", "a"), RUN, 3);
    bad_entry(&append("EGRESS_OUTCOME", "a"), RUN, 3);
    bad_entry(&append("EGRESS_OUTCOME", "b"), RUN, 3);
    assert!(append("EGRESS_INTENT", "b").is_good());
    let mut ended = log();
    ended.append(RUN, "EGRESS_INTENT", RUN, &[("attempt", "late")]);
    bad_entry(&ended.verify(), RUN, 7);
}

#[test]
fn an_anchor_that_lies_is_found() {
    let lie = |entries: &str, head: &str| {
        let mut log = Log::new();
        log.attempt(RUN, "a");
        log.append(OWN, "RUN_ANCHORED", RUN, &[("run_entries", entries), ("run_head", head)]);
        log.seal(0, None);
        log.verify()
    };
    bad_entry(&lie("2", &hex(&[9; 32])), RUN, 1);
    bad_entry(&lie("3", &hex(&[9; 32])), RUN, 3);
    bad_entry(&lie("0", &hex(&[9; 32])), OWN, 1);
    bad_entry(&lie("two", &hex(&[9; 32])), OWN, 1);
    assert!(lie("0", &hex(&[0; 32])).is_good());
}
