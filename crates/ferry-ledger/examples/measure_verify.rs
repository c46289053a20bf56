//! Measures the verifier: `measure generate FILE ENTRIES`, then `measure verify FILE`. With a third word `late` the file
//! is as bad as it can be for the memory: one run that is anchored at its end alone, and all checkpoints at the end.
//! The two commands are apart, so that the memory of the one is not taken for the other's.
#![allow(clippy::print_stdout, reason = "a measurement is for a terminal")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Log, OWN, key};
use ferry_ledger::verify::verify;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::time::Instant;

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> Done<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["generate", path, entries] => generate(path, entries.parse()?, false),
        ["generate", path, entries, "late"] => generate(path, entries.parse()?, true),
        ["verify", path] => measure(path),
        _ => Err("say `generate FILE ENTRIES [late]`, or `verify FILE`".into()),
    }
}

/// Runs of 1,000 entries, as of 333 batches each, a change by a person now and then, a checkpoint after 1,000 entries.
fn generate(path: &str, entries: usize, late: bool) -> Done<()> {
    let (mut log, mut made) = (Log::new(), 0);
    let mut file = BufWriter::new(File::create(path)?);
    let mut head = log.file();
    let mut run_number = 0;
    while made < entries {
        let run = format!("{OWN}/exports/daily/runs/{run_number:08}-7a7e-7000-8000-000000000000");
        run_number += usize::from(!late);
        if made == 0 || !late {
            log.own("EXPORT_CHANGED");
            log.anchor("RUN_STARTED", &run);
        }
        for batch in 0..333 {
            log.attempt(&run, &format!("0198{made:08x}-7a7e-7000-8000-{batch:012}"));
            log.append(&run, "EGRESS_SETTLED", &run, &[("batch", "17"), ("confirmed", "250"), ("refused", "0")]);
        }
        if !late || made + log.items.len() >= entries {
            log.anchor("RUN_ENDED", &run);
            log.seal(3, None);
        }
        made += log.items.iter_mut().filter_map(common::Item::row).count();
        file.write_all(&head)?;
        head = Vec::new();
        let block = common::file(&std::mem::take(&mut log.items));
        // Each block is a file of its own but for its first line.
        let start = block.iter().position(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        file.write_all(&block[start..])?;
    }
    file.flush()?;
    println!("{made} entries, {} MiB", std::fs::metadata(path)?.len() >> 20);
    Ok(())
}

fn measure(path: &str) -> Done<()> {
    let begin = Instant::now();
    let report = verify(BufReader::with_capacity(256 * 1024, File::open(path)?), &key(1), &[])?;
    let seconds = begin.elapsed().as_secs_f64();
    print!("{report}");
    println!("{seconds:.2} s, {:.0} entries a second", report.entries as f64 / seconds);
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("no VmHWM"));
    Ok(())
}
