#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::file_key::FileKey;
use crate::mark::Mark;
use crate::sealed::Place;
use std::path::Path;

const ROWS: usize = 20_000;

fn push(writer: &mut PlanWriter, identity: u8, body: &[u8]) {
    let standing = Standing::Member(Mark::new([identity; 16]));
    writer.push(&NewRow { identity: [identity; 16], standing, email: "a@b.cd", body }).unwrap();
}

fn write(path: &Path) -> [u8; 32] {
    let mut writer = PlanWriter::create(path, &FileKey::new([7; 32]), b"aad").unwrap();
    for row in 0..ROWS {
        push(&mut writer, u8::try_from(row % 251).unwrap(), format!("row {row}").as_bytes());
    }
    writer.finish().unwrap()
}

#[test]
fn rows_come_back_in_order_from_any_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.parquet");
    let digest = write(&path);
    let mut reader = PlanReader::open(&path, &FileKey::new([7; 32]), b"aad").unwrap();
    for start in [0, 8_191, 8_192, 12_345, 19_999] {
        reader.seek(start).unwrap();
        let rows = reader.read(3).unwrap();
        assert_eq!(&rows[0].body[..], format!("row {start}").as_bytes());
    }
    reader.seek(ROWS as u64).unwrap();
    assert!(reader.read(1).unwrap().is_empty());
    assert_eq!(reader.verify().unwrap(), digest);
    assert_eq!(write(&folder.path().join("again.parquet")), digest, "the same rows, the same digest");
}

#[test]
fn entries_are_read_without_bodies_from_a_part_of_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { path: folder.path().join("plan.parquet"), key: FileKey::new([7; 32]), aad: b"aad".to_vec() };
    write(&place.path);
    let mut entries = PlanEntries::open(&place, 9_000..9_003).unwrap();
    assert_eq!(entries.rows(), ROWS as u64);
    for ordinal in 9_000..9_003 {
        let identity = [u8::try_from(ordinal % 251).unwrap(); 16];
        assert!(entries.peek().unwrap().is_some_and(|entry| entry.ordinal == ordinal));
        let entry = entries.next_entry().unwrap().unwrap();
        assert_eq!((entry.ordinal, entry.identity, entry.email.as_str()), (ordinal, identity, "a@b.cd"));
        assert_eq!(entry.standing, Standing::Member(Mark::new(identity)));
    }
    assert!(entries.next_entry().unwrap().is_none());
    let mut beyond = PlanEntries::open(&place, 19_999..20_001).unwrap();
    assert!(beyond.next_entry().is_ok_and(|entry| entry.is_some()) && beyond.next_entry().is_err());
}

#[test]
fn another_key_another_run_or_changed_bytes_do_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.parquet");
    let digest = write(&path);
    let opens = |key: u8, aad: &[u8]| {
        let reader = PlanReader::open(&path, &FileKey::new([key; 32]), aad);
        reader.and_then(PlanReader::verify).is_ok_and(|found| found == digest)
    };
    assert!(opens(7, b"aad"));
    assert!(!opens(8, b"aad"));
    assert!(!opens(7, b"other"));
    let whole = std::fs::read(&path).unwrap();
    assert!(!whole.windows(5).any(|window| window == b"row 1"), "nothing is in the clear");
    for place in [whole.len() / 3, whole.len() / 2, whole.len() - 20] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(!opens(7, b"aad"), "byte {place}");
    }
}

#[test]
fn an_unfinished_plan_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.parquet");
    drop(PlanWriter::create(&path, &FileKey::new([7; 32]), b"aad").unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn rule_12_large_rows_make_small_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("plan.parquet"), FileKey::new([7; 32]));
    let body = vec![b'x'; 399_000];
    let mut writer = PlanWriter::create(&path, &key, b"aad").unwrap();
    for row in 0..60_u8 {
        push(&mut writer, row, &body);
    }
    let digest = writer.finish().unwrap();
    let mut reader = PlanReader::open(&path, &key, b"aad").unwrap();
    assert_eq!(reader.rows(), 60);
    reader.seek(45).unwrap();
    assert_eq!(reader.read(1).unwrap()[0].identity, [45; 16]);
    assert!(reader.ahead.len() < 20, "rows that are read ahead");
    assert_eq!(reader.verify().unwrap(), digest);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]
    #[test]
    fn a_changed_byte_is_an_error_or_changes_nothing(place: proptest::sample::Index, bit in 0_u32..8) {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("plan.parquet"), FileKey::new([7; 32]));
        let mut writer = PlanWriter::create(&path, &key, b"aad").unwrap();
        for row in 0..50_u8 {
            push(&mut writer, row, b"body");
        }
        let digest = writer.finish().unwrap();
        let mut changed = std::fs::read(&path).unwrap();
        let place = place.index(changed.len());
        changed[place] ^= 1 << bit;
        std::fs::write(&path, &changed).unwrap();
        let found = PlanReader::open(&path, &key, b"aad").and_then(PlanReader::verify);
        proptest::prop_assert!(found.is_err() || found.is_ok_and(|found| found == digest));
    }
}
