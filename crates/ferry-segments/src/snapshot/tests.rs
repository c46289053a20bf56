#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::catalogue::Catalogue;
use crate::file_key::FileKey;
use crate::plan::PlanReader;
use crate::rejected::RejectedReader;
use std::path::Path;

/// A row of a segment: its cells as they are written.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) email: String,
    pub(super) name: String,
}

pub(super) fn member(email: &str, name: &str) -> Member {
    Member { email: email.to_owned(), name: name.to_owned() }
}

pub(super) fn place(folder: &Path, name: &str) -> Place {
    let path = folder.join(format!("run/{name}.parquet"));
    Place { path, key: FileKey::new([2; 32]), aad: name.as_bytes().to_vec() }
}

/// A segment of these rows, as JSON lines, which can hold every text.
pub(super) fn spec_of(folder: &Path, rows: &[Member]) -> SnapshotSpec {
    let line = |row: &Member| serde_json::json!({"email": row.email, "name": row.name}).to_string() + "\n";
    spec_with(folder, "jsonl", &rows.iter().map(line).collect::<String>())
}

fn spec(folder: &Path, csv: &str, max_members: u64) -> SnapshotSpec {
    SnapshotSpec { max_members, ..spec_with(folder, "csv", csv) }
}

fn spec_with(folder: &Path, format: &str, text: &str) -> SnapshotSpec {
    let tenant = folder.join("acme");
    std::fs::create_dir_all(&tenant).unwrap();
    std::fs::write(tenant.join("s"), text).unwrap();
    let catalogue = format!("[[segment]]\nid = \"s\"\ndisplay_name = \"s\"\nformat = \"{format}\"\npath = \"s\"\n");
    std::fs::write(tenant.join("catalogue.toml"), catalogue).unwrap();
    SnapshotSpec {
        segments: Catalogue::load(folder, "acme").unwrap().segments().to_vec(),
        email_column: "email".to_owned(),
        fields: vec![MappedField { column: "name".to_owned(), field: "first_name".to_owned() }],
        constants: Vec::new(),
        digest_key: [1; 32],
        max_members: 1_000_000,
        pack: PackLimits { max_rows: 2, max_bytes: 60 },
        base: None,
        others: Vec::new(),
        suppressed: std::collections::HashSet::new(),
        leavers: Leavers::Keep,
        full_resync: false,
        now_ms: 1_800_000_000_000,
        plan: place(folder, "plan"),
        rejected: place(folder, "rejected"),
        samples: Some(place(folder, "samples")),
    }
}

fn render(row: &Row<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}={:?}", row.email, row.values).as_bytes());
}

pub(super) fn build(spec: &SnapshotSpec, control: &SnapshotControl) -> Result<PlanSummary, SnapshotError> {
    let left = |email: &str, out: &mut Vec<u8>| out.extend_from_slice(format!("{email} left").as_bytes());
    build_plan(spec, &Renderers { member: &render, left: &left }, control)
}

pub(super) fn bodies(spec: &SnapshotSpec) -> Vec<String> {
    let rows = PlanReader::open(&spec.plan.path, &spec.plan.key, &spec.plan.aad).unwrap().read(usize::MAX).unwrap();
    rows.iter().map(|row| String::from_utf8(row.body.to_vec()).unwrap()).collect()
}

pub(super) fn kept_back(spec: &SnapshotSpec) -> Vec<(Option<u64>, String)> {
    let place = &spec.rejected;
    let rows = RejectedReader::page(&place.path, &place.key, &place.aad, 0, usize::MAX).unwrap();
    rows.into_iter().map(|row| (row.line, row.reason)).collect()
}

#[test]
fn every_member_is_planned_rejected_or_a_twin() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(100);
    let csv =
        format!("email,name\nA@b.cd,Ada\na@B.CD ,Twin\n,None\nbad,Bad\nragged\ne@f.gh,{long}\ng@h.ij,\nk@l.mn,K\n");
    let spec = spec(folder.path(), &csv, 100);
    let summary = build(&spec, &SnapshotControl::default()).unwrap();
    assert_eq!((summary.members, summary.rejected, summary.twins, summary.planned), (8, 4, 1, 3));
    let by = [("EMAIL_MALFORMED", 1), ("EMAIL_MISSING", 1), ("ROW_RAGGED", 1), ("ROW_TOO_LARGE", 1)];
    assert_eq!(summary.rejected_by, by.into());
    assert_eq!((summary.unreadable, summary.adds, summary.known), (3, 3, 0));
    assert_eq!(summary.batch_rows.iter().sum::<u32>(), 3);
    let mut found = bodies(&spec);
    found.sort_unstable();
    assert_eq!(found, ["A@b.cd=[Some(\"Ada\")]", "g@h.ij=[None]", "k@l.mn=[Some(\"K\")]"]);
    let expected = [(4, "EMAIL_MISSING"), (5, "EMAIL_MALFORMED"), (6, "ROW_RAGGED"), (7, "ROW_TOO_LARGE")];
    assert_eq!(kept_back(&spec), expected.map(|(line, reason)| (Some(line), reason.to_owned())));
    assert!(crate::samples::read_samples(spec.samples.as_ref().unwrap()).is_ok_and(|samples| samples.len() == 3));
}

