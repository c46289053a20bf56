//! Segment sources: files that give Arrow batches of the columns that are asked for, and of no other.
//!
//! A row that is broken is a row, with its line and reason, and never the end of the file. A file that is broken is an
//! error whose text names no path and no content.

mod csv;
mod jsonl;
mod parquet;

use crate::catalogue::{Column, Format, SegmentEntry};
use crate::normalise::RejectReason;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows of a batch.
const BATCH_ROWS: usize = 4_096;
/// Bytes of one row of a text file; a quote that is never closed must not eat the memory.
const ROW_BYTES: usize = 1024 * 1024;

/// Rows of a segment.
pub struct SourceBatch {
    /// The columns that were asked for, in that order, as text; null where there is nothing.
    pub batch: RecordBatch,
    /// Where each row begins in the file: a line, or for Parquet a row, from one.
    pub lines: Vec<u64>,
    /// Rows that could not be read.
    pub broken: Vec<BrokenRow>,
}

/// A row that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenRow {
    /// Where it begins.
    pub line: u64,
    /// Why.
    pub reason: RejectReason,
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no file, or it may not be read.
    #[error("its file cannot be opened ({0})")]
    Unopenable(std::io::ErrorKind),
    /// The file is not what the catalogue says.
    #[error("its file is broken: {0}")]
    Broken(String),
    /// A mapped column is not in the file.
    #[error("it has no column `{column}`; map another column, or refresh the segment")]
    ColumnNotFound {
        /// The column.
        column: String,
    },
    /// The file was written while it was read.
    #[error("its file was changed while it was read")]
    ChangedDuringRead,
}

impl SourceError {
    fn read(error: &std::io::Error) -> Self {
        Self::Broken(format!("it cannot be read ({})", error.kind()))
    }
}

/// What a file was at one moment: its size, its time and its place on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    size: u64,
    modified_s: i64,
    modified_ns: i64,
    device: u64,
    inode: u64,
}

impl Fingerprint {
    fn of(path: &std::path::Path) -> Result<Self, SourceError> {
        let metadata = std::fs::metadata(path).map_err(|error| SourceError::Unopenable(error.kind()))?;
        Ok(Self {
            size: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// Equal for equal fingerprints.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for number in
            [self.size, self.modified_s.cast_unsigned(), self.modified_ns.cast_unsigned(), self.device, self.inode]
        {
            context.update(&number.to_be_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

enum Reader {
    Csv(csv::CsvReader),
    Jsonl(jsonl::JsonlReader),
    Parquet(parquet::ParquetReader),
}

/// Reads one segment from its beginning to its end.
pub struct SegmentReader {
    reader: Reader,
    path: PathBuf,
    before: Fingerprint,
}

impl SegmentReader {
    /// Opens a segment for these columns. Each must exist.
    pub fn open(entry: &SegmentEntry, columns: &[&str]) -> Result<Self, SourceError> {
        let path = entry.path().to_owned();
        let before = Fingerprint::of(&path)?;
        let file = File::open(&path).map_err(|error| SourceError::Unopenable(error.kind()))?;
        let reader = match entry.format() {
            Format::Csv => Reader::Csv(csv::CsvReader::open(file, columns)?),
            Format::Jsonl => Reader::Jsonl(jsonl::JsonlReader::open(file, columns)),
            Format::Parquet => Reader::Parquet(parquet::ParquetReader::open(file, columns)?),
        };
        Ok(Self { reader, path, before })
    }

    /// The next rows; nothing at the end.
    pub fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        match &mut self.reader {
            Reader::Csv(reader) => reader.next_batch(),
            Reader::Jsonl(reader) => reader.next_batch(),
            Reader::Parquet(reader) => reader.next_batch(),
        }
    }

    /// Ends the reading. A file that was written meanwhile was not read as a whole.
    pub fn finish(self) -> Result<Fingerprint, SourceError> {
        match Fingerprint::of(&self.path) {
            Ok(after) if after == self.before => Ok(after),
            Ok(_) | Err(_) => Err(SourceError::ChangedDuringRead),
        }
    }
}

pub(crate) fn columns(entry: &SegmentEntry) -> Result<Vec<Column>, SourceError> {
    let file = File::open(entry.path()).map_err(|error| SourceError::Unopenable(error.kind()))?;
    match entry.format() {
        Format::Csv => csv::columns(file),
        Format::Jsonl => jsonl::columns(file),
        Format::Parquet => parquet::columns(file),
    }
}

fn text_column(name: &str) -> Column {
    Column { name: name.to_owned(), data_type: "text".to_owned(), mappable: true }
}

/// A batch of text columns.
fn text_batch(names: &[String], columns: Vec<Vec<Option<String>>>) -> Result<RecordBatch, SourceError> {
    let rows = columns.first().map_or(0, Vec::len);
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let arrays = columns.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| SourceError::Broken(error.to_string()))
}

#[cfg(test)]
mod tests;
