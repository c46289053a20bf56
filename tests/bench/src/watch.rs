//! (e) Many who watch runs that move: how long a change takes to reach them, what each costs, and whether those that
//! read nothing are a burden to the others.
//!
//! A dry run now and then makes changes of known times: the service writes down when a run was queued, begun and ended,
//! and both sides read the same clock.

use crate::WatchArgs;
use crate::measure;
use crate::service::{Bench, tenant};
use anyhow::Context;
use ferry_proto::v1 as pb;
use ferry_proto::v1::run_service_client::RunServiceClient;
use ferry_proto::v1::watch_runs_response::Event;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

/// Streams of one caller, as the service allows.
const OF_CALLER: u64 = 20;
/// Between two dry runs of a tenant.
const PROBE: Duration = Duration::from_secs(2);
/// A stream window in which next to nothing fits, for those that do not read.
const NARROW: u32 = 1_024;
const KIB: f64 = 1_024.0;

type Stream = Streaming<pb::WatchRunsResponse>;

/// What all readers see together.
#[derive(Default)]
struct Meter {
    latencies: Mutex<Vec<u64>>,
    messages: AtomicU64,
    is_on: AtomicBool,
}

impl Meter {
    /// What was seen within a while.
    async fn over(&self, bench: &Bench, what: &str, span: Duration) -> anyhow::Result<u64> {
        let cpu = bench.service().cpu_time();
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.messages.store(0, Ordering::Relaxed);
        self.is_on.store(true, Ordering::Relaxed);
        tokio::time::sleep(span).await;
        self.is_on.store(false, Ordering::Relaxed);
        let mut seen = std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner));
        seen.sort_unstable();
        anyhow::ensure!(!seen.is_empty(), "no change was seen");
        let at = |part: f64| seen[((seen.len() - 1) as f64 * part) as usize];
        let seconds = span.as_secs_f64();
        println!(
            "  {what}: {} changes seen, after {} ms (median), {} ms (99 %), {} ms (longest); {:.0} messages/s; \
             {:.2} of a core",
            seen.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            self.messages.load(Ordering::Relaxed) as f64 / seconds,
            (bench.service().cpu_time() - cpu).as_secs_f64() / seconds,
        );
        Ok(at(0.99))
    }

    fn note(&self, run: &pb::Run, known: &mut HashSet<(String, i32)>) {
        use pb::run::State;
        let time = match run.state() {
            State::Queued => run.create_time,
            State::Processing => run.start_time,
            _ => run.end_time,
        };
        let Some(time) = time.filter(|_| run.dry_run && known.insert((run.name.clone(), run.state))) else { return };
        if self.is_on.load(Ordering::Relaxed) {
            let then = time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let took = i64::try_from(now).unwrap_or(i64::MAX) - then;
            let took = u64::try_from(took).unwrap_or(0);
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        }
    }
}

