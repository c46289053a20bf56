#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::tests::{entry, read, some};
use super::*;
use crate::inside::Inside;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array, LargeStringArray, ListArray,
    StringArray, StringViewArray, TimestampMillisecondArray,
};
use proptest::prelude::*;
use std::sync::Arc;

fn error(format: &str, text: &[u8], columns: &[&str]) -> String {
    read(format, text, columns).err().unwrap().to_string()
}

#[test]
fn empty_lines_of_csv_count_as_lines() {
    let text = b"\n\nemail,n\r\n\n\r\n\na@b.cd,\"x\n\ny\"\n\n\nshort\n\nc@d.ef,2";
    let (_, lines, broken) = read("csv", text, &["email"]).unwrap();
    assert_eq!(lines, [7, 14]);
    assert_eq!(broken[0].line, 12);
}

#[test]
fn a_quote_that_is_open_at_the_end_swallows_no_members() {
    for text in [
        &b"email,n\na@b.cd,\"Ada\nb@c.de,Bob\nc@d.ef,Cy\n"[..],
        b"email,n\na@b.cd,\"Ada",
        b"email,\"n\na@b.cd,1\n",
        b"email,n\na@b.cd,1\n\"",
    ] {
        assert!(error("csv", text, &["email"]).contains("never closed"));
    }
}

#[test]
fn the_last_line_of_csv_needs_no_end() {
    let all = |text: &[u8]| read("csv", text, &["email"]).unwrap().0;
    assert_eq!(all(b"n,email\n1,a@b.cd"), [[some("a@b.cd")]]);
    assert_eq!(all(b"n,email\n1,a@b.cd\r"), [[some("a@b.cd")]]);
    assert_eq!(all(b"n,email\n1,\"a@b.cd\""), [[some("a@b.cd")]]);
    assert_eq!(all(b"email\n\0end\n"), [[some("\0end")]], "what looks like the end is none");
    assert!(all(b"n,email").is_empty());
}

#[test]
fn a_csv_file_without_a_header_tells_nobodys_data() {
    for text in [&b"1,Ada,ada@b.cd\n2,Bob,bob@b.cd\n"[..], b"Ada,Ada,x\n", b",,\n"] {
        let error = error("csv", text, &["email"]);
        assert!(error.contains("header") && !error.to_lowercase().contains("ada"), "{error}");
    }
    assert!(error("csv", b"id\remail\r1\ra\r", &["email"]).contains("CR alone"));
    assert!(error("csv", ",".repeat(20_000).as_bytes(), &["email"]).contains("columns"));
}

#[test]
fn a_row_over_the_limit_ends_the_file_and_rows_below_it_come_in_small_batches() {
    let long = "x".repeat(ROW_BYTES + 1);
    assert!(error("csv", format!("email\n{long}\n").as_bytes(), &["email"]).contains("longer than"));
    assert!(error("jsonl", format!("{{\"email\":\"{long}\"}}\n").as_bytes(), &["email"]).contains("longer than"));
    let row = "y".repeat(900 * 1024);
    let csv = format!("email\n{}", format!("{row}\n").repeat(30));
    let jsonl = format!("{{\"email\":\"{row}\"}}\n").repeat(30);
    for (format, text) in [("csv", csv), ("jsonl", jsonl)] {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = SegmentReader::open(&entry(folder.path(), format, text.as_bytes()), &["email"]).unwrap();
        let mut rows = 0;
        while let Some(found) = reader.next_batch().unwrap() {
            assert!(found.lines.len() <= 5, "{format}");
            rows += found.lines.len();
        }
        assert_eq!(rows, 30);
    }
}

#[test]
fn json_values_are_as_written() {
    let text = "{\"v\":12345678901234567890123}\n{\"v\":1.50}\n{\"v\":1e400}\n{\"v\":\"\\u00e3\\\"\\\\\"}\n{\"v\":\"\"}\n{\"v\":1,\"v\":2}\n{\"other\":{\"a\":[1]},\"v\":false}\n";
    let (rows, _, broken) = read("jsonl", text.as_bytes(), &["v"]).unwrap();
    let expected =
        [some("12345678901234567890123"), some("1.50"), some("1e400"), some("ã\"\\"), None, some("2"), some("false")];
    assert_eq!(rows, expected.map(|cell| [cell]));
    assert!(broken.is_empty());
}

#[test]
fn a_json_line_that_is_no_flat_object_is_a_broken_row() {
    let text =
        b"[1]\n\"x\"\n{\"v\":[1]}\n{\"v\":\"\\ud800\"}\n{\"v\":1}}\n{\"v\":\"a\tb\"}\n{\"v\":01}\n{\"v\":\"ok\"}\n";
    let (rows, lines, broken) = read("jsonl", text, &["v"]).unwrap();
    assert_eq!((rows, lines), (vec![vec![some("ok")]], vec![8]));
    assert_eq!(broken.len(), 7);
}

#[test]
fn a_column_that_no_json_line_has_is_not_found() {
    let missing = read("jsonl", b"{\"a\":1}\n{\"a\":2}\n", &["a", "phone"]);
    assert!(matches!(missing, Err(SourceError::ColumnNotFound { column }) if column == "phone"));
    assert_eq!(read("jsonl", b"{\"a\":1}\n{\"phone\":null}\n", &["a", "phone"]).unwrap().0.len(), 2);
    assert!(read("jsonl", b"", &["a"]).unwrap().0.is_empty());
    assert!(error("jsonl", b"\xff\xfe{\0", &["a"]).contains("UTF-16"));
}

