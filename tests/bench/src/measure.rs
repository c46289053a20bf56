//! What a run costs: times by phase, processor time and memory of the service, requests and bytes at the sink.

use crate::service::Bench;
use crate::sink::Counts;
use anyhow::Context;
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::Phase;
use ferry_testkit::{Client, Process};
use std::time::{Duration, Instant};

/// How often a run is looked at: seldom enough to cost nothing.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
const MIB: f64 = 1_048_576.0;

/// The meters at one instant.
pub(crate) struct Reading {
    at: Instant,
    service: Duration,
    sink: Duration,
    counts: Counts,
}

impl Reading {
    pub(crate) fn take(bench: &Bench) -> anyhow::Result<Self> {
        let (service, sink) = (bench.service().cpu_time(), bench.sink().cpu_time());
        Ok(Self { at: Instant::now(), service, sink, counts: bench.counts()? })
    }

    /// Prints what was used since, and returns what arrived since.
    pub(crate) fn print(&self, bench: &Bench, what: &str, members: u64) -> anyhow::Result<Counts> {
        let now = Self::take(bench)?;
        let took = (now.at - self.at).as_secs_f64();
        let cpu = |process: Duration, before: Duration| (process - before).as_secs_f64();
        let counts = now.counts.since(&self.counts);
        let memory = |process: &Process| process.peak_memory() as f64 / MIB;
        println!("{what}: {members} profiles in {took:.2} s: {:.0} profiles/s", members as f64 / took);
        println!(
            "  service: {:.2} s of processor time, peak memory {:.0} MiB; sink: {:.2} s",
            cpu(now.service, self.service),
            memory(bench.service()),
            cpu(now.sink, self.sink),
        );
        println!(
            "  {} requests: {} imports with {} contacts in {:.1} MB, {} polls, {} others",
            counts.requests(),
            counts.imports,
            counts.all_contacts(),
            counts.bytes as f64 / 1e6,
            counts.polls,
            counts.others,
        );
        Ok(counts)
    }
}

impl Counts {
    fn since(&self, before: &Self) -> Self {
        let contacts = self.contacts.iter().map(|(host, count)| {
            let earlier = before.contacts.get(host).copied().unwrap_or(0);
            (host.clone(), count - earlier)
        });
        Self {
            imports: self.imports - before.imports,
            polls: self.polls - before.polls,
            others: self.others - before.others,
            bytes: self.bytes - before.bytes,
            contacts: contacts.collect(),
        }
    }
}

/// Queues a run of an export.
pub(crate) async fn begin(client: &mut Client, export: &str) -> anyhow::Result<pb::Run> {
    let request = pb::RunExportRequest { name: export.to_owned(), ..pb::RunExportRequest::default() };
    client.exports.run_export(request).await?.into_inner().run.context("a run was made")
}

/// Reads a run.
pub(crate) async fn look(client: &mut Client, name: &str) -> anyhow::Result<pb::Run> {
    let request = pb::GetRunRequest { name: name.to_owned() };
    client.runs.get_run(request).await?.into_inner().run.context("the run is there")
}

/// A phase of a run, with the time and the service's processor time that it took.
struct Step {
    phase: Phase,
    took: Duration,
    cpu: Duration,
}

/// Waits for the end of a run and prints what each phase took.
pub(crate) async fn through(bench: &Bench, client: &mut Client, name: &str) -> anyhow::Result<pb::Run> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut at, mut used) = (Instant::now(), bench.service().cpu_time());
    loop {
        let run = look(client, name).await?;
        let (now, total) = (Instant::now(), bench.service().cpu_time());
        let (took, cpu) = (now - at, total - used);
        (at, used) = (now, total);
        match steps.last_mut() {
            // A run that has ended has no phase; what passed since the last look belongs to the last one.
            Some(step) if step.phase == run.phase() || run.end_time.is_some() => {
                step.took += took;
                step.cpu += cpu;
            }
            _ => steps.push(Step { phase: run.phase(), took, cpu }),
        }
        if run.end_time.is_some() {
            for Step { phase, took, cpu } in steps {
                let (name, took, cpu) = (phase.as_str_name(), took.as_secs_f64(), cpu.as_secs_f64());
                println!("  {name}: {took:.2} s, {cpu:.2} s of processor time");
            }
            return Ok(run);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The account of a run that sent everything.
pub(crate) fn check(run: &pb::Run, expected: &[(&str, u64)]) -> anyhow::Result<()> {
    let counts = run.counts.context("a run has an account")?;
    anyhow::ensure!(run.state() == pb::run::State::Succeeded, "{:?}: {:?}", run.state(), run.error);
    anyhow::ensure!(ferry_testkit::adds_up(&counts), "{counts:?} does not add up");
    for (name, wanted) in expected {
        let found = match *name {
            "members" => counts.members,
            "twins" => counts.twins,
            "rejected" => counts.rejected,
            "unchanged" => counts.unchanged,
            _ => counts.confirmed,
        };
        anyhow::ensure!(u64::try_from(found) == Ok(*wanted), "{name}: {found} instead of {wanted}");
    }
    Ok(())
}
