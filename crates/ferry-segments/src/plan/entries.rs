//! Reads a plan for its account: whom each row is of, and as what they stand once it was taken. Bodies stay where they
//! are.

use super::{EMAIL, IDENTITY, STANDING};
use crate::sealed::{self, Place, PlanError, SealedFile};
use crate::state::Standing;
use arrow_array::{Array, FixedSizeBinaryArray, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::ops::Range;

/// A row of a plan without its body.
pub(crate) struct PlanEntry {
    pub(crate) ordinal: u64,
    pub(crate) identity: [u8; 16],
    pub(crate) standing: Standing,
    pub(crate) email: String,
}

struct Columns {
    identities: FixedSizeBinaryArray,
    standings: FixedSizeBinaryArray,
    emails: StringArray,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self, PlanError> {
        Ok(Self {
            identities: sealed::column::<FixedSizeBinaryArray>(batch, IDENTITY)?.clone(),
            standings: sealed::column::<FixedSizeBinaryArray>(batch, STANDING)?.clone(),
            emails: sealed::column::<StringArray>(batch, EMAIL)?.clone(),
        })
    }
}

/// Reads some rows of a plan, in order.
pub(crate) struct PlanEntries {
    rows: u64,
    reader: ParquetRecordBatchReader,
    ordinals: Range<u64>,
    batch: Option<Columns>,
    next: usize,
    ahead: Option<PlanEntry>,
}

impl PlanEntries {
    pub(crate) fn open(plan: &Place, ordinals: Range<u64>) -> Result<Self, PlanError> {
        let file = SealedFile::open(&plan.path, &plan.key, &plan.aad, &super::form())?;
        let reader = file.read_from(ordinals.start, &[IDENTITY, STANDING, EMAIL])?;
        Ok(Self { rows: file.rows(), reader, ordinals, batch: None, next: 0, ahead: None })
    }

    /// Rows of the whole plan.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn peek(&mut self) -> Result<Option<&PlanEntry>, PlanError> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    pub(crate) fn next_entry(&mut self) -> Result<Option<PlanEntry>, PlanError> {
        self.peek()?;
        Ok(self.ahead.take())
    }

    fn read(&mut self) -> Result<Option<PlanEntry>, PlanError> {
        let Some(ordinal) = self.ordinals.next() else { return Ok(None) };
        while self.batch.as_ref().is_none_or(|batch| batch.emails.len() == self.next) {
            let Some(batch) = self.reader.next() else {
                return Err(PlanError::Sealed("it has fewer rows than its plan".to_owned()));
            };
            (self.batch, self.next) = (Some(Columns::of(&batch?)?), 0);
        }
        let Some(batch) = &self.batch else { return Ok(None) };
        let row = self.next;
        self.next += 1;
        Ok(Some(PlanEntry {
            ordinal,
            identity: super::identity(&batch.identities, row)?,
            standing: super::standing(&batch.standings, row)?,
            email: batch.emails.value(row).to_owned(),
        }))
    }
}