#[test]
fn e17_one_member_too_many_leaves_no_file_and_as_many_as_may_be_are_planned() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), "email,name\na@b.cd,\ne@f.gh,\n", 1);
    let error = build(&spec, &SnapshotControl::default()).unwrap_err();
    assert!(matches!(error, SnapshotError::TooManyProfiles { members: 2 }));
    assert_eq!(files(folder.path()), 0);
    let at_the_limit = build(&SnapshotSpec { max_members: 2, ..spec }, &SnapshotControl::default()).unwrap();
    assert_eq!((at_the_limit.members, at_the_limit.planned), (2, 2));
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("run")).unwrap().count()
}

#[test]
fn a_cancelled_a_broken_and_an_unwritable_snapshot_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let control = SnapshotControl::default();
    control.cancelled.store(true, Ordering::Relaxed);
    let error = build(&spec(folder.path(), "email,name\na@b.cd,\n", 9), &control).unwrap_err();
    assert!(matches!(error, SnapshotError::Cancelled));
    assert_eq!(files(folder.path()), 0);
    let half = format!("email,name\n{}a@b.cd,\"open\n", "x@y.zz,\n".repeat(10_000));
    let error = build(&spec(folder.path(), &half, 99_999), &SnapshotControl::default()).unwrap_err();
    assert!(error.to_string().contains("segment `s`") && error.to_string().contains("never closed"), "{error}");
    assert_eq!(files(folder.path()), 0);
    // A folder in the plan's place: everything is written, and then it cannot be put there.
    let spec = spec(folder.path(), "email,name\na@b.cd,\n,\n", 9);
    std::fs::create_dir_all(&spec.plan.path).unwrap();
    assert!(matches!(build(&spec, &SnapshotControl::default()), Err(SnapshotError::File(_))));
    assert_eq!(files(folder.path()), 1, "but for that folder");
}

#[test]
fn the_same_rows_make_the_same_plan_and_progress_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let control = SnapshotControl::default();
    let text = "email,name\na@b.cd,Ada\nx,\na@b.cd,Ada\n";
    let first = build(&spec(folder.path(), text, 9), &control).unwrap();
    assert_eq!((control.members_read.into_inner(), control.planned.into_inner()), (3, 1));
    let again = build(&spec(folder.path(), text, 9), &SnapshotControl::default()).unwrap();
    assert_eq!(first.plan_digest, again.plan_digest);
    assert_eq!(first.fingerprints.len(), 1);
}

#[test]
fn no_members_make_an_empty_plan() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), "email,name\n", 9);
    let summary = build(&spec, &SnapshotControl::default()).unwrap();
    assert_eq!((summary.members, summary.batch_rows.len()), (0, 0));
    let reader = PlanReader::open(&spec.plan.path, &spec.plan.key, b"plan").unwrap();
    assert_eq!(reader.verify().unwrap(), summary.plan_digest);
}

#[test]
fn a_plan_that_is_cancelled_while_it_compares_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Member> = (0..5_000).map(|number| member(&format!("x{number}@b.cd"), "")).collect();
    let spec = spec_of(folder.path(), &rows);
    let calls = AtomicU64::new(0);
    let control = SnapshotControl::default();
    let cancelling = |_: &Row<'_>, out: &mut Vec<u8>| {
        // The first pass renders each row as well, because the limit is that low.
        if calls.fetch_add(1, Ordering::Relaxed) == 5_000 {
            control.cancelled.store(true, Ordering::Relaxed);
        }
        out.push(b'x');
    };
    let renderers = Renderers { member: &cancelling, left: &|_, _| {} };
    assert!(matches!(build_plan(&spec, &renderers, &control), Err(SnapshotError::Cancelled)));
    assert!(calls.into_inner() < 5_000 + 1_100, "it looks every thousand people");
    assert_eq!(files(folder.path()), 0);
}
