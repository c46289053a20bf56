//! Measures the making of plans: `measure generate FOLDER ROWS`, then `measure csv|parquet FOLDER`: a first run, the
//! fold of its outcomes, a second run with one row in a hundred changed, and one with nothing changed. Each prints its
//! time, the processor's time, and the most memory. The two commands are apart, so that the memory of the one is not
//! taken for the other's.
#![allow(clippy::print_stdout, reason = "a measurement is for a terminal")]

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use ferry_segments::{
    Catalogue, FileKey, FoldSpec, Leavers, MappedField, Outcome, Outcomes, PackLimits, Place, PlanReader, PlanSummary,
    Renderers, Row, SnapshotControl, SnapshotSpec, StateFile, build_plan, fold,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

type Done<T> = Result<T, Box<dyn Error>>;

const COLUMNS: [&str; 6] = ["customer_id", "first_name", "last_name", "email", "phone", "segment"];

fn main() -> Done<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["generate", folder, rows] => generate(Path::new(folder), rows.parse()?),
        [format, folder] => measure(Path::new(folder), format),
        _ => Err("say `generate FOLDER ROWS`, or `csv FOLDER`, or `parquet FOLDER`".into()),
    }
}

/// One row in a hundred is a twin of the one before, one in two hundred has no address that can be used.
fn cells(row: usize, changed: bool) -> [String; 6] {
    let person = if row % 100 == 99 { row - 1 } else { row };
    let email = match row % 200 {
        50 => format!("maria.{row}"),
        _ => format!("Maria.Goncalves.{person}@Example{}.com", person % 50),
    };
    let custom = if changed && row % 100 == 7 { "Loyal since 2019, north, changed" } else { "Loyal since 2019, north" };
    let (first, last) = (format!("Maria{}", row % 997), format!("Gonçalves {}", row % 1_009));
    [row.to_string(), first, last, email, format!("+55 (12) {:07}", row % 9_999_999), custom.to_owned()]
}

fn generate(folder: &Path, rows: usize) -> Done<()> {
    let tenant = folder.join("acme");
    std::fs::create_dir_all(&tenant)?;
    let mut listed = String::new();
    for name in ["all", "changed"] {
        for format in ["csv", "parquet"] {
            let id = format!("{format}-{name}");
            listed += &format!("[[segment]]\nid = \"{id}\"\ndisplay_name = \"{id}\"\nformat = \"{format}\"\n");
            listed += &format!("path = \"{name}.{format}\"\n");
        }
        write_segment(&tenant, name, rows, name == "changed")?;
    }
    Ok(std::fs::write(tenant.join("catalogue.toml"), listed)?)
}

