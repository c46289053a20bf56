//! The rules "that keep the account true" that a plan keeps, each by name, and rows that touch no neighbour.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::tests::{Member, bodies, build, kept_back, member, place, spec_of};
use super::*;
use crate::plan::{PlanEntries, PlanReader};
use crate::samples::{Action, read_samples};
use crate::state::{FoldSpec, Left, Outcome, Outcomes, Standing, StateEntry, StateReader, StateWriter, fold};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

fn summary(spec: &SnapshotSpec) -> PlanSummary {
    build(spec, &SnapshotControl::default()).unwrap()
}

/// The state after every row of a plan was confirmed.
fn all_confirmed(folder: &Path, spec: &SnapshotSpec, found: &PlanSummary, name: &str) -> StateFile {
    let mut outcomes = Outcomes::none_sent(found.planned + found.removals);
    outcomes.set(0..outcomes.rows(), Outcome::Confirmed);
    let to = place(folder, name);
    let fold_spec = FoldSpec {
        base: spec.base.clone(),
        plan: spec.plan.clone(),
        planned: found.planned,
        to: to.clone(),
        now_ms: spec.now_ms,
    };
    StateFile { place: to, digest: fold(&fold_spec, &outcomes).unwrap().digest }
}

fn sent(folder: &Path, spec: &SnapshotSpec, name: &str) -> StateFile {
    let found = summary(spec);
    all_confirmed(folder, spec, &found, name)
}

#[test]
fn rule_3_another_renderer_changes_no_row_and_another_mapping_changes_those_that_it_must() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec_of(folder.path(), &[member("a@b.cd", "Ada"), member("e@f.gh", "")]);
    spec.constants.push(ConstantField { field: "7".to_owned(), value: "yes".to_owned() });
    spec.base = Some(sent(folder.path(), &spec, "state"));
    let other = |row: &Row<'_>, out: &mut Vec<u8>| out.extend_from_slice(row.email.as_bytes());
    let renderers = Renderers { member: &other, left: &|_, _| {} };
    let found = build_plan(&spec, &renderers, &SnapshotControl::default()).unwrap();
    assert_eq!((found.unchanged, found.planned), (2, 0));
    spec.fields[0].field = "8".to_owned();
    let mapped = summary(&spec);
    assert_eq!((mapped.changes, mapped.unchanged), (1, 1), "another mapping is sent to those who have the value");
    spec.base = Some(all_confirmed(folder.path(), &spec, &mapped, "mapped"));
    assert_eq!(summary(&spec).unchanged, 2);
    spec.constants[0].value = "no".to_owned();
    assert_eq!(summary(&spec).changes, 2);
}

#[test]
fn rule_4_a_row_that_cannot_go_is_still_a_member_and_one_that_nobody_knows_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [member("a@b.cd", "Ada"), member("e@f.gh", "Bea"), member("i@j.kl", "Cy")];
    let base = sent(folder.path(), &spec_of(folder.path(), &rows), "state");
    let long = [member("a@b.cd", &"x".repeat(100)), member("e@f", "Bea")];
    let left = Leavers::SetField { field: "9".to_owned(), left_value: "no".to_owned() };
    let spec = SnapshotSpec { base: Some(base), leavers: left, ..spec_of(folder.path(), &long) };
    let found = summary(&spec);
    assert_eq!((found.rejected, found.unreadable, found.known, found.removals), (2, 1, 3, 2));
    assert_eq!(found.removal_batch_rows, [2]);
    let mut left = bodies(&spec);
    left.sort_unstable();
    assert_eq!(left, ["e@f.gh left", "i@j.kl left"]);
}

