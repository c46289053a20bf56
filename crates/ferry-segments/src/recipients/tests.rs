#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::sealed::PlanError;
use crate::state::{Outcome, Outcomes};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Digests are uniform, so these are spread over the whole range, and their order is not that of their numbers.
fn identity(number: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B1).to_be_bytes());
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn holder() -> Holder {
    let text = str::to_owned;
    let (connection, connection_uid, host) = (text("ac"), text("c-uid"), text("acme.api-us1.com"));
    Holder { connection, connection_uid, host, list: 3, export: text("spring"), export_uid: text("e-uid") }
}

fn set(fields: &[&str], purpose: &str) -> FieldSet {
    FieldSet::new(fields.iter().map(|field| (*field).to_owned()), purpose)
}

/// Writes the index of these members and removals.
fn index(path: &Path, members: &BTreeSet<[u8; 16]>, removals: &BTreeSet<[u8; 16]>) -> PlanIndex {
    let mut writer = IndexWriter::create(path).unwrap();
    members.iter().chain(removals).for_each(|identity| writer.write(identity).unwrap());
    writer.finish(members.len() as u64, removals.len() as u64, &[9; 32]).unwrap();
    PlanIndex::open(path, &[9; 32]).unwrap()
}

fn spec<'a>(base: Option<&'a RecipientsFile>, index: &'a PlanIndex, now_ms: i64, to: &Path) -> RecipientsFold<'a> {
    let members = set(&["email", "first_name"], "Spring");
    let times = SentTimes::new(now_ms);
    RecipientsFold { base, index, holder: holder(), members, removals: Removals::TakeOff, times, to: to.to_owned() }
}

fn fold(spec: &RecipientsFold<'_>, outcomes: &Outcomes) -> RecipientsFile {
    let folded = fold_recipients(spec, outcomes, &FolderLock::take(&spec.to).unwrap()).unwrap();
    RecipientsFile { path: spec.to.clone(), digest: folded.digest }
}

#[test]
fn an_index_finds_the_ordinal_of_members_and_of_removals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.index");
    for (members, removals) in [(0, 0), (1, 0), (0, 1), (64, 65), (1_000, 200)] {
        let members: BTreeSet<_> = (0..members).map(identity).collect();
        let removals: BTreeSet<_> = (5_000..5_000 + removals).map(identity).collect();
        let index = index(&path, &members, &removals);
        for (ordinal, identity) in members.iter().chain(&removals).enumerate() {
            assert_eq!(index.find(identity).unwrap(), Some(ordinal as u64));
        }
        for nobody in [[0; 16], [255; 16], identity(9_999)] {
            assert_eq!(index.find(&nobody).unwrap(), members.contains(&nobody).then_some(0));
        }
        assert_eq!(index.rows(), (members.len() as u64, removals.len() as u64));
        index.verify().unwrap();
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(PlanIndex::open(&path, &[8; 32]).is_err(), "the index of another plan");
}

#[test]
fn an_unfinished_file_leaves_nothing_and_a_changed_one_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.index");
    let mut writer = IndexWriter::create(&path).unwrap();
    writer.write(&[1; 1_000_000]).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let people = (0..100).map(identity).collect();
    let plan = index(&path, &people, &BTreeSet::new());
    let mut outcomes = Outcomes::none_sent(100);
    outcomes.set(0..100, Outcome::Confirmed);
    let file = fold(&spec(None, &plan, 1, &folder.path().join("recipients-1.bin")), &outcomes);
    for (path, opens) in [
        (&path, &(|| PlanIndex::open(&path, &[9; 32])?.verify()) as &dyn Fn() -> Result<(), PlanError>),
        (&file.path, &|| RecipientsReader::open(&file)?.verify()),
    ] {
        let whole = std::fs::read(path).unwrap();
        opens().unwrap();
        for place in (0..64).chain((64..whole.len()).step_by(7)) {
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            std::fs::write(path, &changed).unwrap();
            assert!(opens().is_err(), "byte {place}");
        }
        for length in [0, 10, 64, whole.len() - 1] {
            std::fs::write(path, &whole[..length]).unwrap();
            assert!(opens().is_err(), "{length} bytes");
        }
        std::fs::write(path, &whole).unwrap();
    }
}

