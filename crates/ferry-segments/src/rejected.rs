//! Rows that did not go: kept back by Ferry (rejected, excluded) or by the destination (refused), sealed like the plan.
//!
//! A run has a file for each of the two: Ferry's is written with the plan, the destination's at the end of the run.

use crate::file_key::FileKey;
use crate::sealed::{self, Form, PlanError, SealedFile, SealedWriter};
use arrow_array::builder::{StringBuilder, UInt64Builder};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use std::path::Path;
use std::sync::Arc;

/// Who turned a row down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Ferry: it cannot go.
    Rejected,
    /// The destination.
    Refused,
    /// Ferry: it could go, and a rule keeps it from going.
    Excluded,
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Excluded => "excluded",
        }
    }
}

/// The reason of a row that the destination turned down without saying why. Ferry invents none.
pub const REASON_NOT_GIVEN: &str = "DESTINATION_REASON_NOT_GIVEN";

/// A row that did not go. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// The segment it is from, where that is known.
    pub segment: String,
    /// Where it begins in the segment's file, where that is known.
    pub line: Option<u64>,
    /// Who turned it down.
    pub stage: Stage,
    /// Why.
    pub reason: String,
    /// What the destination said of it before, if that is why.
    pub destination_reason: Option<String>,
    /// The address, as in the source; of a text far longer than any address only the first 1,024 bytes.
    pub email: Option<String>,
}

/// What is kept of an address: four times what one may have, so that a page of rows stays a page.
const EMAIL_BYTES: usize = 1_024;

const COLUMNS: [&str; 6] = ["segment", "line", "stage", "reason", "email", DESTINATION_REASON];
/// Not in files of the first version, which kept nobody back for such a reason.
const DESTINATION_REASON: &str = "destination_reason";
const VERSIONS: [&str; 2] = ["2", "1"];

fn form() -> Form {
    let [segment, line, stage, reason, email, destination_reason] = COLUMNS;
    let schema = Arc::new(Schema::new(vec![
        Field::new(segment, DataType::Utf8, false),
        Field::new(line, DataType::UInt64, true),
        Field::new(stage, DataType::Utf8, false),
        Field::new(reason, DataType::Utf8, false),
        Field::new(email, DataType::Utf8, true),
        Field::new(destination_reason, DataType::Utf8, true),
    ]));
    Form { version: VERSIONS[0], schema, incompressible: &[] }
}

/// Writes such rows.
pub struct RejectedWriter {
    file: SealedWriter,
    rows: Vec<RejectedRow>,
    bytes: usize,
}

impl RejectedWriter {
    /// Begins a file; an unfinished one leaves nothing.
    pub fn create(path: &Path, key: &FileKey, aad: &[u8]) -> Result<Self, PlanError> {
        Ok(Self { file: SealedWriter::create(path, key, aad, &form())?, rows: Vec::new(), bytes: 0 })
    }

    /// Adds a row.
    pub fn push(&mut self, mut row: RejectedRow) -> Result<(), PlanError> {
        if let Some(email) = &mut row.email {
            email.truncate(email.floor_char_boundary(EMAIL_BYTES));
        }
        self.bytes += row.segment.len() + row.reason.len() + row.email.as_ref().map_or(0, String::len);
        self.rows.push(row);
        if sealed::is_group(self.rows.len(), self.bytes) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PlanError> {
        self.bytes = 0;
        let mut lines = UInt64Builder::new();
        let mut texts: [StringBuilder; 5] = Default::default();
        for row in self.rows.drain(..) {
            let [segment, stage, reason, email, destination_reason] = &mut texts;
            segment.append_value(&row.segment);
            lines.append_option(row.line);
            stage.append_value(row.stage.word());
            reason.append_value(&row.reason);
            email.append_option(row.email);
            destination_reason.append_option(row.destination_reason);
        }
        let [segment, stage, reason, email, before] = texts.map(|mut text| Arc::new(text.finish()) as ArrayRef);
        let columns: Vec<ArrayRef> = vec![segment, Arc::new(lines.finish()), stage, reason, email, before];
        self.file.write(&RecordBatch::try_new(form().schema, columns)?)
    }

    /// Puts the file into place, durably.
    pub fn finish(mut self) -> Result<(), PlanError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        self.file.finish()
    }
}

/// Reads such rows.
pub struct RejectedReader;

impl RejectedReader {
    /// `limit` rows from `offset`; none if there is no file.
    pub fn page(
        path: &Path,
        key: &FileKey,
        aad: &[u8],
        offset: usize,
        limit: usize,
    ) -> Result<Vec<RejectedRow>, PlanError> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        let file = SealedFile::open_one_of(path, key, aad, &VERSIONS)?;
        let mut reader = file.read_from(u64::try_from(offset).unwrap_or(u64::MAX), &COLUMNS)?;
        let mut rows = Vec::new();
        while rows.len() < limit {
            let Some(batch) = reader.next() else { break };
            let batch = batch?;
            take_in(&batch.slice(0, batch.num_rows().min(limit - rows.len())), &mut rows)?;
        }
        Ok(rows)
    }

    /// How many rows there are; none if there is no file.
    pub fn count(path: &Path, key: &FileKey, aad: &[u8]) -> Result<u64, PlanError> {
        if path.exists() { Ok(SealedFile::open_one_of(path, key, aad, &VERSIONS)?.rows()) } else { Ok(0) }
    }
}

