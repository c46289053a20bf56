//! A plan that takes people off a list and reads no segment. The state tells whom, and their addresses.

use super::others::Others;
use super::{PlanSummary, SnapshotControl, SnapshotError, check};
use crate::pack::{PackLimits, Packer};
use crate::plan::{NewRow, PlanWriter};
use crate::sealed::Place;
use crate::state::{Left, Standing, StateEmails, StateEntry, StateFile, StateReader};
use std::sync::atomic::Ordering;

/// People between two looks at whether to stop.
const LOOK: u64 = 1_024;

/// What such a plan is made from and where it goes.
pub struct TakingOffSpec {
    /// What the export knows to be on the list; nothing for nothing.
    pub base: Option<StateFile>,
    /// What other exports know to be on it: whom they hold there stays.
    pub others: Vec<StateFile>,
    /// Only this person, by identity; all for nothing.
    pub one: Option<[u8; 16]>,
    /// The tenant's key for identity digests.
    pub digest_key: [u8; 32],
    /// What a batch may hold.
    pub pack: PackLimits,
    /// Where the plan goes.
    pub plan: Place,
}

/// Writes the plan: removals alone, of all who are, or may be, on the list. `left` renders one. On an error no file is
/// left.
pub fn plan_taking_off(
    spec: &TakingOffSpec,
    left: &dyn Fn(&str, &mut Vec<u8>),
    control: &SnapshotControl,
) -> Result<PlanSummary, SnapshotError> {
    let mut others = Others::new(&spec.others);
    let mut writer = PlanWriter::create(&spec.plan.path, &spec.plan.key, &spec.plan.aad)?;
    let (mut packer, mut body, mut seen) = (Packer::new(spec.pack), Vec::new(), 0_u64);
    let mut made = PlanSummary::default();
    let mut state = spec.base.as_ref().map(|base| StateReader::open(base, StateEmails::Read)).transpose()?;
    // To the end, whoever is looked for: only there it is known that the state is the one that was adopted.
    while let Some(entry) = state.as_mut().map(StateReader::next_entry).transpose()?.flatten() {
        seen += 1;
        if seen.is_multiple_of(LOOK) {
            check(control)?;
        }
        made.known += u64::from(entry.may_be_member());
        made.unsubscribed += u64::from(entry.may_be_unsubscribed());
        if !is_due(spec, &entry) {
            continue;
        }
        if others.hold(&entry.identity)? {
            made.held_elsewhere += 1;
            continue;
        }
        let email = entry.address(&spec.digest_key)?;
        body.clear();
        left(email, &mut body);
        packer.push(body.len());
        let standing = Standing::Left(Left::Unsubscribed);
        writer.push(&NewRow { identity: entry.identity, standing, email, body: &body })?;
        made.removals += 1;
        control.planned.store(made.removals, Ordering::Relaxed);
    }
    others.finish()?;
    check(control)?;
    made.removal_batch_rows = packer.finish();
    made.plan_digest = writer.finish()?;
    Ok(made)
}

