//! Apache Parquet. Only the mapped columns are decoded; numbers, booleans and dates become text.

use super::{BATCH_ROWS, SourceBatch, SourceError};
use crate::catalogue::Column;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::sync::Arc;

pub(super) struct ParquetReader {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    positions: Vec<usize>,
    row: u64,
}

fn builder(file: File) -> Result<ParquetRecordBatchReaderBuilder<File>, SourceError> {
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| not_parquet())
}

fn not_parquet() -> SourceError {
    SourceError::Broken("it is not a whole Parquet file".to_owned())
}

pub(super) fn columns(file: File) -> Result<Vec<Column>, SourceError> {
    let builder = builder(file)?;
    let column = |field: &Arc<Field>| Column {
        name: field.name().clone(),
        data_type: field.data_type().to_string().to_lowercase(),
        mappable: becomes_text(field.data_type()),
    };
    Ok(builder.schema().fields().iter().map(column).collect())
}

fn becomes_text(data_type: &DataType) -> bool {
    !data_type.is_nested() && !data_type.is_binary() && arrow_cast::can_cast_types(data_type, &DataType::Utf8)
}

impl ParquetReader {
    pub(super) fn open(file: File, columns: &[&str]) -> Result<Self, SourceError> {
        let builder = builder(file)?;
        for column in columns {
            let field = builder.schema().field_with_name(column);
            let field = field.map_err(|_| SourceError::ColumnNotFound { column: (*column).to_owned() })?;
            if !becomes_text(field.data_type()) {
                let what = format!("its column `{column}` ({}) cannot be written as text", field.data_type());
                return Err(SourceError::Broken(what));
            }
        }
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|_| not_parquet())?;
        let found = reader.schema();
        let position = |column: &&str| {
            found.index_of(column).map_err(|_| SourceError::ColumnNotFound { column: (*column).to_owned() })
        };
        let positions = columns.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        Ok(Self { reader, schema: Arc::new(Schema::new(fields)), positions, row: 0 })
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|_| not_parquet())?;
        let text = |position: &usize| {
            arrow_cast::cast(batch.column(*position), &DataType::Utf8)
                .map_err(|_| SourceError::Broken("a value of it cannot be written as text".to_owned()))
        };
        let columns = self.positions.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let rows = batch.num_rows() as u64;
        let lines = (self.row + 1..=self.row + rows).collect();
        self.row += rows;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|_| not_parquet())?;
        Ok(Some(SourceBatch { batch, lines, broken: Vec::new() }))
    }
}
