//! Measures the making of a plan: `measure generate FOLDER ROWS`, then `measure csv|parquet FOLDER` under
//! `/usr/bin/time -v` for the memory. The two are apart, so that the memory of the one is not taken for the other's.
#![allow(clippy::print_stdout, reason = "a measurement is for a terminal")]

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use ferry_segments::{
    Catalogue, FileKey, PackLimits, PlanReader, Row, SnapshotControl, SnapshotSpec, build_plan, preview,
};
use parquet::arrow::ArrowWriter;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const COLUMNS: [&str; 6] = ["customer_id", "first_name", "last_name", "email", "phone", "city"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["generate", folder, rows] => generate(Path::new(folder), rows.parse()?),
        [format, folder] => measure(Path::new(folder), format),
        _ => Err("say `generate FOLDER ROWS`, or `csv FOLDER`, or `parquet FOLDER`".into()),
    }
}

fn cells(row: usize) -> [String; 6] {
    let (first, last) = (format!("Maria{}", row % 997), format!("Gonçalves {}", row % 1_009));
    let email = format!("Maria.{row}@Example{}.com", row % 50);
    [row.to_string(), first, last, email, format!("+55 (12) {:07}", row % 9_999_999), "São José dos Campos".to_owned()]
}

fn generate(folder: &Path, rows: usize) -> Result<(), Box<dyn Error>> {
    let tenant = folder.join("acme");
    std::fs::create_dir_all(&tenant)?;
    let segment = |format: &str| {
        format!(
            "[[segment]]\nid = \"{format}\"\ndisplay_name = \"{format}\"\nformat = \"{format}\"\npath = \"all.{format}\"\n"
        )
    };
    std::fs::write(tenant.join("catalogue.toml"), segment("csv") + &segment("parquet"))?;
    let mut csv = BufWriter::new(File::create(tenant.join("all.csv"))?);
    writeln!(csv, "{}", COLUMNS.join(","))?;
    let mut parquet: Option<ArrowWriter<File>> = None;
    for start in (0..rows).step_by(10_000) {
        let block: Vec<[String; 6]> = (start..rows.min(start + 10_000)).map(cells).collect();
        for row in &block {
            writeln!(csv, "{}", row.join(","))?;
        }
        let column = |place: usize| {
            let texts = block.iter().map(|row| row[place].as_str());
            (COLUMNS[place], Arc::new(StringArray::from_iter_values(texts)) as ArrayRef)
        };
        let batch = RecordBatch::try_from_iter((0..COLUMNS.len()).map(column))?;
        if parquet.is_none() {
            parquet = Some(ArrowWriter::try_new(File::create(tenant.join("all.parquet"))?, batch.schema(), None)?);
        }
        parquet.as_mut().ok_or("made just before")?.write(&batch)?;
    }
    csv.flush()?;
    parquet.ok_or("no rows")?.close()?;
    Ok(())
}

fn render(row: &Row<'_>, out: &mut Vec<u8>) {
    let quoted = |out: &mut Vec<u8>, text: &str| {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    };
    out.extend_from_slice(b"{\"email\":");
    quoted(out, row.email);
    for (name, value) in ["first_name", "last_name", "phone"].iter().zip(row.values) {
        if let Some(value) = value {
            out.push(b',');
            quoted(out, name);
            out.push(b':');
            quoted(out, value);
        }
    }
    out.extend_from_slice(b",\"subscribe\":[{\"listid\":1}]}");
}

fn measure(folder: &Path, format: &str) -> Result<(), Box<dyn Error>> {
    let catalogue = Catalogue::load(folder, "acme")?;
    let segment = catalogue.segment(format).ok_or("no such segment; generate first")?;
    let shown = preview(segment, 10)?;
    let spec = SnapshotSpec {
        segments: vec![segment.clone()],
        email_column: "email".to_owned(),
        value_columns: ["first_name", "last_name", "phone"].map(str::to_owned).to_vec(),
        digest_key: [1; 32],
        max_members: u64::MAX,
        pack: PackLimits { max_rows: 250, max_bytes: 399_000 },
        plan_path: folder.join("run/plan.parquet"),
        rejected_path: folder.join("run/rejected.parquet"),
        file_key: FileKey::new([2; 32]),
        plan_aad: b"plan".to_vec(),
        rejected_aad: b"rejected".to_vec(),
    };
    let (plan, key) = (spec.plan_path.clone(), spec.file_key.clone());
    let start = Instant::now();
    let summary = build_plan(spec, &render, &SnapshotControl::default())?;
    let made = start.elapsed();
    println!("{format}: {} members, {} planned, {} columns", summary.members, summary.planned, shown.columns.len());
    println!("plan made in {made:.2?}: {:.0} rows/s", summary.members as f64 / made.as_secs_f64());
    println!("plan size {} bytes, {} batches", std::fs::metadata(&plan)?.len(), summary.batch_rows.len());
    let start = Instant::now();
    let same = PlanReader::open(&plan, &key, b"plan")?.verify()? == summary.plan_digest;
    println!("verified in {:.2?}: {same}", start.elapsed());
    let start = Instant::now();
    let mut reader = PlanReader::open(&plan, &key, b"plan")?;
    for batch in (0..summary.planned).step_by(25_000) {
        reader.seek(batch)?;
        reader.read(250)?;
    }
    println!("{} seeks in {:.2?}", summary.planned.div_ceil(25_000), start.elapsed());
    Ok(())
}