fn take_in(batch: &RecordBatch, rows: &mut Vec<RejectedRow>) -> Result<(), PlanError> {
    let text = |name| sealed::column::<StringArray>(batch, name);
    let lines = sealed::column::<UInt64Array>(batch, "line")?;
    let (segments, stages, reasons, emails) = (text("segment")?, text("stage")?, text("reason")?, text("email")?);
    let before = batch.column_by_name(DESTINATION_REASON).map(|_| text(DESTINATION_REASON)).transpose()?;
    let owned = |texts: &StringArray, row: usize| texts.is_valid(row).then(|| texts.value(row).to_owned());
    for row in 0..batch.num_rows() {
        let all = [Stage::Rejected, Stage::Refused, Stage::Excluded];
        let stage = all.into_iter().find(|stage| stage.word() == stages.value(row));
        rows.push(RejectedRow {
            segment: segments.value(row).to_owned(),
            line: lines.is_valid(row).then(|| lines.value(row)),
            stage: stage.ok_or_else(sealed::other_columns)?,
            reason: reasons.value(row).to_owned(),
            destination_reason: before.and_then(|before| owned(before, row)),
            email: owned(emails, row),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn row(line: u64, email: Option<String>) -> RejectedRow {
        RejectedRow {
            segment: "customers".to_owned(),
            line: Some(line),
            stage: Stage::Rejected,
            reason: "EMAIL_MALFORMED".to_owned(),
            destination_reason: None,
            email,
        }
    }

    #[test]
    fn a_file_of_the_first_version_is_read_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("rejected.parquet"), FileKey::new([3; 32]));
        let excluded = RejectedRow { destination_reason: Some("SAID".to_owned()), ..row(7, Some("x".to_owned())) };
        let mut writer = RejectedWriter::create(&path, &key, b"aad").unwrap();
        writer.push(excluded.clone()).unwrap();
        writer.finish().unwrap();
        assert!(RejectedReader::page(&path, &key, b"aad", 0, 9).unwrap() == [excluded]);
        let schema = Arc::new(form().schema.project(&[0, 1, 2, 3, 4]).unwrap());
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let line: ArrayRef = Arc::new(UInt64Array::from(vec![7]));
        let columns = vec![text("customers"), line, text("rejected"), text("EMAIL_MALFORMED"), text("x")];
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let mut old = SealedWriter::create(&path, &key, b"aad", &Form { version: "1", schema, ..form() }).unwrap();
        old.write(&batch).unwrap();
        old.finish().unwrap();
        assert_eq!(RejectedReader::count(&path, &key, b"aad").unwrap(), 1);
        assert!(RejectedReader::page(&path, &key, b"aad", 0, 9).unwrap() == [row(7, Some("x".to_owned()))]);
    }

    #[test]
    fn pages_are_cut_from_any_place_and_none_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("rejected.parquet"), FileKey::new([3; 32]));
        assert_eq!(RejectedReader::count(&path, &key, b"aad").unwrap(), 0, "no file");
        let mut writer = RejectedWriter::create(&path, &key, b"aad").unwrap();
        for line in 0..20_000 {
            writer.push(row(line, (line % 2 == 0).then(|| format!("x{line}")))).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(RejectedReader::count(&path, &key, b"aad").unwrap(), 20_000);
        for (offset, limit, found) in
            [(0, 3, 3), (8_190, 5, 5), (19_999, 5, 1), (20_000, 5, 0), (90_000, 5, 0), (5, 0, 0)]
        {
            let page = RejectedReader::page(&path, &key, b"aad", offset, limit).unwrap();
            assert_eq!(page.len(), found, "{offset}");
            assert!(page.first().is_none_or(|row| row.line == Some(offset as u64)));
        }
        assert_eq!(RejectedReader::page(&path, &key, b"aad", 1, usize::MAX).unwrap().len(), 19_999);
        assert!(RejectedReader::page(&path, &key, b"other", 0, 1).is_err());
    }

    #[test]
    fn of_an_endless_address_the_beginning_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("rejected.parquet"), FileKey::new([3; 32]));
        let mut writer = RejectedWriter::create(&path, &key, b"aad").unwrap();
        writer.push(row(1, Some("ã".repeat(1_000_000)))).unwrap();
        writer.finish().unwrap();
        let kept = RejectedReader::page(&path, &key, b"aad", 0, 1).unwrap().remove(0).email.unwrap();
        assert_eq!(kept, "ã".repeat(512));
    }
}
