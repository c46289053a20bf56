//! Runs of a million profiles, in a release build: `tests/run --long`.

#![allow(clippy::print_stdout, reason = "the figures of a long run are for whoever asked for it")]

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::{Stage, StageOptions, TENANT, adds_up, asked, canary, eventually};
use std::io::Write;
use std::time::{Duration, Instant};

const MEMBERS: u64 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(600);

/// One row in 200 has no usable address, one in 100 is a twin.
fn write(path: &std::path::Path) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(file, "email,first_name").unwrap();
    for number in 0..MEMBERS {
        match number % 200 {
            150 => writeln!(file, "no address,{}", canary::name(number)).unwrap(),
            50 | 100 => writeln!(file, "{},Twin", canary::email(number - 1).to_uppercase()).unwrap(),
            _ => file.write_all(canary::row(number).as_bytes()).unwrap(),
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
    whereabouts_are_told_at_once(&stage).await;
}

/// Where a person's data went, asked over the wire and put on record each time.
async fn whereabouts_are_told_at_once(stage: &Stage) {
    const ASKED: u64 = 500;
    let mut client = stage.client("administrator").await;
    let mut took = Vec::new();
    // Below the calls a second that a tenant has.
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    for number in 0..ASKED {
        pace.tick().await;
        let person = number * (MEMBERS / ASKED) + 1;
        let request = pb::FindRecipientsRequest { parent: format!("tenants/{TENANT}"), email: canary::email(person) };
        let begun = Instant::now();
        let found = client.audit.find_recipients(request).await.unwrap().into_inner().recipients;
        took.push(begun.elapsed());
        assert_eq!(found.len(), 1, "person {person}");
    }
    took.sort_unstable();
    let at = |percent: usize| took[took.len() * percent / 100 - 1].as_secs_f64() * 1_000.0;
    println!(
        "FindRecipients: half within {:.1} ms, 95 % within {:.1} ms, 99 % within {:.1} ms",
        at(50),
        at(95),
        at(99)
    );
    assert!(at(95) <= 50.0, "{:.1} ms", at(95));
}

/// How much faster than real the simulator's minutes pass where they are counted.
const COUNTED_SCALE: f64 = 20.0;
const MOST_MINUTES_UNTIL_QUEUED: f64 = 41.0;
const MOST_MINUTES_UNTIL_SETTLED: f64 = 42.0;

fn write_clean(path: &std::path::Path) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(file, "email,first_name").unwrap();
    for number in 0..MEMBERS {
        writeln!(file, "person.{number}@example.com,Person {number}").unwrap();
    }
}

/// 4,000 imports at 100 a minute are 40 minutes. All minutes are the simulator's, by its own clock; what Ferry does
/// before the first import is measured in real time and counted as if it took as many times longer.
async fn at_the_documented_limits() {
    let stage = Stage::with(StageOptions { time_scale: COUNTED_SCALE }).await;
    stage.segment_written("people", "csv", write_clean);
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let begun = Instant::now();
    let run = stage.run(&export.name).await;
    eventually(LIMIT, || async { if stage.sim.report().batches_accepted > 0 { Ok(()) } else { Err(()) } }).await;
    let planned = begun.elapsed();
    let run = stage.ended(&run.name, LIMIT).await;
    let took = begun.elapsed();
    let report = stage.sim.report();
    let minutes = |from: u64, to: u64| (to - from) as f64 / 60_000.0;
    let before = planned.as_secs_f64() * COUNTED_SCALE / 60.0;
    let queued = minutes(report.first_import_ms, report.last_import_ms);
    let settled = minutes(report.first_import_ms, report.last_status_ms);
    println!(
        "planned in {:.2} s real; last import {queued:.2} min and last result {settled:.2} min after the first import; \
         with the planning, scaled too: {:.2} min and {:.2} min; RunExport to its end: {:.2} min",
        planned.as_secs_f64(),
        before + queued,
        before + settled,
        took.as_secs_f64() * COUNTED_SCALE / 60.0,
    );
    println!(
        "imports {:?}; most imports in a minute {}, most requests in a second {}, over a limit {}",
        report.requests, report.largest_minute_import_many, report.largest_second, report.windows_exceeded,
    );
    let service = stage.service();
    let (cpu, peak) = (service.cpu_time().as_secs_f64(), service.peak_memory() / (1024 * 1024));
    println!("the service: {cpu:.1} s of processor time, peak memory {peak} MiB");
    assert_eq!(run.state(), State::Succeeded, "{:?}", run.error);
    assert_eq!((report.contacts_confirmed, report.extra_deliveries, report.windows_exceeded), (MEMBERS, 0, 0));
    assert!(report.largest_minute_import_many <= 100 && report.largest_second <= 5, "{report:?}");
    assert!(before + queued <= MOST_MINUTES_UNTIL_QUEUED, "{:.2} min until the last is queued", before + queued);
    assert!(before + settled <= MOST_MINUTES_UNTIL_SETTLED, "{:.2} min until the last is settled", before + settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_million_profiles_at_the_documented_limits() {
    if asked() {
        at_the_documented_limits().await;
    }
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
