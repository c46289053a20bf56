//! Writes an export state.

use super::entry;
use super::standing::{STANDING_BYTES, Standing};
use super::{StateEntry, form};
use crate::digest::Digest;
use crate::sealed::{self, Form, Place, PlanError, SealedWriter};
use arrow_array::RecordBatch;
use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, Int64Builder, StringBuilder};
use std::sync::Arc;

/// Writes an export state. Dropped before [`StateWriter::finish`], it leaves nothing.
pub struct StateWriter {
    file: SealedWriter,
    form: Form,
    columns: Columns,
    rows: usize,
    bytes: usize,
    last: Option<[u8; 16]>,
    digest: Digest,
}

struct Columns {
    identity: FixedSizeBinaryBuilder,
    confirmed: FixedSizeBinaryBuilder,
    maybe: BinaryBuilder,
    refused: FixedSizeBinaryBuilder,
    reason: StringBuilder,
    time: Int64Builder,
    email: StringBuilder,
}

impl StateWriter {
    /// Begins a state.
    pub fn create(place: &Place) -> Result<Self, PlanError> {
        let standing = || FixedSizeBinaryBuilder::new(i32::try_from(STANDING_BYTES).unwrap_or(i32::MAX));
        let form = form();
        Ok(Self {
            file: SealedWriter::create(&place.path, &place.key, &place.aad, &form)?,
            form,
            columns: Columns {
                identity: FixedSizeBinaryBuilder::new(16),
                confirmed: standing(),
                maybe: BinaryBuilder::new(),
                refused: standing(),
                reason: StringBuilder::new(),
                time: Int64Builder::new(),
                email: StringBuilder::new(),
            },
            rows: 0,
            bytes: 0,
            last: None,
            digest: entry::digest(),
        })
    }

    /// Adds the next person, who comes after those before by identity.
    pub fn push(&mut self, entry: &StateEntry) -> Result<(), PlanError> {
        if self.last.is_some_and(|last| last >= entry.identity) {
            return Err(PlanError::Sealed("its entries are not in order".to_owned()));
        }
        self.last = Some(entry.identity);
        entry.digest_into(&mut self.digest);
        let columns = &mut self.columns;
        columns.identity.append_value(entry.identity)?;
        columns.confirmed.append_value(Standing::encode(entry.confirmed))?;
        let maybe: Vec<u8> = entry.maybe.iter().flat_map(|standing| Standing::encode(Some(*standing))).collect();
        columns.maybe.append_option((!maybe.is_empty()).then_some(&maybe));
        match &entry.refused {
            Some(refused) => columns.refused.append_value(Standing::encode(Some(refused.standing)))?,
            None => columns.refused.append_null(),
        }
        columns.reason.append_option(entry.refused.as_ref().map(|refused| &refused.reason));
        columns.time.append_option(entry.refused.as_ref().map(|refused| refused.time_ms));
        columns.email.append_value(&entry.email);
        self.rows += 1;
        self.bytes += entry.email.len() + maybe.len() + 64;
        if sealed::is_group(self.rows, self.bytes) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PlanError> {
        (self.rows, self.bytes) = (0, 0);
        let columns = &mut self.columns;
        let group = RecordBatch::try_new(
            Arc::clone(&self.form.schema),
            vec![
                Arc::new(columns.identity.finish()),
                Arc::new(columns.confirmed.finish()),
                Arc::new(columns.maybe.finish()),
                Arc::new(columns.refused.finish()),
                Arc::new(columns.reason.finish()),
                Arc::new(columns.time.finish()),
                Arc::new(columns.email.finish()),
            ],
        )?;
        self.file.write(&group)
    }

    /// Puts the file into place, durably, and returns the digest of its entries.
    pub fn finish(mut self) -> Result<[u8; 32], PlanError> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.file.finish()?;
        Ok(self.digest.finish())
    }
}