pub(crate) async fn run(args: &WatchArgs) -> anyhow::Result<()> {
    let members = args.profiles / args.runs / crate::data::PERIOD * crate::data::PERIOD;
    anyhow::ensure!(members > 0 && args.watchers >= args.runs, "too few profiles or watchers");
    // Twice as fast as the destination allows: each run moves for minutes, and this machine is not busy with it.
    let bench = Bench::start_with(args.runs, members, &["--development-time-scale=2".to_owned()]).await?;
    let mut exports = Vec::new();
    for number in 0..args.runs {
        exports.push((bench.set_up(number).await?, probe(&bench, number).await?));
    }
    let each = args.watchers / args.runs;
    let meter = Arc::new(Meter::default());
    let before = bench.service().memory();
    let mut readers = JoinSet::new();
    for stream in open(&bench, args.runs, each, "reader", None).await? {
        readers.spawn(read(stream, Arc::clone(&meter)));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let count = (each * args.runs) as f64;
    let per = |now: u64, count: f64| now.saturating_sub(before) as f64 / KIB / count;
    println!("watch: {count} watchers of {} runs", args.runs);
    println!("  quiet: {:.1} KiB of the service's memory for each watcher", per(bench.service().memory(), count));
    for (number, (export, _)) in (0..).zip(&exports) {
        measure::begin(&mut bench.client(number).await?, export).await?;
    }
    moving(&bench, &exports).await?;
    let mut probes = JoinSet::new();
    for (number, (_, export)) in (0..).zip(exports) {
        let mut client = bench.client(number).await?;
        probes.spawn(async move {
            loop {
                let request = pb::PlanExportRequest { name: export.clone(), ..pb::PlanExportRequest::default() };
                client.exports.plan_export(request).await?;
                tokio::time::sleep(PROBE).await;
            }
            #[allow(unreachable_code, reason = "it says what the failures are")]
            anyhow::Ok(())
        });
    }
    let span = Duration::from_secs(args.seconds);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let alone = meter.over(&bench, "moving", span).await?;
    println!("  moving: {:.1} KiB for each watcher, what the runs take included", per(bench.service().memory(), count));
    let deaf = open(&bench, args.runs, args.deaf / args.runs, "deaf", Some(NARROW)).await?;
    println!("  and {} that read nothing", deaf.len());
    let beside = meter.over(&bench, "moving", span).await?;
    println!("  99 %: {alone} ms alone, {beside} ms beside them");
    anyhow::ensure!(probes.try_join_next().is_none(), "a dry run could not be asked for");
    anyhow::ensure!(readers.try_join_next().is_none(), "a reader's stream has ended");
    drop(deaf);
    Ok(())
}

/// Waits until every run sends.
async fn moving(bench: &Bench, exports: &[(String, String)]) -> anyhow::Result<()> {
    let begun = Instant::now();
    for (number, (export, _)) in (0..).zip(exports) {
        let mut client = bench.client(number).await?;
        loop {
            let request = pb::ListRunsRequest { parent: export.clone(), page_size: 1, ..Default::default() };
            let runs = client.runs.list_runs(request).await?.into_inner().runs;
            if runs.first().is_some_and(|run| run.batches_settled > 0) {
                break;
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(300), "no run begins to send");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// An export of a few profiles, whose dry runs cost next to nothing.
async fn probe(bench: &Bench, number: u64) -> anyhow::Result<String> {
    let folder = bench.segments(number);
    std::fs::write(
        folder.join("probe.csv"),
        "email,first_name,last_name,phone,level\nada@example.com,Ada,Eze,+55 12 900000000,gold\n",
    )?;
    let catalogue = folder.join("catalogue.toml");
    let entry = "\n[[segment]]\nid = \"probe\"\ndisplay_name = \"Probe\"\nformat = \"csv\"\npath = \"probe.csv\"\n";
    std::fs::write(&catalogue, std::fs::read_to_string(&catalogue)? + entry)?;
    bench.add_export(number, "probe", "probe").await
}

/// So many streams for each tenant, twenty of one caller.
async fn open(bench: &Bench, tenants: u64, each: u64, who: &str, window: Option<u32>) -> anyhow::Result<Vec<Stream>> {
    let mut streams = Vec::new();
    for number in 0..tenants {
        let mut client = None;
        for place in 0..each {
            if place % OF_CALLER == 0 {
                let subject = format!("{who}-{number}-{}", place / OF_CALLER);
                let endpoint = Endpoint::from_shared(format!("http://{}", bench.addr()))?;
                let channel = endpoint.initial_stream_window_size(window).connect().await?;
                client = Some((RunServiceClient::new(channel), bench.token_of(number, &subject)?));
            }
            let (client, token): &mut (RunServiceClient<Channel>, String) =
                client.as_mut().context("the first of twenty makes it")?;
            let parent = format!("tenants/{}/exports/-", tenant(number));
            let mut request = Request::new(pb::WatchRunsRequest { parent, ..pb::WatchRunsRequest::default() });
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
            streams.push(client.watch_runs(request).await?.into_inner());
        }
    }
    Ok(streams)
}

async fn read(mut stream: Stream, meter: Arc<Meter>) -> anyhow::Result<()> {
    let mut known = HashSet::new();
    while let Some(message) = stream.message().await? {
        if meter.is_on.load(Ordering::Relaxed) {
            meter.messages.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(Event::Run(run)) = message.event {
            meter.note(&run, &mut known);
        }
    }
    Ok(())
}
