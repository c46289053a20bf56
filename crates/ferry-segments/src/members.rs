//! How many members a segment has, by reading it.

use crate::catalogue::SegmentEntry;
use crate::source::{SegmentReader, SourceError};

/// Reads a segment to its end and counts its rows, those too that cannot be read. A file that is written meanwhile is
/// not counted.
pub fn count_members(entry: &SegmentEntry) -> Result<u64, SourceError> {
    let columns = entry.columns()?;
    // One column tells as much of the rows as all of them.
    let first = columns.iter().find(|column| column.mappable).map(|column| column.name.as_str());
    let mut reader = SegmentReader::open(entry, first.as_slice())?;
    let mut members = 0;
    while let Some(found) = reader.next_batch()? {
        members += found.lines.len().max(found.batch.num_rows()) as u64 + found.broken.len() as u64;
    }
    reader.finish()?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::catalogue::Catalogue;

    fn count(format: &str, text: &str) -> Result<u64, SourceError> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("acme")).unwrap();
        let listed = format!("[[segment]]\nid = \"s\"\ndisplay_name = \"s\"\nformat = \"{format}\"\npath = \"s\"\n");
        std::fs::write(root.path().join("acme/catalogue.toml"), listed).unwrap();
        std::fs::write(root.path().join("acme/s"), text).unwrap();
        count_members(&Catalogue::load(root.path(), "acme").unwrap().segments()[0])
    }

    #[test]
    fn every_row_counts_whether_it_can_be_read_or_not() {
        let many = format!("email,name\n{}", "a@b.cd,x\n".repeat(20_000));
        assert_eq!(count("csv", &many).unwrap(), 20_000);
        assert_eq!(count("csv", "email,name\n").unwrap(), 0);
        assert_eq!(count("csv", "email,name\na@b.cd,x\nc@d.ef,y,too much\n\"\",\n").unwrap(), 3);
        assert_eq!(count("jsonl", "{\"email\":\"a@b.cd\"}\nno json\n{\"name\":\"x\"}\n").unwrap(), 3);
        assert!(count("parquet", "no parquet").is_err());
    }
}
