//! Reads a plan for sending: identities and bodies, from any row.

use super::{BODY, EMAIL, IDENTITY, STANDING};
use crate::file_key::FileKey;
use crate::sealed::{self, PlanError, SealedFile};
use arrow_array::{BinaryArray, FixedSizeBinaryArray, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::collections::VecDeque;
use std::path::Path;

/// A row of a plan, as it is sent.
#[derive(Clone)]
pub struct PlanRow {
    /// The keyed digest of the person's identity.
    pub identity: [u8; 16],
    /// The rendered row.
    pub body: Bytes,
}

/// Reads a plan.
pub struct PlanReader {
    file: SealedFile,
    reader: ParquetRecordBatchReader,
    pub(super) ahead: VecDeque<PlanRow>,
}

impl PlanReader {
    /// Opens a plan at its first row.
    pub fn open(path: &Path, key: &FileKey, aad: &[u8]) -> Result<Self, PlanError> {
        let file = SealedFile::open(path, key, aad, &super::form())?;
        let reader = file.read_from(0, &[IDENTITY, BODY])?;
        Ok(Self { file, reader, ahead: VecDeque::new() })
    }

    /// How many rows it has, members and removals together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.file.rows()
    }

    /// Goes to a row; at or past the end there are no rows to read.
    pub fn seek(&mut self, ordinal: u64) -> Result<(), PlanError> {
        self.reader = self.file.read_from(ordinal, &[IDENTITY, BODY])?;
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
        let identities = sealed::column::<FixedSizeBinaryArray>(batch, IDENTITY)?;
        let bodies = sealed::column::<BinaryArray>(batch, BODY)?;
        for row in 0..batch.num_rows() {
            let identity = super::identity(identities, row)?;
            self.ahead.push_back(PlanRow { identity, body: Bytes::copy_from_slice(bodies.value(row)) });
        }
        Ok(())
    }

    /// Reads everything from the first row and returns the digest.
    pub fn verify(self) -> Result<[u8; 32], PlanError> {
        let mut digest = super::digest();
        for batch in self.file.read_from(0, &[IDENTITY, STANDING, EMAIL, BODY])? {
            super::digest_rows(&batch?, &mut digest)?;
        }
        Ok(digest.finish())
    }
}