#[test]
fn rule_6_leavers_leave_once_come_back_and_those_unsubscribed_never_do() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [member("a@b.cd", "Ada"), member("e@f.gh", "Bea")];
    let set_field = Leavers::SetField { field: "9".to_owned(), left_value: "no".to_owned() };
    for (leavers, comes_back) in [(set_field, true), (Leavers::Unsubscribe, false)] {
        let spec =
            |rows: &[Member], base| SnapshotSpec { base, leavers: leavers.clone(), ..spec_of(folder.path(), rows) };
        let base = Some(sent(folder.path(), &spec(&rows, None), "one"));
        let one = spec(&rows[..1], base.clone());
        let kept = SnapshotSpec { leavers: Leavers::Keep, ..spec(&rows[..1], base) };
        assert_eq!((summary(&kept).removals, summary(&one).removals), (0, 1));
        let samples = read_samples(one.samples.as_ref().unwrap()).unwrap();
        assert!(samples.len() == 1 && samples[0].action == Action::Remove && samples[0].email == "e@f.gh");
        let base = Some(sent(folder.path(), &one, "two"));
        let again = spec(&rows[..1], base.clone());
        assert_eq!((summary(&again).removals, summary(&again).known), (0, 1));
        for full_resync in [false, true] {
            let back = SnapshotSpec { full_resync, ..spec(&rows, base.clone()) };
            let found = summary(&back);
            assert_eq!((found.adds, found.excluded), if comes_back { (1, 0) } else { (0, 1) });
            let excluded = kept_back(&back);
            assert!(comes_back || excluded == [(Some(2), "PREVIOUSLY_REMOVED".to_owned())]);
        }
    }
}

#[test]
fn rule_7_whoever_another_export_holds_is_not_taken_off_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Member> = (0..40).map(|number| member(&format!("x{number}@b.cd"), "")).collect();
    let spec = |rows: &[Member]| SnapshotSpec { leavers: Leavers::Unsubscribe, ..spec_of(folder.path(), rows) };
    let others = vec![sent(folder.path(), &spec(&rows[..5]), "one"), sent(folder.path(), &spec(&rows[3..9]), "two")];
    let base = Some(sent(folder.path(), &spec(&rows), "state"));
    let mut last = SnapshotSpec { base, others, ..spec(&rows[39..]) };
    let found = summary(&last);
    assert_eq!((found.unchanged, found.removals), (1, 30));
    assert_eq!((found.held_elsewhere, found.refused_before), (9, 0));
    assert!(bodies(&last).iter().all(|body| !["x0@", "x4@", "x8@"].iter().any(|held| body.starts_with(held))));
    last.others[1].digest = [0; 32];
    assert!(matches!(build(&last, &SnapshotControl::default()), Err(SnapshotError::File(_))), "another state");
    last.leavers = Leavers::SetField { field: "9".to_owned(), left_value: "no".to_owned() };
    assert_eq!(summary(&last).removals, 39, "a field of this export's is nobody else's");
}

#[test]
fn a_state_of_somebody_else_or_another_than_was_adopted_makes_no_plan() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec_of(folder.path(), &[member("a@b.cd", "Ada")]);
    let good = sent(folder.path(), &spec, "state");
    let (mut digest, mut aad) = (good.clone(), good.clone());
    digest.digest[0] ^= 1;
    aad.place.aad.push(b'x');
    for bad in [digest, aad] {
        std::fs::remove_dir_all(folder.path().join("run/nothing")).unwrap_or_default();
        spec.plan.path = folder.path().join("run/nothing/plan.parquet");
        spec.rejected.path = folder.path().join("run/nothing/rejected.parquet");
        spec.base = Some(bad);
        assert!(matches!(build(&spec, &SnapshotControl::default()), Err(SnapshotError::File(_))));
        assert_eq!(std::fs::read_dir(folder.path().join("run/nothing")).unwrap().count(), 0);
    }
    let mut entry = StateReader::open(&good, crate::state::StateEmails::Read).unwrap().next_entry().unwrap().unwrap();
    entry.email = "e@f.gh".to_owned();
    let swapped = write_state(folder.path(), "swapped", &[entry]);
    let gone = spec_of(folder.path(), &[]);
    let gone = SnapshotSpec { base: Some(swapped), leavers: Leavers::Unsubscribe, ..gone };
    assert!(build(&gone, &SnapshotControl::default()).is_err(), "an address of another person is removed from nothing");
}

fn write_state(folder: &Path, name: &str, entries: &[StateEntry]) -> StateFile {
    let place = place(folder, name);
    let mut writer = StateWriter::create(&place).unwrap();
    entries.iter().for_each(|entry| writer.push(entry).unwrap());
    StateFile { digest: writer.finish().unwrap(), place }
}

