//! The first rows of a segment, as they are.

use crate::catalogue::{Column, SegmentEntry};
use crate::source::{SegmentReader, SourceError};
use arrow_array::{Array, StringArray};

/// Rows of a segment. Holds personal data, so it cannot be printed.
pub struct Preview {
    /// The columns, in the order of the cells.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Reads at most `limit` rows.
pub fn preview(entry: &SegmentEntry, limit: usize) -> Result<Preview, SourceError> {
    let mut columns = entry.columns()?;
    columns.retain(|column| column.mappable);
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut reader = SegmentReader::open(entry, &names)?;
    let mut rows = Vec::with_capacity(limit);
    while rows.len() < limit {
        let Some(found) = reader.next_batch()? else { break };
        let texts: Vec<&StringArray> =
            found.batch.columns().iter().filter_map(|column| column.as_any().downcast_ref()).collect();
        for row in 0..found.batch.num_rows().min(limit - rows.len()) {
            rows.push(texts.iter().map(|text| text.is_valid(row).then(|| text.value(row).to_owned())).collect());
        }
    }
    Ok(Preview { columns, rows })
}
