//! The first rows of a segment, as they are, but for cells that are too long to be looked at.

use crate::catalogue::{Column, SegmentEntry};
use crate::source::{SegmentReader, SourceError};
use arrow_array::{Array, StringArray};

/// Rows of a preview, at most.
pub const PREVIEW_ROWS: usize = 100;
/// Bytes of a cell of a preview; a longer one ends with an ellipsis.
const CELL_BYTES: usize = 1_024;
/// Bytes after which no further row is shown, so that a preview fits into an answer.
const PREVIEW_BYTES: usize = 1024 * 1024;

/// Rows of a segment. Holds personal data, so it cannot be printed.
pub struct Preview {
    /// The columns, in the order of the cells.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Reads at most `limit` rows, and never more than [`PREVIEW_ROWS`]. Broken rows and unmappable columns are left out.
pub fn preview(entry: &SegmentEntry, limit: usize) -> Result<Preview, SourceError> {
    let mut columns = entry.columns()?;
    columns.retain(|column| column.mappable);
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut reader = SegmentReader::open(entry, &names)?;
    let limit = limit.min(PREVIEW_ROWS);
    let (mut rows, mut bytes) = (Vec::with_capacity(limit), 0);
    while rows.len() < limit && bytes < PREVIEW_BYTES {
        let Some(found) = reader.next_batch()? else { break };
        let texts: Vec<&StringArray> =
            found.batch.columns().iter().filter_map(|column| column.as_any().downcast_ref()).collect();
        for row in 0..found.batch.num_rows() {
            if rows.len() == limit || bytes >= PREVIEW_BYTES {
                break;
            }
            let cells = texts.iter().map(|text| text.is_valid(row).then(|| shown(text.value(row))));
            let cells: Vec<Option<String>> = cells.collect();
            bytes += cells.iter().flatten().map(String::len).sum::<usize>();
            rows.push(cells);
        }
    }
    Ok(Preview { columns, rows })
}

pub(crate) fn shown(text: &str) -> String {
    if text.len() <= CELL_BYTES {
        text.to_owned()
    } else {
        format!("{}…", &text[..text.floor_char_boundary(CELL_BYTES)])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::catalogue::Catalogue;

    fn show(format: &str, text: &str, limit: usize) -> Preview {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("acme")).unwrap();
        let listed = format!("[[segment]]\nid = \"s\"\ndisplay_name = \"s\"\nformat = \"{format}\"\npath = \"s\"\n");
        std::fs::write(root.path().join("acme/catalogue.toml"), listed).unwrap();
        std::fs::write(root.path().join("acme/s"), text).unwrap();
        preview(&Catalogue::load(root.path(), "acme").unwrap().segments()[0], limit).unwrap()
    }

    #[test]
    fn no_more_rows_than_a_preview_may_have() {
        let text = format!("email\n{}", "a@b.cd\n".repeat(500));
        assert_eq!(show("csv", &text, 3).rows.len(), 3);
        assert_eq!(show("csv", &text, usize::MAX).rows.len(), PREVIEW_ROWS);
    }

    #[test]
    fn long_cells_end_with_an_ellipsis() {
        let shown = show("csv", &format!("email\n{}\n", "ã".repeat(100_000)), 1);
        assert_eq!(shown.rows[0][0].as_deref(), Some(format!("{}…", "ã".repeat(512)).as_str()));
    }

    #[test]
    fn a_nested_column_does_not_hide_the_others() {
        let shown = show("jsonl", "{\"a\":{\"b\":1},\"email\":\"x@y.zz\"}\n", 10);
        assert_eq!(shown.rows, [[Some("x@y.zz".to_owned())]]);
    }
}