#[test]
fn rows_of_many_megabytes_are_parted_further_and_still_in_order() {
    let folder = tempfile::tempdir().unwrap();
    // Of one mebibyte each: their part is above what is read at once, and has twins in it.
    let name = "x".repeat(1_000_000);
    let rows: Vec<Member> = (0..20).map(|number| member(&format!("x{}@b.cd", number % 15), &name)).collect();
    let pack = PackLimits { max_rows: 250, max_bytes: 2_000_000 };
    let spec = SnapshotSpec { pack, ..spec_of(folder.path(), &rows) };
    let found = summary(&spec);
    assert_eq!((found.planned, found.twins, found.batch_rows.len()), (15, 5, 15));
    let rows = PlanReader::open(&spec.plan.path, &spec.plan.key, &spec.plan.aad).unwrap().read(99).unwrap();
    assert!(rows.is_sorted_by(|one, other| one.identity < other.identity));
}

#[test]
fn members_and_removals_never_share_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Member> = (0..9).map(|number| member(&format!("x{number}@b.cd"), "")).collect();
    let left = Leavers::SetField { field: "9".to_owned(), left_value: "no".to_owned() };
    let pack = PackLimits { max_rows: 4, max_bytes: 4_000 };
    let base = Some(sent(folder.path(), &spec_of(folder.path(), &rows[..5]), "state"));
    let spec = SnapshotSpec { base, pack, leavers: left, ..spec_of(folder.path(), &rows[5..]) };
    let found = summary(&spec);
    assert_eq!((found.planned, found.removals), (4, 5));
    assert_eq!((found.batch_rows, found.removal_batch_rows), (vec![4], vec![3, 2]));
    let mut removals = PlanEntries::open(&spec.plan, 4..9).unwrap();
    while let Some(entry) = removals.next_entry().unwrap() {
        assert!(matches!(entry.standing, Standing::Left(Left::SetField(_))));
    }
}

fn json(row: &Row<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::json!({"email": row.email, "values": row.values}).to_string().as_bytes());
}

/// Each person's bytes, and whether every batch keeps the limits.
fn plan_of(folder: &Path, rows: &[Member]) -> (BTreeMap<[u8; 16], Vec<u8>>, bool) {
    let pack = PackLimits { max_rows: 250, max_bytes: 3_000 };
    let spec = SnapshotSpec { pack, ..spec_of(folder, rows) };
    let renderers = Renderers { member: &json, left: &|_, _| {} };
    let found = build_plan(&spec, &renderers, &SnapshotControl::default()).unwrap();
    let mut reader = PlanReader::open(&spec.plan.path, &spec.plan.key, &spec.plan.aad).unwrap();
    let mut fits = true;
    let mut people = BTreeMap::new();
    for rows in found.batch_rows {
        let rows = reader.read(rows as usize).unwrap();
        let bytes: usize = rows.iter().map(|row| row.body.len()).sum();
        fits &= rows.len() <= 250 && bytes + rows.len() - 1 <= 3_000;
        people.extend(rows.into_iter().map(|row| (row.identity, row.body.to_vec())));
    }
    (people, fits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_hostile_row_changes_no_byte_of_its_neighbours(
        email in prop_oneof![any::<String>(), "[\\s\u{0}a-zé\"@.(),\u{200b}]{0,12}@b\\.cd[\\s\u{feff}]{0,2}"],
        value in prop_oneof![any::<String>(), "[\u{0}\"\\\\]{0,900}", "x{2000,4000}"],
        neighbours in proptest::collection::vec("[\u{0}-\u{7f}]{0,300}", 1..20),
        place in any::<proptest::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let numbered = neighbours.iter().enumerate();
        let mut rows: Vec<Member> =
            numbered.map(|(number, name)| member(&format!("neighbour{number}@b.cd"), name)).collect();
        let (without, fits) = plan_of(folder.path(), &rows);
        prop_assert!(fits && without.len() == rows.len());
        rows.insert(place.index(rows.len() + 1), member(&email, &value));
        let (with, fits) = plan_of(folder.path(), &rows);
        prop_assert!(fits);
        prop_assert!(with.len() <= without.len() + 1);
        prop_assert!(without.iter().all(|(identity, body)| with.get(identity) == Some(body)));
    }
}
