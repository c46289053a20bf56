#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::file_key::FileKey;
use crate::mark::Mark;
use crate::plan::{NewRow, PlanWriter};
use std::path::Path;

const UNSUBSCRIBED: Standing = Standing::Left(Left::Unsubscribed);
const NOW: i64 = 1_800_000_000_000;

fn member(mark: u8) -> Standing {
    Standing::Member(Mark::new([mark; 16]))
}

fn set_field(mark: u8) -> Standing {
    Standing::Left(Left::SetField(Mark::new([mark; 16])))
}

fn place(folder: &Path, name: &str) -> Place {
    Place { path: folder.join(name), key: FileKey::new([5; 32]), aad: b"state".to_vec() }
}

fn identity(number: u32) -> [u8; 16] {
    let mut identity = [0; 16];
    identity[..4].copy_from_slice(&number.to_be_bytes());
    identity
}

fn entry(number: u32) -> StateEntry {
    let refused = Refused { standing: member(3), reason: "R".to_owned(), time_ms: NOW };
    StateEntry {
        identity: identity(number),
        confirmed: [None, Some(member(1)), Some(UNSUBSCRIBED)][number as usize % 3],
        maybe: [member(2), set_field(4), UNSUBSCRIBED][..number as usize % 4].to_vec(),
        refused: number.is_multiple_of(5).then_some(refused),
        email: format!("x{number}@y.zz"),
    }
}

fn write(place: &Place, entries: impl Iterator<Item = StateEntry>) -> StateFile {
    let mut writer = StateWriter::create(place).unwrap();
    entries.for_each(|entry| writer.push(&entry).unwrap());
    StateFile { place: place.clone(), digest: writer.finish().unwrap() }
}

fn read(state: &StateFile, emails: StateEmails) -> Result<Vec<StateEntry>, crate::PlanError> {
    let mut reader = StateReader::open(state, emails)?;
    std::iter::from_fn(|| reader.next_entry().transpose()).collect()
}

#[test]
fn a_state_reads_back_as_it_was_written_with_addresses_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let state = write(&place(folder.path(), "state"), (0..20_000).map(entry));
    assert!(read(&state, StateEmails::Read).unwrap() == (0..20_000).map(entry).collect::<Vec<_>>());
    let without = read(&state, StateEmails::Skipped).unwrap();
    assert!(without.len() == 20_000 && without.iter().all(|entry| entry.email.is_empty()));
    let bytes = std::fs::read(&state.place.path).unwrap();
    assert!(!bytes.windows(5).any(|window| window == b"@y.zz"), "nothing is in the clear");
    assert_eq!(write(&place(folder.path(), "again"), (0..20_000).map(entry)).digest, state.digest);
    assert!(read(&write(&place(folder.path(), "none"), std::iter::empty()), StateEmails::Read).unwrap().is_empty());
}

#[test]
fn another_state_is_an_error_at_the_end_and_another_key_or_owner_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let state = write(&place(folder.path(), "state"), (0..100).map(entry));
    let mut other = state.clone();
    other.digest[31] ^= 1;
    assert!(read(&other, StateEmails::Skipped).is_err());
    for change in [|place: &mut Place| place.aad.push(1), |place: &mut Place| place.key = FileKey::new([6; 32])] {
        let mut other = state.clone();
        change(&mut other.place);
        assert!(StateReader::open(&other, StateEmails::Skipped).is_err());
    }
    let mut writer = StateWriter::create(&place(folder.path(), "disorder")).unwrap();
    writer.push(&entry(2)).unwrap();
    assert!(writer.push(&entry(1)).is_err() && writer.push(&entry(2)).is_err());
    drop(writer);
    assert!(!folder.path().join("disorder.new").exists());
    for field in 0..4 {
        let mut changed = entry(3);
        match field {
            0 => changed.confirmed = Some(member(9)),
            1 => drop(changed.maybe.pop()),
            2 => changed.refused = entry(5).refused,
            _ => changed.identity = identity(4),
        }
        let one = write(&place(folder.path(), "one"), [entry(3)].into_iter());
        assert_ne!(one.digest, write(&place(folder.path(), "other"), [changed].into_iter()).digest, "{field}");
    }
}