#[test]
fn fields_are_those_of_all_times_and_the_purpose_is_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let (one, both) = (BTreeSet::from([identity(1)]), BTreeSet::from([identity(1), identity(2)]));
    let (first, nobody) = (folder.path().join("1"), BTreeSet::new());
    let mut outcomes = Outcomes::none_sent(2);
    outcomes.set(0..2, Outcome::Confirmed);
    let plan = index(&folder.path().join("plan.index"), &both, &nobody);
    let base = fold(&spec(None, &plan, 10, &first), &outcomes);
    let plan = index(&folder.path().join("plan.index"), &one, &nobody);
    let members = set(&["phone", "email"], "Summer");
    let next = RecipientsFold { members, ..spec(Some(&base), &plan, 20, &folder.path().join("2")) };
    let mut outcomes = Outcomes::none_sent(1);
    outcomes.set(0..1, Outcome::Unknown);
    let found = RecipientsReader::open(&fold(&next, &outcomes)).unwrap();
    let (moved, kept) = (found.find(&identity(1)).unwrap().unwrap(), found.find(&identity(2)).unwrap().unwrap());
    assert_eq!(moved.set, set(&["email", "first_name", "phone"], "Summer"));
    assert_eq!((moved.first_ms, moved.last_ms, moved.presence), (10, 20, Presence::There));
    assert_eq!(kept.set, set(&["email", "first_name"], "Spring"));
    assert_eq!((kept.first_ms, kept.last_ms), (10, 10));
    assert_eq!((found.holder(), found.rows()), (&holder(), 2));
    // To tell people by a field that they left is to send something, and takes nobody off.
    let plan = index(&folder.path().join("plan.index"), &nobody, &one);
    let base = RecipientsFile { path: next.to.clone(), digest: fold(&next, &outcomes).digest };
    let left = Removals::Send(set(&["member"], "Autumn"));
    let next = RecipientsFold { removals: left, ..spec(Some(&base), &plan, 30, &folder.path().join("3")) };
    outcomes.set(0..1, Outcome::Confirmed);
    let found = RecipientsReader::open(&fold(&next, &outcomes)).unwrap().find(&identity(1)).unwrap().unwrap();
    assert_eq!((found.last_ms, found.presence), (30, Presence::There));
    assert_eq!(found.set, set(&["email", "first_name", "member", "phone"], "Autumn"));
}

#[test]
fn sets_that_nobody_has_any_more_go() {
    let folder = tempfile::tempdir().unwrap();
    let one = BTreeSet::from([identity(1)]);
    let plan = index(&folder.path().join("plan.index"), &one, &BTreeSet::new());
    let mut outcomes = Outcomes::none_sent(1);
    outcomes.set(0..1, Outcome::Confirmed);
    let mut base: Option<RecipientsFile> = None;
    for run in 0..50 {
        let to = folder.path().join(format!("{run}"));
        let members = set(&["email"], &format!("purpose {run}"));
        let next = RecipientsFold { members, ..spec(base.as_ref(), &plan, run, &to) };
        base = Some(fold(&next, &outcomes));
    }
    let found = RecipientsReader::open(&base.unwrap()).unwrap();
    assert!(found.context.sets.len() <= 4, "{} sets", found.context.sets.len());
}

#[test]
fn who_is_forgotten_is_nowhere_and_all_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let people: BTreeSet<_> = (0..500).map(identity).collect();
    let plan = index(&folder.path().join("plan.index"), &people, &BTreeSet::new());
    let mut outcomes = Outcomes::none_sent(500);
    outcomes.set(0..500, Outcome::Confirmed);
    let base = fold(&spec(None, &plan, 1, &folder.path().join("1")), &outcomes);
    let mut gone = [identity(7), identity(400), identity(9_999)];
    gone.sort_unstable();
    let path = folder.path().join("2");
    let forgotten = forget(&base, &gone, path.clone(), &FolderLock::take(&path).unwrap()).unwrap();
    assert_eq!(forgotten.rows, 498);
    for identity in &gone {
        assert!(!std::fs::read(&path).unwrap().windows(16).any(|bytes| bytes == identity));
    }
    let found = RecipientsReader::open(&RecipientsFile { path, digest: forgotten.digest }).unwrap();
    let known = people.iter().filter(|identity| found.find(identity).unwrap().is_some()).count();
    assert_eq!(known, 498);
}

#[test]
fn one_at_a_time_makes_the_next_file_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let held = FolderLock::take(&folder.path().join("a/recipients-1.bin")).unwrap();
    let _of_another_folder = FolderLock::take(&folder.path().join("b/recipients-1.bin")).unwrap();
    let second = std::fs::File::open(folder.path().join("a/lock")).unwrap();
    assert!(second.try_lock().is_err());
    drop(held);
    second.try_lock().unwrap();
}

#[test]
fn inputs_that_do_not_belong_together_make_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let people: BTreeSet<_> = (0..10).map(identity).collect();
    let plan = index(&folder.path().join("plan.index"), &people, &BTreeSet::new());
    let to = folder.path().join("recipients-1.bin");
    let lock = FolderLock::take(&to).unwrap();
    assert!(fold_recipients(&spec(None, &plan, 1, &to), &Outcomes::none_sent(9), &lock).is_err());
    drop(lock);
    let mut outcomes = Outcomes::none_sent(10);
    outcomes.set(0..10, Outcome::Confirmed);
    let base = fold(&spec(None, &plan, 1, &to), &outcomes);
    let other = RecipientsFile { digest: [1; 32], ..base };
    let next = folder.path().join("recipients-2.bin");
    let lock = FolderLock::take(&next).unwrap();
    assert!(fold_recipients(&spec(Some(&other), &plan, 1, &next), &outcomes, &lock).is_err());
    assert!(!next.exists());
}

