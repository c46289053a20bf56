//! Apache Parquet. Only the mapped columns are decoded; numbers, booleans, dates and times become text, times that have
//! a zone in UTC.
//!
//! Text is decoded as views, which share the pages they lie in: a long value that a dictionary repeats in every row is
//! in memory once, and becomes rows only as fast as these are taken.

use super::rows::{BATCH_ROWS, Rows};
use super::{ROW_BYTES, SourceBatch, SourceError};
use crate::catalogue::Column;
use crate::normalise::RejectReason;
use arrow_array::{Array, ArrayRef, RecordBatchReader, StringArray, StringViewArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(super) struct ParquetReader {
    reader: ParquetRecordBatchReader,
    /// For each column that was asked for, where it is in a decoded batch.
    positions: Vec<usize>,
    decoded: Option<Decoded>,
    row: u64,
    rows: Rows,
}

/// A decoded batch and how far it was taken.
struct Decoded {
    texts: Vec<Text>,
    rows: usize,
    next: usize,
}

enum Text {
    View(StringViewArray),
    Cast(StringArray),
}

impl Text {
    fn cell(&self, row: usize) -> Option<&str> {
        match self {
            Self::View(text) => text.is_valid(row).then(|| text.value(row)),
            Self::Cast(text) => text.is_valid(row).then(|| text.value(row)),
        }
    }
}

fn not_parquet(cause: impl fmt::Display) -> SourceError {
    SourceError::caused("it is not a whole Parquet file", cause)
}

/// The decoder promises errors, not panics, for a file that lies about itself; this holds it to that.
fn guarded<T, E: fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, SourceError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(not_parquet),
        Err(_) => Err(not_parquet("the decoder panicked")),
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_text(value),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

fn becomes_text(data_type: &DataType) -> bool {
    is_text(data_type)
        || (!data_type.is_nested()
            && !data_type.is_binary()
            && !matches!(data_type, DataType::Dictionary(..))
            && arrow_cast::can_cast_types(data_type, &DataType::Utf8))
}

pub(super) fn columns(file: File) -> Result<Vec<Column>, SourceError> {
    let metadata = guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
    let column = |field: &Arc<Field>| Column {
        name: field.name().clone(),
        data_type: field.data_type().to_string().to_lowercase(),
        mappable: becomes_text(field.data_type()),
    };
    Ok(metadata.schema().fields().iter().map(column).collect())
}

/// The same columns, all text as views.
fn with_views(schema: &Schema) -> Arc<Schema> {
    let view = |field: &Arc<Field>| {
        let text = is_text(field.data_type());
        if text { Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)) } else { Arc::clone(field) }
    };
    let fields: Vec<Arc<Field>> = schema.fields().iter().map(view).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

impl ParquetReader {
    pub(super) fn open(file: File, columns: &[&str]) -> Result<Self, SourceError> {
        let plain = guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        let roots = columns.iter().map(|column| root(plain.schema(), column)).collect::<Result<Vec<_>, _>>()?;
        let options = ArrowReaderOptions::new().with_schema(with_views(plain.schema()));
        let reader = guarded(|| {
            let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
            builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()
        })?;
        let found = reader.schema();
        let position = |column: &&str| found.index_of(column).map_err(|_| SourceError::not_found(column));
        let positions = columns.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { reader, positions, decoded: None, row: 0, rows: Rows::new(columns.iter().copied()) })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        while !self.rows.is_full() {
            if self.decoded.is_none() {
                self.decoded = self.decode()?;
            }
            let Some(decoded) = &mut self.decoded else { break };
            while decoded.next < decoded.rows && !self.rows.is_full() {
                self.row += 1;
                let cells = || decoded.texts.iter().map(|text| text.cell(decoded.next));
                if cells().flatten().all(|cell| cell.len() <= ROW_BYTES) {
                    self.rows.push(self.row, cells());
                } else {
                    self.rows.push_broken(self.row, RejectReason::RowTooLarge);
                }
                decoded.next += 1;
            }
            if decoded.next == decoded.rows {
                self.decoded = None;
            }
        }
        self.rows.take()
    }

    fn decode(&mut self) -> Result<Option<Decoded>, SourceError> {
        let reader = &mut self.reader;
        let Some(batch) = guarded(|| reader.next().transpose())? else { return Ok(None) };
        let text = |position: &usize| text(batch.column(*position));
        let texts = self.positions.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Decoded { texts, rows: batch.num_rows(), next: 0 }))
    }
}

/// Where a column is among the top ones of the file.
fn root(schema: &Schema, column: &str) -> Result<usize, SourceError> {
    let mut found = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == column);
    let Some((position, field)) = found.next() else { return Err(SourceError::not_found(column)) };
    if found.next().is_some() {
        return Err(SourceError::broken(format!("it has more than one column `{column}`")));
    }
    if !becomes_text(field.data_type()) {
        let what = format!("its column `{column}` ({}) cannot be written as text", field.data_type());
        return Err(SourceError::broken(what));
    }
    Ok(position)
}

fn text(column: &ArrayRef) -> Result<Text, SourceError> {
    if let Some(views) = column.as_any().downcast_ref::<StringViewArray>() {
        return Ok(Text::View(views.clone()));
    }
    let cast = guarded(|| match column.data_type() {
        // The values count from 1970 UTC whatever the zone is called, and names of zones are not known here.
        DataType::Timestamp(unit, Some(_)) => {
            let utc = arrow_cast::cast(column, &DataType::Timestamp(*unit, Some("+00:00".into())))?;
            arrow_cast::cast(&utc, &DataType::Utf8)
        }
        _ => arrow_cast::cast(column, &DataType::Utf8),
    })?;
    let cast = cast.as_any().downcast_ref::<StringArray>().cloned();
    cast.map(Text::Cast).ok_or_else(|| SourceError::broken("a value of it cannot be written as text"))
}
