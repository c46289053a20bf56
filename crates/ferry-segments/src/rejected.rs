//! Rows that did not go: by Ferry (rejected) or by the destination (refused), sealed like the plan.

use crate::file_key::FileKey;
use crate::sealed::{self, GROUP_ROWS, PlanError, SealedWriter};
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
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Refused => "refused",
        }
    }
}

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
    /// The address, as in the source.
    pub email: Option<String>,
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("segment", DataType::Utf8, false),
        Field::new("line", DataType::UInt64, true),
        Field::new("stage", DataType::Utf8, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("email", DataType::Utf8, true),
    ]))
}

/// Writes such rows.
pub struct RejectedWriter {
    file: SealedWriter,
    rows: Vec<RejectedRow>,
}

impl RejectedWriter {
    /// Begins a file; an unfinished one leaves nothing.
    pub fn create(path: &Path, key: &FileKey, aad: &[u8]) -> Result<Self, PlanError> {
        Ok(Self { file: SealedWriter::create(path, key, aad, schema())?, rows: Vec::new() })
    }

    /// Adds a row.
    pub fn push(&mut self, row: RejectedRow) -> Result<(), PlanError> {
        self.rows.push(row);
        if self.rows.len() == GROUP_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PlanError> {
        let mut lines = UInt64Builder::new();
        let mut texts = [StringBuilder::new(), StringBuilder::new(), StringBuilder::new(), StringBuilder::new()];
        for row in self.rows.drain(..) {
            let [segment, stage, reason, email] = &mut texts;
            segment.append_value(&row.segment);
            lines.append_option(row.line);
            stage.append_value(row.stage.word());
            reason.append_value(&row.reason);
            email.append_option(row.email);
        }
        let [segment, stage, reason, email] = texts.map(|mut text| Arc::new(text.finish()) as ArrayRef);
        let columns: Vec<ArrayRef> = vec![segment, Arc::new(lines.finish()), stage, reason, email];
        self.file.write(&RecordBatch::try_new(schema(), columns)?)
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
        let reader = sealed::open(path, key, aad)?.with_offset(offset).with_limit(limit).build()?;
        let mut rows = Vec::new();
        for batch in reader {
            take_in(&batch?, &mut rows)?;
        }
        Ok(rows)
    }
}

fn take_in(batch: &RecordBatch, rows: &mut Vec<RejectedRow>) -> Result<(), PlanError> {
    let other = || PlanError::Sealed("it has other columns".to_owned());
    let text = |name: &str| {
        let column = batch.column_by_name(name).ok_or_else(other)?;
        column.as_any().downcast_ref::<StringArray>().ok_or_else(other)
    };
    let lines = batch.column_by_name("line").ok_or_else(other)?;
    let lines = lines.as_any().downcast_ref::<UInt64Array>().ok_or_else(other)?;
    let (segments, stages, reasons, emails) = (text("segment")?, text("stage")?, text("reason")?, text("email")?);
    for row in 0..batch.num_rows() {
        let stage = [Stage::Rejected, Stage::Refused].into_iter().find(|stage| stage.word() == stages.value(row));
        rows.push(RejectedRow {
            segment: segments.value(row).to_owned(),
            line: lines.is_valid(row).then(|| lines.value(row)),
            stage: stage.ok_or_else(other)?,
            reason: reasons.value(row).to_owned(),
            email: emails.is_valid(row).then(|| emails.value(row).to_owned()),
        });
    }
    Ok(())
}