#[test]
fn a_column_asked_for_twice_is_given_twice() {
    let both = [[some("x"), some("x")]];
    assert_eq!(read("csv", b"a,b\nx,y\n", &["a", "a"]).unwrap().0, both);
    assert_eq!(read("jsonl", b"{\"a\":\"x\"}\n", &["a", "a"]).unwrap().0, both);
    let parquet = parquet(&[("a", Arc::new(StringArray::from(vec!["x"])))]);
    assert_eq!(read("parquet", &parquet, &["a", "a"]).unwrap().0, both);
}

fn parquet(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_types_become_text() {
    let nested = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let time = || TimestampMillisecondArray::from(vec![1_709_164_800_000]);
    let columns: [(&str, ArrayRef); 11] = [
        ("text", Arc::new(StringArray::from(vec!["ã"]))),
        ("large", Arc::new(LargeStringArray::from(vec!["b"]))),
        ("view", Arc::new(StringViewArray::from(vec!["c"]))),
        ("dictionary", Arc::new(DictionaryArray::<Int32Type>::from_iter(["d"]))),
        ("number", Arc::new(Int32Array::from(vec![-5]))),
        ("float", Arc::new(Float64Array::from(vec![1.5]))),
        ("yes", Arc::new(BooleanArray::from(vec![true]))),
        ("day", Arc::new(Date32Array::from(vec![19_782]))),
        ("time", Arc::new(time())),
        ("utc", Arc::new(time().with_timezone("UTC"))),
        ("zone", Arc::new(time().with_timezone("America/Sao_Paulo"))),
    ];
    let names = columns.each_ref().map(|(name, _)| *name);
    let (rows, _, _) = read("parquet", &parquet(&columns), &names)
        .unwrap_or_else(|error| panic!("{error} {}", error.inside().map_or("", Inside::for_log)));
    let expected = [
        "ã",
        "b",
        "c",
        "d",
        "-5",
        "1.5",
        "true",
        "2024-02-29",
        "2024-02-29T00:00:00",
        "2024-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z",
    ];
    assert_eq!(rows, [expected.map(some)]);
    let file = parquet(&[("list", Arc::new(nested))]);
    assert!(error("parquet", &file, &["list"]).contains("cannot be written as text"));
    let folder = tempfile::tempdir().unwrap();
    assert!(!entry(folder.path(), "parquet", &file).columns().unwrap()[0].mappable);
}

#[test]
fn a_long_value_that_a_dictionary_repeats_stays_small() {
    let long = "z".repeat(1_000_000);
    let value: DictionaryArray<Int32Type> = std::iter::repeat_n(long.as_str(), 200).collect();
    let file = parquet(&[("email", Arc::new(value))]);
    let folder = tempfile::tempdir().unwrap();
    let mut reader = SegmentReader::open(&entry(folder.path(), "parquet", &file), &["email"]).unwrap();
    for _ in 0..3 {
        assert_eq!(reader.next_batch().unwrap().unwrap().lines.len(), 5);
    }
}

#[test]
fn a_parquet_cell_over_the_limit_is_a_broken_row() {
    let (long, short) = ("x".repeat(ROW_BYTES + 1), "a@b.cd".to_owned());
    let file = parquet(&[("email", Arc::new(StringArray::from(vec![short.clone(), long, short])))]);
    let (rows, lines, broken) = read("parquet", &file, &["email"]).unwrap();
    assert_eq!((rows.len(), lines), (2, vec![1, 3]));
    assert_eq!(broken, [BrokenRow { line: 2, reason: RejectReason::RowTooLarge }]);
}

fn cell() -> impl Strategy<Value = String> {
    "[a-zã,;\"'\n\\\\ ]{0,12}[a-z]"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_rows_or_an_error(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut headed = b"email,n\n".to_vec();
        headed.extend(&text);
        for content in [&text, &headed] {
            let _read = read("csv", content, &["email"]);
            let _read = read("jsonl", content, &["email"]);
            let _read = read("parquet", content, &["email"]);
        }
    }

    #[test]
    fn csv_of_a_writer_is_read_as_it_was_written(
        rows in proptest::collection::vec((cell(), cell()), 0..40),
        crlf in any::<bool>(),
    ) {
        let terminator = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["a", "b"]).unwrap();
        for (a, b) in &rows {
            writer.write_record([a, b]).unwrap();
        }
        let (found, lines, broken) = read("csv", &writer.into_inner().unwrap(), &["a", "b"]).unwrap();
        let expected: Vec<_> = rows.iter().map(|(a, b)| vec![some(a), some(b)]).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(broken.is_empty());
        let mut line = 2;
        for ((a, b), found) in rows.iter().zip(lines) {
            prop_assert_eq!(found, line);
            line += 1 + (a.matches('\n').count() + b.matches('\n').count()) as u64;
        }
    }

    #[test]
    fn a_changed_byte_of_parquet_never_panics(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let emails: ArrayRef = Arc::new(StringArray::from_iter_values((0..500).map(|n| format!("a{n}@b.cd"))));
        let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..500));
        let mut file = parquet(&[("email", emails), ("n", numbers)]);
        let place = place.index(file.len());
        file[place] = byte;
        let _read = read("parquet", &file, &["email", "n"]);
    }
}