fn write_segment(tenant: &Path, name: &str, rows: usize, changed: bool) -> Done<()> {
    let mut csv = BufWriter::new(File::create(tenant.join(format!("{name}.csv")))?);
    writeln!(csv, "{}", COLUMNS.join(","))?;
    let mut parquet: Option<ArrowWriter<File>> = None;
    for start in (0..rows).step_by(10_000) {
        let block: Vec<[String; 6]> = (start..rows.min(start + 10_000)).map(|row| cells(row, changed)).collect();
        for row in &block {
            writeln!(csv, "{}", row.each_ref().map(|cell| format!("\"{cell}\"")).join(","))?;
        }
        let column = |place: usize| {
            let texts = block.iter().map(|row| row[place].as_str());
            (COLUMNS[place], Arc::new(StringArray::from_iter_values(texts)) as ArrayRef)
        };
        let batch = RecordBatch::try_from_iter((0..COLUMNS.len()).map(column))?;
        if parquet.is_none() {
            let zstd = Compression::ZSTD(ZstdLevel::try_new(3)?);
            let properties = WriterProperties::builder().set_compression(zstd).build();
            let file = File::create(tenant.join(format!("{name}.parquet")))?;
            parquet = Some(ArrowWriter::try_new(file, batch.schema(), Some(properties))?);
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
    if let Some(value) = row.values.get(3).copied().flatten() {
        out.extend_from_slice(b",\"fields\":[{\"id\":7,\"value\":");
        quoted(out, value);
        out.extend_from_slice(b"}]");
    }
    out.extend_from_slice(b",\"subscribe\":[{\"listid\":1}]}");
}

fn place(folder: &Path, name: &str) -> Place {
    let path = folder.join(format!("run/{name}.parquet"));
    Place { path, key: FileKey::new([2; 32]), aad: name.as_bytes().to_vec() }
}

fn spec(folder: &Path, segment: &str, base: Option<StateFile>) -> Done<SnapshotSpec> {
    let catalogue = Catalogue::load(folder, "acme")?;
    let segment = catalogue.segment(segment).ok_or("no such segment; generate first")?.clone();
    let fields = [("first_name", "first_name"), ("last_name", "last_name"), ("phone", "phone"), ("segment", "7")];
    let field = |(column, field): (&str, &str)| MappedField { column: column.to_owned(), field: field.to_owned() };
    Ok(SnapshotSpec {
        segments: vec![segment],
        email_column: "email".to_owned(),
        fields: fields.map(field).to_vec(),
        constants: Vec::new(),
        digest_key: [1; 32],
        max_members: u64::MAX,
        pack: PackLimits { max_rows: 250, max_bytes: 399_000 },
        base,
        others: Vec::new(),
        suppressed: std::collections::HashSet::new(),
        leavers: Leavers::Unsubscribe,
        full_resync: false,
        now_ms: 0,
        plan: place(folder, "plan"),
        rejected: place(folder, "rejected"),
        samples: None,
    })
}

fn measure(folder: &Path, format: &str) -> Done<()> {
    let all = format!("{format}-all");
    let first = plan(folder, "first run", &all, None)?;
    let seal = place(folder, "plan");
    let verified = timed("verified", || Ok(PlanReader::open(&seal.path, &seal.key, &seal.aad)?.verify()?))?;
    if verified != first.plan_digest {
        return Err("the plan is another".into());
    }
    let to = place(folder, "state");
    let folded = timed("folded", || {
        let mut outcomes = Outcomes::none_sent(first.planned + first.removals);
        outcomes.set(0..first.planned, Outcome::Confirmed);
        let spec = FoldSpec { base: None, plan: seal.clone(), planned: first.planned, to: to.clone(), now_ms: 0 };
        Ok(fold(&spec, &outcomes)?)
    })?;
    println!("  {} people, {} bytes", folded.rows, std::fs::metadata(&to.path)?.len());
    let state = StateFile { place: to, digest: folded.digest };
    plan(folder, "second run, 1 % changed", &format!("{format}-changed"), Some(state.clone()))?;
    plan(folder, "third run, nothing changed", &all, Some(state))?;
    Ok(())
}

fn plan(folder: &Path, what: &str, segment: &str, base: Option<StateFile>) -> Done<PlanSummary> {
    let spec = spec(folder, segment, base)?;
    let left = |email: &str, out: &mut Vec<u8>| out.extend_from_slice(email.as_bytes());
    let renderers = Renderers { member: &render, left: &left };
    let found = timed(what, || Ok(build_plan(&spec, &renderers, &SnapshotControl::default())?))?;
    println!(
        "  {} members: {} rejected, {} twins, {} unchanged, {} added, {} changed, {} removed; {} batches, {} bytes",
        found.members,
        found.rejected,
        found.twins,
        found.unchanged,
        found.adds,
        found.changes,
        found.removals,
        found.batch_rows.len(),
        std::fs::metadata(&spec.plan.path)?.len()
    );
    Ok(found)
}

/// Prints how long something took, of how much of the processor, and the most memory meanwhile.
fn timed<T>(what: &str, work: impl FnOnce() -> Done<T>) -> Done<T> {
    // Resets the most memory so far (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5")?;
    let (start, before) = (Instant::now(), processor()?);
    let done = work()?;
    let (took, cpu) = (start.elapsed(), processor()? - before);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("{what}: {took:.2?}, {cpu:.2} s of processor, peak {}", peak.trim());
    Ok(done)
}

/// Seconds of the processor so far: user and system, in hundredths (proc(5)).
fn processor() -> Done<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit_once(')').ok_or("proc(5)")?.1;
    let ticks: Vec<&str> = after.split_whitespace().skip(11).take(2).collect();
    Ok(ticks.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}