/// Members 10, 20, … 50 of a plan as member 7, and a removal of 30 would be in the second section.
fn plan(folder: &Path) -> Place {
    let place = Place { aad: b"plan".to_vec(), ..place(folder, "plan") };
    let mut writer = PlanWriter::create(&place.path, &place.key, &place.aad).unwrap();
    let rows =
        [10, 20, 40, 50].map(|number| (number, member(7))).into_iter().chain([(15, set_field(8)), (30, set_field(8))]);
    for (number, standing) in rows {
        let email = format!("new{number}@y.zz");
        writer.push(&NewRow { identity: identity(number), standing, email: &email, body: b"body" }).unwrap();
    }
    writer.finish().unwrap();
    place
}

#[test]
fn rule_2_a_fold_moves_on_what_was_confirmed_and_keeps_the_rest_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let base = write(&place(folder.path(), "base"), [15, 20, 30, 35].into_iter().map(entry));
    let mut outcomes = Outcomes::none_sent(6);
    outcomes.set(0..2, Outcome::Confirmed);
    outcomes.set(2..3, Outcome::Refused { reason: "BOUNCED", may_be_there: false });
    outcomes.set(4..5, Outcome::Unknown);
    let spec = |to: &str| FoldSpec {
        base: Some(base.clone()),
        plan: plan(folder.path()),
        planned: 4,
        to: place(folder.path(), to),
        now_ms: NOW,
    };
    let folded = fold(&spec("next"), &outcomes).unwrap();
    assert_eq!(folded, fold(&spec("again"), &outcomes).unwrap());
    let next = StateFile { place: place(folder.path(), "next"), digest: folded.digest };
    let found = read(&next, StateEmails::Read).unwrap();
    let known = |number: u32| found.iter().find(|entry| entry.identity == identity(number)).unwrap();
    assert_eq!(found.len(), 6, "10, 15, 20, 30, 35 and 40; of 50 nothing is known");
    let exactly = known(10);
    assert!(exactly.is_exactly(member(7)) && exactly.email == "new10@y.zz" && exactly.refused.is_none());
    let added = known(15);
    assert!(added.confirmed == entry(15).confirmed && added.maybe.last() == Some(&set_field(8)));
    let refused = Refused { standing: member(7), reason: "BOUNCED".to_owned(), time_ms: NOW };
    assert!(known(40).refused == Some(refused) && known(40).maybe.is_empty() && known(40).confirmed.is_none());
    assert!(known(30) == &entry(30) && known(35) == &entry(35), "what was not sent stays");
    assert!(known(20).confirmed == Some(member(7)) && known(20).maybe == [UNSUBSCRIBED], "that is for good");
    let members = found.iter().filter(|entry| entry.may_be_member()).count() as u64;
    assert_eq!((folded.rows, folded.members), (6, members));
}

#[test]
fn outcomes_of_another_plan_make_no_state() {
    let folder = tempfile::tempdir().unwrap();
    for (rows, planned) in [(5, 4), (7, 4), (6, 7)] {
        let to = place(folder.path(), "next");
        let spec = FoldSpec { base: None, plan: plan(folder.path()), planned, to: to.clone(), now_ms: NOW };
        assert!(fold(&spec, &Outcomes::none_sent(rows)).is_err());
        assert!(!to.path.exists());
    }
}

#[test]
fn rule_1_what_may_be_there_is_bounded_and_loses_no_kind() {
    let mut entry = StateEntry { maybe: Vec::new(), confirmed: None, refused: None, ..entry(1) };
    for standing in [set_field(1), UNSUBSCRIBED].into_iter().chain((0..50).map(member)).chain((2..50).map(set_field)) {
        entry.settle(standing, Outcome::Unknown, NOW);
        entry.settle(standing, Outcome::Unknown, NOW);
        assert!(entry.maybe.len() <= 8);
        assert_eq!(entry.maybe.last(), Some(&standing));
    }
    assert!(entry.may_be_member() && entry.may_be_unsubscribed());
    assert!(entry.maybe.iter().any(|standing| matches!(standing, Standing::Left(Left::SetField(_)))));
    entry.settle(set_field(49), Outcome::Refused { reason: "R", may_be_there: true }, NOW);
    assert!(entry.maybe.contains(&set_field(49)) && entry.refused.is_some());
}
