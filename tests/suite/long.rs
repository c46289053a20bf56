//! Runs of a million profiles, in a release build: `tests/run --long`.

#![allow(clippy::print_stdout, reason = "the figures of a long run are for whoever asked for it")]

use ferry_proto::v1::run::State;
use ferry_testkit::{Stage, StageOptions, adds_up, eventually};
use std::io::Write;
use std::time::{Duration, Instant};

const MEMBERS: u64 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(600);

/// The long tests ask for it, since an unoptimised build would take too long.
fn asked() -> bool {
    std::env::var_os("FERRY_TEST_LONG").is_some()
}

/// One row in 200 has no usable address, one in 100 is a twin.
fn write(path: &std::path::Path) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(file, "email,first_name").unwrap();
    for number in 0..MEMBERS {
        match number % 200 {
            150 => writeln!(file, "no address {number},Nobody").unwrap(),
            50 | 100 => writeln!(file, "PERSON.{}@example.com,Twin", number - 1).unwrap(),
            _ => writeln!(file, "person.{number}@example.com,Person {number}").unwrap(),
        }
    }
}

async fn million(kill: bool) {
    let mut stage = Stage::with(StageOptions { time_scale: 100.0 }).await;
    stage.segment_written("people", "csv", write);
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let begun = Instant::now();
    let run = stage.run(&export.name).await;
    if kill {
        eventually(LIMIT, || async {
            let seen = stage.sim.report().batches_accepted;
            if seen >= 2_000 { Ok(()) } else { Err(seen) }
        })
        .await;
        stage.kill();
        stage.start().await;
    }
    let run = stage.ended(&run.name, LIMIT).await;
    let took = begun.elapsed();
    let counts = run.counts.unwrap();
    let report = stage.sim.report();
    let peak = stage.service().peak_memory() / (1024 * 1024);
    println!(
        "{:.1} s real, {:.1} min of the destination's time, peak memory {peak} MiB",
        took.as_secs_f64(),
        took.as_secs_f64() * 100.0 / 60.0
    );
    println!("{counts:?}");
    println!("{report:?}");
    assert_eq!(run.state(), State::Succeeded, "{:?}", run.error);
    assert!(adds_up(&counts));
    assert_eq!((counts.members, counts.rejected, counts.twins), (1_000_000, 5_000, 10_000));
    assert_eq!((counts.confirmed, counts.refused), (985_000, 0));
    assert_eq!((report.contacts_confirmed, report.windows_exceeded), (985_000, 0));
    assert!(report.extra_deliveries <= if kill { 1_000 } else { 0 });
    assert!(peak < 256, "{peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_million_profiles() {
    if asked() {
        million(false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_million_profiles_with_a_kill_in_the_middle() {
    if asked() {
        million(true).await;
    }
}
