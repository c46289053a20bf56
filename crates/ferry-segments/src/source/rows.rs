//! A batch that is being filled: it is full by rows or by bytes, so that long rows do not eat the memory.

use super::{BrokenRow, SourceBatch, SourceError};
use crate::normalise::RejectReason;
use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Rows of a batch.
pub(super) const BATCH_ROWS: usize = 4_096;
/// Bytes of text of a batch; the row that reaches them is the last one. Far below what the offsets of an array can hold.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    lines: Vec<u64>,
    broken: Vec<BrokenRow>,
    bytes: usize,
}

impl Rows {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let fields: Vec<Field> = names.map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let columns = fields.iter().map(|_| StringBuilder::with_capacity(0, 0)).collect();
        let schema = Arc::new(Schema::new(fields));
        Self { schema, columns, lines: Vec::new(), broken: Vec::new(), bytes: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() + self.broken.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Adds a row of as many cells as there are columns. An empty cell is null.
    pub(super) fn push<'a>(&mut self, line: u64, cells: impl Iterator<Item = Option<&'a str>>) {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            let cell = cell.filter(|text| !text.is_empty());
            self.bytes += cell.map_or(0, str::len);
            column.append_option(cell);
        }
        self.lines.push(line);
    }

    pub(super) fn push_broken(&mut self, line: u64, reason: RejectReason) {
        self.broken.push(BrokenRow { line, reason });
    }

    /// What was added since the last call; nothing if nothing was.
    pub(super) fn take(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        if self.lines.is_empty() && self.broken.is_empty() {
            return Ok(None);
        }
        self.bytes = 0;
        let arrays = self.columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.lines.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| SourceError::caused("its rows make no batch", error))?;
        Ok(Some(SourceBatch {
            batch,
            lines: std::mem::take(&mut self.lines),
            broken: std::mem::take(&mut self.broken),
        }))
    }
}
