//! Made-up profiles as a segment: a zstd Parquet file and the catalogue that names it.

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::path::Path;
use std::sync::Arc;

const COLUMNS: [&str; 5] = ["email", "first_name", "last_name", "phone", "level"];
const FIRST: [&str; 8] = ["Gabriela", "Leonor", "Matteo", "Ingrid", "Tomasz", "Chidinma", "Haruto", "Solveig"];
const LAST: [&str; 8] = ["Fernandes", "Albuquerque", "Lindqvist", "Okonkwo", "Kowalczyk", "Tanaka", "Marchetti", "Eze"];
/// Rows that are made at once.
const BLOCK: u64 = 20_000;
/// Of 200 rows two repeat the address before them in capitals, and one has none.
const TWINS: [u64; 2] = [50, 150];
const INVALID: u64 = 175;
pub(crate) const PERIOD: u64 = 200;
/// Every hundredth profile has other values in the second snapshot.
const CHANGED: u64 = 100;

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mixture {
    pub(crate) members: u64,
    pub(crate) twins: u64,
    pub(crate) rejected: u64,
}

impl Mixture {
    pub(crate) fn of(members: u64) -> Self {
        let periods = members / PERIOD;
        Self { members, twins: periods * TWINS.len() as u64, rejected: periods }
    }

    pub(crate) fn sent(self) -> u64 {
        self.members - self.twins - self.rejected
    }

    /// Profiles that differ in the second snapshot: none of them is a twin or invalid.
    pub(crate) fn changed(self) -> u64 {
        self.members / CHANGED
    }
}

/// Writes the segment `people` of a tenant. With `changed`, every hundredth profile has another level.
pub(crate) fn write(folder: &Path, members: u64, changed: bool) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let path = folder.join("people.parquet");
    let half = folder.join("people.new");
    let mut writer = None;
    for start in (0..members).step_by(usize::try_from(BLOCK)?) {
        let batch = block(start..members.min(start + BLOCK), changed)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => {
                let file = std::fs::File::create(&half)?;
                none.insert(ArrowWriter::try_new(file, batch.schema(), Some(properties.clone()))?)
            }
        };
        writer.write(&batch)?;
    }
    if let Some(writer) = writer {
        writer.close()?;
        std::fs::rename(half, path)?;
    }
    let catalogue =
        "[[segment]]\nid = \"people\"\ndisplay_name = \"People\"\nformat = \"parquet\"\npath = \"people.parquet\"\n";
    Ok(std::fs::write(folder.join("catalogue.toml"), catalogue)?)
}

fn block(rows: std::ops::Range<u64>, changed: bool) -> anyhow::Result<RecordBatch> {
    let column =
        |make: &dyn Fn(u64) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.clone().map(make))) };
    let pick = |names: [&str; 8], number: u64| names[usize::try_from(number % 8).unwrap_or(0)].to_owned();
    let columns = [
        column(&email),
        column(&|row| pick(FIRST, row)),
        column(&|row| pick(LAST, row / 8)),
        column(&|row| format!("+55 12 9{:08}", row.wrapping_mul(7_919) % 100_000_000)),
        column(&|row| {
            let now = if changed && row % CHANGED == 0 { "platinum" } else { "gold" };
            format!("{now}-{}", row % 10)
        }),
    ];
    Ok(RecordBatch::try_from_iter(COLUMNS.into_iter().zip(columns))?)
}

fn email(row: u64) -> String {
    let address = |row: u64| format!("{}.{row}@customers.example.com", FIRST[usize::try_from(row % 8).unwrap_or(0)]);
    match row % PERIOD {
        INVALID => format!("no address {row}"),
        place if TWINS.contains(&place) => address(row - 1).to_uppercase(),
        _ => address(row),
    }
}