fn is_due(spec: &TakingOffSpec, entry: &StateEntry) -> bool {
    spec.one.is_none_or(|one| one == entry.identity) && entry.may_be_on_list()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::file_key::FileKey;
    use crate::mark::Mark;
    use crate::normalise::{Email, identity_digest};
    use crate::plan::PlanReader;
    use crate::state::StateWriter;
    use std::path::Path;

    const KEY: [u8; 32] = [9; 32];
    const UNSUBSCRIBED: Standing = Standing::Left(Left::Unsubscribed);
    const MEMBER: Standing = Standing::Member(Mark::new([1; 16]));
    const MARKED: Standing = Standing::Left(Left::SetField(Mark::new([2; 16])));

    fn place(folder: &Path, name: &str) -> Place {
        Place { path: folder.join(name), key: FileKey::new([5; 32]), aad: name.as_bytes().to_vec() }
    }

    fn identity(email: &str) -> [u8; 16] {
        identity_digest(&KEY, &Email::parse(email).unwrap())
    }

    type Person<'a> = (&'a str, Option<Standing>, &'a [Standing]);

    fn state(folder: &Path, name: &str, people: &[Person<'_>]) -> StateFile {
        let entry = |(email, confirmed, maybe): &Person<'_>| StateEntry {
            identity: identity(email),
            confirmed: *confirmed,
            maybe: maybe.to_vec(),
            refused: None,
            email: (*email).to_owned(),
        };
        let mut entries: Vec<StateEntry> = people.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.identity);
        let place = place(folder, name);
        let mut writer = StateWriter::create(&place).unwrap();
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        StateFile { place, digest: writer.finish().unwrap() }
    }

    /// The bodies of the plan, which are the addresses.
    fn taken_off(spec: &TakingOffSpec) -> (PlanSummary, Vec<String>) {
        let left = |email: &str, out: &mut Vec<u8>| out.extend_from_slice(email.as_bytes());
        let made = plan_taking_off(spec, &left, &SnapshotControl::default()).unwrap();
        let mut plan = PlanReader::open(&spec.plan.path, &spec.plan.key, &spec.plan.aad).unwrap();
        let rows = plan.read(100).unwrap();
        let mut bodies: Vec<_> = rows.iter().map(|row| String::from_utf8(row.body.to_vec()).unwrap()).collect();
        bodies.sort();
        (made, bodies)
    }

    fn spec(folder: &Path, one: Option<&str>) -> TakingOffSpec {
        let people: [Person<'_>; 6] = [
            ("member@y.zz", Some(MEMBER), &[]),
            ("perhaps@y.zz", None, &[MEMBER]),
            ("marked@y.zz", Some(MARKED), &[]),
            ("gone@y.zz", Some(UNSUBSCRIBED), &[]),
            ("almost@y.zz", Some(MEMBER), &[UNSUBSCRIBED]),
            ("never@y.zz", None, &[]),
        ];
        TakingOffSpec {
            base: Some(state(folder, "base", &people)),
            others: vec![state(folder, "other", &[("perhaps@y.zz", Some(MEMBER), &[]), ("x@y.zz", Some(MEMBER), &[])])],
            one: one.map(identity),
            digest_key: KEY,
            pack: PackLimits { max_rows: 2, max_bytes: 1_000 },
            plan: place(folder, "plan"),
        }
    }

    #[test]
    fn rule_1_all_who_are_or_may_be_on_the_list_are_taken_off_but_whom_another_export_holds() {
        let folder = tempfile::tempdir().unwrap();
        let (made, bodies) = taken_off(&spec(folder.path(), None));
        assert_eq!(bodies, ["almost@y.zz", "marked@y.zz", "member@y.zz"]);
        assert_eq!((made.members, made.planned, made.removals, made.held_elsewhere), (0, 0, 3, 1));
        assert!(made.batch_rows.is_empty() && made.removal_batch_rows == [2, 1]);
        let alone = TakingOffSpec { others: Vec::new(), ..spec(folder.path(), None) };
        assert_eq!(taken_off(&alone).1, ["almost@y.zz", "marked@y.zz", "member@y.zz", "perhaps@y.zz"]);
    }

    #[test]
    fn one_person_is_taken_off_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        for (person, due) in [("perhaps@y.zz", true), ("marked@y.zz", true), ("gone@y.zz", false), ("no@y.zz", false)] {
            let spec = TakingOffSpec { others: Vec::new(), ..spec(folder.path(), Some(person)) };
            let (made, bodies) = taken_off(&spec);
            assert_eq!((made.removals, bodies.len()), (u64::from(due), usize::from(due)), "{person}");
            assert!(bodies.iter().all(|body| body == person));
        }
        let nothing = TakingOffSpec { base: None, ..spec(folder.path(), None) };
        assert_eq!(taken_off(&nothing).0.removals, 0);
    }

    #[test]
    fn another_state_than_the_adopted_one_makes_no_plan() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path(), None);
        if let Some(base) = &mut spec.base {
            base.digest[0] ^= 1;
        }
        assert!(plan_taking_off(&spec, &|_, _| (), &SnapshotControl::default()).is_err());
        assert!(!spec.plan.path.exists());
    }
}
