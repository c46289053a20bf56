#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::catalogue::Catalogue;
use crate::plan::PlanReader;
use crate::rejected::RejectedReader;
use std::path::Path;

fn spec(folder: &Path, csv: &str, max_members: u64) -> SnapshotSpec {
    let tenant = folder.join("acme");
    std::fs::create_dir_all(&tenant).unwrap();
    std::fs::write(tenant.join("s.csv"), csv).unwrap();
    let catalogue = "[[segment]]\nid = \"s\"\ndisplay_name = \"s\"\nformat = \"csv\"\npath = \"s.csv\"\n";
    std::fs::write(tenant.join("catalogue.toml"), catalogue).unwrap();
    SnapshotSpec {
        segments: Catalogue::load(folder, "acme").unwrap().segments().to_vec(),
        email_column: "email".to_owned(),
        value_columns: vec!["name".to_owned()],
        digest_key: [1; 32],
        max_members,
        pack: PackLimits { max_rows: 2, max_bytes: 60 },
        plan_path: folder.join("run/plan.parquet"),
        rejected_path: folder.join("run/rejected.parquet"),
        file_key: FileKey::new([2; 32]),
        plan_aad: b"plan".to_vec(),
        rejected_aad: b"rejected".to_vec(),
    }
}

fn render(row: &Row<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}={:?}", row.email, row.values).as_bytes());
}

#[test]
fn every_member_is_planned_rejected_or_a_twin() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(100);
    let csv =
        format!("email,name\nA@b.cd,Ada\na@B.CD ,Twin\n,None\nbad,Bad\nragged\ne@f.gh,{long}\ng@h.ij,\nk@l.mn,K\n");
    let spec = spec(folder.path(), &csv, 100);
    let (plan, rejected, key) = (spec.plan_path.clone(), spec.rejected_path.clone(), spec.file_key.clone());
    let summary = build_plan(spec, &render, &SnapshotControl::default()).unwrap();
    assert_eq!((summary.members, summary.rejected, summary.twins, summary.planned), (8, 4, 1, 3));
    assert_eq!(summary.batch_rows.iter().sum::<u32>(), 3);
    let rows = PlanReader::open(&plan, &key, b"plan").unwrap().read(10).unwrap();
    let bodies: Vec<&[u8]> = rows.iter().map(|row| &row.body[..]).collect();
    assert_eq!(bodies, [&b"A@b.cd=[Some(\"Ada\")]"[..], b"g@h.ij=[None]", b"k@l.mn=[Some(\"K\")]"]);
    let reasons: Vec<(Option<u64>, String)> = RejectedReader::page(&rejected, &key, b"rejected", 0, 10)
        .unwrap()
        .into_iter()
        .map(|row| (row.line, row.reason))
        .collect();
    let expected = [(4, "EMAIL_MISSING"), (5, "EMAIL_MALFORMED"), (6, "ROW_RAGGED"), (7, "ROW_TOO_LARGE")];
    assert_eq!(reasons, expected.map(|(line, reason)| (Some(line), reason.to_owned())));
    assert_eq!(RejectedReader::page(&rejected, &key, b"rejected", 3, 10).unwrap().len(), 1);
}

#[test]
fn too_many_members_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), "email,name\na@b.cd,\ne@f.gh,\n", 1);
    let error = build_plan(spec, &render, &SnapshotControl::default()).unwrap_err();
    assert!(matches!(error, SnapshotError::TooManyProfiles { members: 2 }));
    assert_eq!(files(folder.path()), 0);
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("run")).unwrap().count()
}

#[test]
fn a_cancelled_a_broken_and_an_unwritable_snapshot_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let control = SnapshotControl::default();
    control.cancelled.store(true, Ordering::Relaxed);
    let error = build_plan(spec(folder.path(), "email,name\na@b.cd,\n", 9), &render, &control).unwrap_err();
    assert!(matches!(error, SnapshotError::Cancelled));
    assert_eq!(files(folder.path()), 0);
    let half = format!("email,name\n{}a@b.cd,\"open\n", "x@y.zz,\n".repeat(10_000));
    let error = build_plan(spec(folder.path(), &half, 99_999), &render, &SnapshotControl::default()).unwrap_err();
    assert!(error.to_string().contains("segment `s`") && error.to_string().contains("never closed"), "{error}");
    assert_eq!(files(folder.path()), 0);
    // A folder in the plan's place: everything is written, and then it cannot be put there.
    let spec = spec(folder.path(), "email,name\na@b.cd,\n,\n", 9);
    std::fs::create_dir_all(&spec.plan_path).unwrap();
    assert!(matches!(build_plan(spec, &render, &SnapshotControl::default()), Err(SnapshotError::File(_))));
    assert_eq!(files(folder.path()), 1, "but for that folder");
}

#[test]
fn the_same_rows_make_the_same_plan_and_progress_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let control = SnapshotControl::default();
    let text = "email,name\na@b.cd,Ada\nx,\na@b.cd,Ada\n";
    let first = build_plan(spec(folder.path(), text, 9), &render, &control).unwrap();
    assert_eq!((control.members_read.into_inner(), control.planned.into_inner()), (3, 1));
    let again = build_plan(spec(folder.path(), text, 9), &render, &SnapshotControl::default()).unwrap();
    assert_eq!(first.plan_digest, again.plan_digest);
    assert_eq!(first.fingerprints.len(), 1);
}

#[test]
fn no_members_make_an_empty_plan() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), "email,name\n", 9);
    let (plan, key) = (spec.plan_path.clone(), spec.file_key.clone());
    let summary = build_plan(spec, &render, &SnapshotControl::default()).unwrap();
    assert_eq!((summary.members, summary.batch_rows.len()), (0, 0));
    let reader = PlanReader::open(&plan, &key, b"plan").unwrap();
    assert_eq!(reader.verify().unwrap(), summary.plan_digest);
}
