#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::catalogue::Catalogue;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use std::path::Path;
use std::sync::Arc;

/// A segment over a file with this content.
pub(super) fn entry(folder: &Path, format: &str, content: &[u8]) -> SegmentEntry {
    let tenant = folder.join("acme");
    std::fs::create_dir_all(&tenant).unwrap();
    std::fs::write(tenant.join("file"), content).unwrap();
    let catalogue = format!("[[segment]]\nid = \"s\"\ndisplay_name = \"s\"\nformat = \"{format}\"\npath = \"file\"\n");
    std::fs::write(tenant.join("catalogue.toml"), catalogue).unwrap();
    Catalogue::load(folder, "acme").unwrap().segment("s").unwrap().clone()
}

pub(super) type Read = (Vec<Vec<Option<String>>>, Vec<u64>, Vec<BrokenRow>);

pub(super) fn read(format: &str, content: &[u8], columns: &[&str]) -> Result<Read, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = SegmentReader::open(&entry(folder.path(), format, content), columns)?;
    let (mut rows, mut lines, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(found) = reader.next_batch()? {
        for row in 0..found.batch.num_rows() {
            rows.push(found.batch.columns().iter().map(|column| cell(column, row)).collect());
        }
        lines.extend(found.lines);
        broken.extend(found.broken);
    }
    reader.finish()?;
    Ok((rows, lines, broken))
}

fn cell(column: &ArrayRef, row: usize) -> Option<String> {
    let column = column.as_any().downcast_ref::<StringArray>().unwrap();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

pub(super) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn csv_with_quotes_a_mark_and_both_line_ends() {
    let text = "\u{feff}id,name,email\r\n1,\"Silva, \"\"João\"\"\nfilho\",a@b.cd\n2,,\r\n";
    let (rows, lines, broken) = read("csv", text.as_bytes(), &["email", "name"]).unwrap();
    assert_eq!(rows, [[some("a@b.cd"), some("Silva, \"João\"\nfilho")], [None, None]]);
    assert_eq!(lines, [2, 4]);
    assert!(broken.is_empty());
}

#[test]
fn a_broken_row_of_csv_is_a_row() {
    let text = b"id,email\n1,a@b.cd\n2\n3,x,y\n4,\xff\n5,e@f.gh\n";
    let (rows, lines, broken) = read("csv", text, &["email"]).unwrap();
    assert_eq!(rows, [[some("a@b.cd")], [some("e@f.gh")]]);
    assert_eq!(lines, [2, 6]);
    let expected = [(3, RejectReason::RowRagged), (4, RejectReason::RowRagged), (5, RejectReason::RowNotUtf8)];
    assert_eq!(broken, expected.map(|(line, reason)| BrokenRow { line, reason }));
}

#[test]
fn a_broken_file_of_csv_says_what_is_wrong() {
    let error = |text: &[u8]| read("csv", text, &["email"]).err().unwrap().to_string();
    assert!(error(b"").contains("no header"));
    assert!(error(b"\n\n").contains("no header"));
    assert!(error(b"id,name\n1,x\n").contains("no column `email`"));
    assert!(error(b"email,email\n").contains("column 2"));
    assert!(error(b"\xff\xfee\0m\0").contains("UTF-16"));
    let mut endless = b"email\n\"".to_vec();
    endless.resize(3 * 1024 * 1024, b'x');
    assert!(error(&endless).contains("never closed"));
}

#[test]
fn json_lines() {
    let text = b"{\"email\":\"a@b.cd\",\"n\":1.5}\n\n{\"n\":true}\nnonsense\n{\"email\":{}}\n\xff\n{\"email\":null,\"n\":\"x\"}";
    let (rows, lines, broken) = read("jsonl", text, &["email", "n"]).unwrap();
    assert_eq!(rows, [[some("a@b.cd"), some("1.5")], [None, some("true")], [None, some("x")]]);
    assert_eq!(lines, [1, 3, 7]);
    let reasons: Vec<_> = broken.iter().map(|row| (row.line, row.reason)).collect();
    use RejectReason::{RowNotJson, RowNotUtf8};
    assert_eq!(reasons, [(4, RowNotJson), (5, RowNotJson), (6, RowNotUtf8)]);
}

fn parquet_file() -> Vec<u8> {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
    let emails: ArrayRef = Arc::new(StringArray::from(vec![Some("a@b.cd"), None]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("email", emails)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_columns_become_text() {
    let (rows, lines, _) = read("parquet", &parquet_file(), &["email", "id"]).unwrap();
    assert_eq!(rows, [[some("a@b.cd"), some("7")], [None, some("8")]]);
    assert_eq!(lines, [1, 2]);
}

#[test]
fn a_cut_parquet_file_is_an_error() {
    let whole = parquet_file();
    for length in [0, 3, 4, 20, whole.len() / 2, whole.len() - 1] {
        assert!(read("parquet", &whole[..length], &["email"]).is_err(), "{length}");
    }
    assert!(matches!(read("parquet", &whole, &["phone"]), Err(SourceError::ColumnNotFound { .. })));
}

#[test]
fn rule_4_a_file_that_changes_is_not_read_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let entry = entry(folder.path(), "csv", b"email\na@b.cd\n");
    let mut reader = SegmentReader::open(&entry, &["email"]).unwrap();
    while reader.next_batch().unwrap().is_some() {}
    std::fs::write(folder.path().join("acme/file"), b"email\na@b.cd\ne@f.gh\n").unwrap();
    assert!(matches!(reader.finish(), Err(SourceError::ChangedDuringRead)));
}

#[test]
fn columns_are_known_without_reading_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let names = |format: &str, content: &[u8]| -> Vec<String> {
        entry(folder.path(), format, content).columns().unwrap().into_iter().map(|column| column.name).collect()
    };
    assert_eq!(names("csv", b"a,b\n1,2\n"), ["a", "b"]);
    assert_eq!(names("jsonl", b"{\"a\":1}\n{\"b\":2}\n"), ["a", "b"]);
    assert_eq!(names("parquet", &parquet_file()), ["id", "email"]);
}
