//! The plan file: every row that is to be sent, rendered once, in its order. A row's place is its ordinal.

use crate::file_key::FileKey;
use crate::sealed::{self, PlanError, SealedFile, SealedWriter};
use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder};
use arrow_array::{Array, BinaryArray, FixedSizeBinaryArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

const IDENTITY_BYTES: i32 = 16;
/// Rows that are digested at once.
const VERIFY_ROWS: usize = 256;

/// A row of a plan.
#[derive(Clone)]
pub struct PlanRow {
    /// The keyed digest of the person's identity.
    pub identity: [u8; 16],
    /// The rendered row.
    pub body: Bytes,
}

/// Digest over all rows, with their lengths.
struct Digest(Context);

impl Digest {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    fn add(&mut self, identity: &[u8; 16], body: &[u8]) {
        self.0.update(identity);
        self.0.update(&(body.len() as u64).to_be_bytes());
        self.0.update(body);
    }

    fn finish(self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }
}

fn schema() -> Arc<Schema> {
    let identity = Field::new("identity", DataType::FixedSizeBinary(IDENTITY_BYTES), false);
    Arc::new(Schema::new(vec![identity, Field::new("body", DataType::Binary, false)]))
}

/// Writes a plan.
pub struct PlanWriter {
    file: SealedWriter,
    identities: FixedSizeBinaryBuilder,
    bodies: BinaryBuilder,
    rows: usize,
    bytes: usize,
    digest: Digest,
}

impl PlanWriter {
    /// Begins a plan; an unfinished one leaves no file.
    pub fn create(path: &Path, key: &FileKey, aad: &[u8]) -> Result<Self, PlanError> {
        Ok(Self {
            file: SealedWriter::create(path, key, aad, schema())?,
            identities: FixedSizeBinaryBuilder::new(IDENTITY_BYTES),
            bodies: BinaryBuilder::new(),
            rows: 0,
            bytes: 0,
            digest: Digest::new(),
        })
    }

    /// Adds the next row.
    pub fn push(&mut self, identity: [u8; 16], body: &[u8]) -> Result<(), PlanError> {
        self.identities.append_value(identity)?;
        self.bodies.append_value(body);
        self.digest.add(&identity, body);
        self.rows += 1;
        self.bytes += body.len();
        if sealed::is_group(self.rows, self.bytes) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PlanError> {
        let (identities, bodies) = (self.identities.finish(), self.bodies.finish());
        (self.rows, self.bytes) = (0, 0);
        self.file.write(&RecordBatch::try_new(schema(), vec![Arc::new(identities), Arc::new(bodies)])?)
    }

    /// Puts the file into place, durably, and returns the digest of its rows.
    pub fn finish(mut self) -> Result<[u8; 32], PlanError> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.file.finish()?;
        Ok(self.digest.finish())
    }
}

/// Reads a plan.
pub struct PlanReader {
    file: SealedFile,
    reader: ParquetRecordBatchReader,
    ahead: VecDeque<PlanRow>,
}

impl PlanReader {
    /// Opens a plan at its first row.
    pub fn open(path: &Path, key: &FileKey, aad: &[u8]) -> Result<Self, PlanError> {
        let file = SealedFile::open(path, key, aad)?;
        let reader = file.read_from(0)?;
        Ok(Self { file, reader, ahead: VecDeque::new() })
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.file.rows()
    }

    /// Goes to a row; at or past the end there are no rows to read.
    pub fn seek(&mut self, ordinal: u64) -> Result<(), PlanError> {
        self.reader = self.file.read_from(ordinal)?;
        self.ahead.clear();
        Ok(())
    }

    /// The next rows: `count`, or fewer at the end.
    pub fn read(&mut self, count: usize) -> Result<Vec<PlanRow>, PlanError> {
        while self.ahead.len() < count {
            let Some(batch) = self.reader.next() else { break };
            self.take_in(&batch?)?;
        }
        let count = count.min(self.ahead.len());
        Ok(self.ahead.drain(..count).collect())
    }

    fn take_in(&mut self, batch: &RecordBatch) -> Result<(), PlanError> {
        let other = || PlanError::Sealed("it has other columns".to_owned());
        let column = |index: usize| batch.columns().get(index).ok_or_else(other);
        let identities = column(0)?.as_any().downcast_ref::<FixedSizeBinaryArray>().ok_or_else(other)?;
        let bodies = column(1)?.as_any().downcast_ref::<BinaryArray>().ok_or_else(other)?;
        for row in 0..batch.num_rows() {
            let identity = identities.value(row).try_into().map_err(|_| other())?;
            self.ahead.push_back(PlanRow { identity, body: Bytes::copy_from_slice(bodies.value(row)) });
        }
        Ok(())
    }

    /// Reads everything from the first row and returns the digest.
    pub fn verify(mut self) -> Result<[u8; 32], PlanError> {
        self.seek(0)?;
        let mut digest = Digest::new();
        loop {
            let rows = self.read(VERIFY_ROWS)?;
            if rows.is_empty() {
                return Ok(digest.finish());
            }
            for row in rows {
                digest.add(&row.identity, &row.body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const ROWS: usize = 20_000;

    fn write(path: &Path) -> [u8; 32] {
        let mut writer = PlanWriter::create(path, &FileKey::new([7; 32]), b"aad").unwrap();
        for row in 0..ROWS {
            writer.push([u8::try_from(row % 251).unwrap(); 16], format!("row {row}").as_bytes()).unwrap();
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
    fn large_rows_make_small_row_groups() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("plan.parquet"), FileKey::new([7; 32]));
        let body = vec![b'x'; 399_000];
        let mut writer = PlanWriter::create(&path, &key, b"aad").unwrap();
        for row in 0..60_u8 {
            writer.push([row; 16], &body).unwrap();
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
                writer.push([row; 16], b"body").unwrap();
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
}
