//! Segment sources: files that give Arrow batches of the columns that are asked for, and of no other.
//!
//! A row that is broken is a row, with its line and reason, and never the end of the file. A file that is broken is an
//! error whose text names no path and no content.

mod csv;
mod error;
mod jsonl;
mod parquet;
mod rows;

pub use error::SourceError;

use crate::catalogue::{Column, Format, SegmentEntry};
use crate::normalise::RejectReason;
use arrow_array::RecordBatch;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Bytes of one row of a text file, or of one cell of Parquet; a quote that is never closed must not eat the memory.
const ROW_BYTES: usize = 1024 * 1024;
/// Columns of a file; each costs memory in every batch.
const COLUMNS: usize = 10_000;

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
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
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
    /// Opens a segment for these columns. Each must exist; one that no JSON line has is found missing at the end.
    pub fn open(entry: &SegmentEntry, columns: &[&str]) -> Result<Self, SourceError> {
        let (file, path) = entry.open_file()?;
        // Of the open file, so that one which is put in its place meanwhile is another.
        let before = file.metadata().map(|metadata| Fingerprint::of(&metadata));
        let before = before.map_err(|error| SourceError::open(&error).at(&path))?;
        let reader = match entry.format() {
            Format::Csv => csv::CsvReader::open(file, columns).map(Reader::Csv),
            Format::Jsonl => Ok(Reader::Jsonl(jsonl::JsonlReader::open(file, columns))),
            Format::Parquet => parquet::ParquetReader::open(file, columns).map(Reader::Parquet),
        };
        let reader = reader.map_err(|error| error.at(&path))?;
        Ok(Self { reader, path, before })
    }

    /// The next rows; nothing at the end.
    pub fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let found = match &mut self.reader {
            Reader::Csv(reader) => reader.next_batch(),
            Reader::Jsonl(reader) => reader.next_batch(),
            Reader::Parquet(reader) => reader.next_batch(),
        };
        // A file that is written while it is read also looks broken; then that is the news.
        found.map_err(|error| if self.has_changed() { SourceError::ChangedDuringRead } else { error.at(&self.path) })
    }

    /// Ends the reading. A file that was written meanwhile was not read as a whole.
    pub fn finish(self) -> Result<Fingerprint, SourceError> {
        if self.has_changed() { Err(SourceError::ChangedDuringRead) } else { Ok(self.before) }
    }

    fn has_changed(&self) -> bool {
        std::fs::metadata(&self.path).map_or(true, |metadata| Fingerprint::of(&metadata) != self.before)
    }
}

/// What the segment's file is now, without reading it: the same as a reading of it would tell.
pub(crate) fn fingerprint(entry: &SegmentEntry) -> Result<Fingerprint, SourceError> {
    let (file, path) = entry.open_file()?;
    let found = file.metadata().map(|metadata| Fingerprint::of(&metadata));
    found.map_err(|error| SourceError::open(&error).at(&path))
}

pub(crate) fn columns(entry: &SegmentEntry) -> Result<Vec<Column>, SourceError> {
    let (file, path) = entry.open_file()?;
    let found = match entry.format() {
        Format::Csv => csv::columns(file),
        Format::Jsonl => jsonl::columns(file),
        Format::Parquet => parquet::columns(file),
    };
    found.map_err(|error| error.at(&path))
}

fn text_column(name: &str) -> Column {
    Column { name: name.to_owned(), data_type: "text".to_owned(), mappable: true }
}

fn too_many_columns() -> SourceError {
    SourceError::broken(format!("it has more than {COLUMNS} columns"))
}

/// The first bytes tell an encoding that is not read here.
fn utf16(start: &[u8]) -> Result<(), SourceError> {
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(SourceError::broken("it is UTF-16; write it as UTF-8"));
    }
    Ok(())
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