/// What one row came to, as the model sees it.
#[derive(Debug, Clone, Copy)]
enum Came {
    NotSent,
    Confirmed,
    Refused,
    RefusedMaybe,
    Unknown,
}

impl Came {
    fn outcome(self) -> Outcome<'static> {
        match self {
            Self::NotSent => Outcome::NotSent,
            Self::Confirmed => Outcome::Confirmed,
            Self::Refused => Outcome::Refused { reason: "R", may_be_there: false },
            Self::RefusedMaybe => Outcome::Refused { reason: "R", may_be_there: true },
            Self::Unknown => Outcome::Unknown,
        }
    }
}

#[derive(Debug, Clone)]
struct Run {
    /// Whether each person is put, and what came of it.
    rows: BTreeMap<u32, (bool, Came)>,
    fields: Vec<&'static str>,
}

fn run() -> impl Strategy<Value = Run> {
    let came = prop_oneof![
        Just(Came::NotSent),
        Just(Came::Confirmed),
        Just(Came::Refused),
        Just(Came::RefusedMaybe),
        Just(Came::Unknown)
    ];
    let rows = prop::collection::btree_map(0_u32..40, (any::<bool>(), came), 0..30);
    let fields = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    (rows, fields).prop_map(|(rows, fields)| Run { rows, fields })
}

/// What the model knows of a person: first and last time, fields, whether they may be there, whether that is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    first: i64,
    last: i64,
    fields: BTreeSet<&'static str>,
    there: bool,
    certain: bool,
}

fn move_on(known: &mut BTreeMap<u32, Known>, run: &Run, now: i64) {
    for (person, (put, came)) in &run.rows {
        if matches!(came, Came::NotSent) {
            continue;
        }
        let fields = if *put { run.fields.iter().copied().collect() } else { BTreeSet::new() };
        let new = Known { first: now, last: now, fields: BTreeSet::new(), there: !put, certain: *put };
        let entry = known.entry(*person).or_insert(new);
        if *put {
            entry.last = now;
            entry.fields.extend(fields);
        }
        let (was_there, was_certain) = (entry.there, entry.certain);
        (entry.there, entry.certain) = match (put, came) {
            (true, Came::Confirmed) => (true, true),
            (true, Came::Unknown | Came::RefusedMaybe) => (true, was_there && was_certain),
            (false, Came::Confirmed) => (false, true),
            (false, Came::Unknown | Came::RefusedMaybe) => (was_there || !was_certain, was_certain && !was_there),
            (_, Came::Refused | Came::NotSent) => (was_there, was_certain),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn folding_is_what_a_map_of_people_would_do(runs in prop::collection::vec(run(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let (mut base, mut known): (Option<RecipientsFile>, _) = (None, BTreeMap::new());
        for (number, run) in (1_i64..).zip(&runs) {
            let part = |put: bool| run.rows.iter().filter(move |(_, row)| row.0 == put).map(|(person, _)| identity(*person)).collect();
            let (members, removals): (BTreeSet<_>, BTreeSet<_>) = (part(true), part(false));
            let plan = index(&folder.path().join("plan.index"), &members, &removals);
            let mut outcomes = Outcomes::none_sent(run.rows.len() as u64);
            for (person, (_, came)) in &run.rows {
                let ordinal = plan.find(&identity(*person)).unwrap().unwrap();
                outcomes.set(ordinal..ordinal + 1, came.outcome());
            }
            let fold_to = |name: String| {
                let to = folder.path().join(name);
                let members = set(&run.fields, "p");
                RecipientsFold { members, ..spec(base.as_ref(), &plan, number, &to) }
            };
            let next = fold(&fold_to(format!("recipients-{number}.bin")), &outcomes);
            let again = fold(&fold_to("again".to_owned()), &outcomes);
            prop_assert_eq!(std::fs::read(&next.path).unwrap(), std::fs::read(&again.path).unwrap());
            move_on(&mut known, run, number);
            base = Some(next);
        }
        let found = RecipientsReader::open(&base.unwrap()).unwrap();
        found.verify().unwrap();
        prop_assert_eq!(found.rows(), known.len() as u64);
        for person in 0..40 {
            let row = found.find(&identity(person)).unwrap();
            prop_assert_eq!(row.is_some(), known.contains_key(&person));
            let Some((row, known)) = row.zip(known.get(&person)) else { continue };
            let fields: BTreeSet<&str> = row.set.fields.iter().map(String::as_str).collect();
            prop_assert_eq!((row.first_ms, row.last_ms, &fields), (known.first, known.last, &known.fields));
            prop_assert_eq!(row.presence.may_be_there(), known.there, "{:?}", row.presence);
            let certain = !matches!(row.presence, Presence::MayBeThere | Presence::MayBeTakenOff);
            prop_assert_eq!(certain, known.certain, "{:?}", row.presence);
        }
    }
}
