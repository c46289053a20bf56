//! Plays the table: a stage for each row, several at a time, each judged by the simulator's journal.

use super::table::{Ends, Fault, faults};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{PauseReason, State};
use ferry_sim::{FaultKind, FaultRule, Report, SimConfig, When};
use ferry_testkit::canary::people;
use ferry_testkit::judge::{Judge, Verdict};
use ferry_testkit::{HOST, LIST, Stage, StageOptions, TENANT, canary, eventually};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// 20 batches.
const PEOPLE: usize = 5_000;
const BATCHES: u64 = 20;
/// Of each list of the account, people that it turns down: one in each batch.
const TURNED_DOWN: usize = 20;
/// Stages at work at once. Most of a slow fault is waiting for a deadline.
const AT_ONCE: usize = 8;
const LIMIT: Duration = Duration::from_secs(150);

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    /// One request of each kind.
    Once,
    /// At least one of each kind, and 1 %.
    Hundredth,
    /// At least one of each kind, and 10 %.
    Tenth,
    /// Every request in the minute that the first one begins.
    Minute,
}

impl Rate {
    fn rules(self, fault: &Fault) -> Vec<FaultRule> {
        let often = |probability| When::Probability(probability);
        let of = |endpoint| {
            let once = FaultRule::once(fault.kind.clone()).on(endpoint);
            let more = |when| once.clone().when(when);
            match self {
                Self::Once => vec![once],
                Self::Hundredth => vec![once.clone(), more(often(0.01))],
                Self::Tenth => vec![once.clone(), more(often(0.1))],
                Self::Minute => vec![FaultRule { seconds: Some(60.0), ..more(When::Always) }],
            }
        };
        fault.on.iter().copied().flat_map(of).collect()
    }
}

/// Plays every row at every rate, and fails with all that was found.
pub(super) async fn play_all(rates: &[Rate], scale: f64) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for rate in rates.iter().copied() {
        for (number, fault) in faults().into_iter().enumerate() {
            let places = Arc::clone(&places);
            playing.spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                let name = format!("{} ({rate:?})", fault.name);
                let task = tokio::spawn(async move { play(&fault, rate, scale, number % 2 == 0).await });
                (name, task.await)
            });
        }
    }
    let mut findings = String::new();
    while let Some(played) = playing.join_next().await {
        match played.unwrap() {
            (_, Ok(wrong)) if wrong.is_empty() => {}
            (name, Ok(wrong)) => writeln!(findings, "{name}: {}", wrong.join("\n    ")).unwrap(),
            (name, Err(error)) => writeln!(findings, "{name}: {error}").unwrap(),
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

fn excluded() -> Vec<String> {
    (0..TURNED_DOWN).map(|batch| canary::email(batch * 250 + 100)).collect()
}

fn opted_out() -> Vec<String> {
    (0..TURNED_DOWN).map(|batch| canary::email(batch * 250 + 200)).collect()
}

/// The account turns some people down.
fn with_lists(config: &mut SimConfig) {
    config.accounts[0].excluded = excluded();
    config.accounts[0].opted_out = opted_out().into_iter().map(|address| (address, LIST)).collect();
}

/// Runs an export of these people, as an export is unless it says otherwise.
pub(super) async fn start(stage: &Stage, csv: &str) -> pb::Run {
    start_with(stage, csv, None).await
}

async fn start_with(stage: &Stage, csv: &str, exclude_automations: Option<bool>) -> pb::Run {
    stage.segment("people", "csv", csv.as_bytes());
    stage.create_connection("newsletter").await;
    let mut export = stage.export("newsletter", "people");
    let settings = pb::ActiveCampaignExport { list_id: LIST.to_string(), exclude_automations };
    export.settings =
        Some(pb::ExportSettings { settings: Some(pb::export_settings::Settings::Activecampaign(settings)) });
    let export = stage.create_export("weekly", export).await;
    stage.run(&export.name).await
}

/// Waits until a run has ended, or waits for somebody.
pub(super) async fn rested(stage: &Stage, run: &pb::Run) -> pb::Run {
    eventually(LIMIT, || async {
        let run = stage.get_run(&run.name).await;
        if run.end_time.is_some() || run.state() == State::Paused { Ok(run) } else { Err(run) }
    })
    .await
}

/// What a waiting run waits for is mended, and it goes on to its end. A time that is days away is not waited for.
pub(super) async fn help(stage: &Stage, run: pb::Run) -> pb::Run {
    if run.state() != State::Paused {
        return run;
    }
    stage.sim.faults().clear();
    let mut client = stage.client("administrator").await;
    if run.pause_reason() == PauseReason::RetryAfter {
        client.runs.cancel_run(pb::CancelRunRequest { name: run.name.clone(), ..Default::default() }).await.unwrap();
    } else {
        let name = format!("tenants/{TENANT}/connections/newsletter");
        client.connections.verify_connection(pb::VerifyConnectionRequest { name }).await.unwrap();
    }
    stage.ended(&run.name, LIMIT).await
}

/// Waits until so many imports were taken.
pub(super) async fn accepted(stage: &Stage, batches: u64) {
    eventually(LIMIT, || async {
        let seen = stage.sim.report().batches_accepted;
        if seen >= batches { Ok(()) } else { Err(seen) }
    })
    .await;
}

/// What is wrong with one row at one rate.
async fn play(fault: &Fault, rate: Rate, scale: f64, exclude_automations: bool) -> Vec<String> {
    let begun = Instant::now();
    let options = StageOptions { time_scale: fault.scale.unwrap_or(scale) };
    let stage = Stage::with_sim(options, with_lists).await;
    rate.rules(fault).into_iter().for_each(|rule| stage.sim.faults().add(rule));
    let run = start_with(&stage, &people(PEOPLE), Some(exclude_automations)).await;
    let rested = rested(&stage, &run).await;
    let struck = stage.sim.faults().struck();
    let run = help(&stage, rested.clone()).await;
    let verdict = Judge::of(&stage, &run.name, (0..PEOPLE).map(canary::email))
        .allowing(struck * fault.repeats_each * 250)
        .verdict()
        .await;
    let report = stage.sim.report();
    tell(fault, rate, &rested, struck, &report, &verdict, begun);
    let mut wrong = of_the_judge(fault, &verdict);
    wrong.extend(of_the_end(fault, rate, &rested, &run));
    wrong.extend(of_the_destination(fault, &stage, struck, exclude_automations));
    wrong
}

/// Plays all faults that pass in one run, each with this probability.
pub(super) async fn mixed(count: usize, probability: f64, scale: f64) {
    let stage = Stage::with(StageOptions { time_scale: scale }).await;
    // One that refuses whom it took before, of a batch that it gave up half way, contradicts itself.
    let passing = faults().into_iter().filter(|fault| fault.ends == Ends::Well);
    // The account's own limits are judged, so nobody else may use them up.
    let passing: Vec<Fault> = passing.filter(|fault| !matches!(fault.kind, FaultKind::ForeignTraffic { .. })).collect();
    for fault in &passing {
        for endpoint in fault.on.iter().copied() {
            stage
                .sim
                .faults()
                .add(FaultRule::once(fault.kind.clone()).on(endpoint).when(When::Probability(probability)));
        }
    }
    let run = start(&stage, &people(count)).await;
    let run = stage.ended(&run.name, 2 * LIMIT).await;
    let struck = stage.sim.faults().struck();
    let addresses = (0..count).map(canary::email);
    let verdict = Judge::of(&stage, &run.name, addresses).allowing(struck * 250).verdict().await;
    verdict.holds(&format!("{} kinds of faults, {struck} struck", passing.len()));
    let counts = verdict.counts;
    assert_eq!(run.state(), State::Succeeded, "{:?} {counts:?}", run.error);
    assert_eq!((counts.confirmed + counts.refused, counts.unknown), (count as i64, 0), "{counts:?}");
    assert!(struck >= 50, "{struck} struck");
}

#[allow(clippy::print_stdout, reason = "the figures of a long run are for whoever asked for it")]
fn tell(fault: &Fault, rate: Rate, run: &pb::Run, struck: u64, report: &Report, verdict: &Verdict, begun: Instant) {
    let counts = run.counts.unwrap_or_default();
    let error = run.error.as_ref().map(|error| error.reason.clone()).unwrap_or_default();
    println!(
        "{:<36} {rate:<9?} {:?} {error}: struck {struck}, {} confirmed, {} refused, {} unknown, {} not sent; \
         {} sent again; {:?}; {:.1} s",
        fault.name,
        run.state(),
        counts.confirmed,
        counts.refused,
        counts.unknown,
        counts.not_sent,
        verdict.extra,
        report.requests,
        begun.elapsed().as_secs_f64(),
    );
}

fn of_the_judge(fault: &Fault, verdict: &Verdict) -> Vec<String> {
    // Another key of the account uses up places that Ferry cannot know of: its own requests are counted elsewhere.
    let shared = matches!(fault.kind, FaultKind::ForeignTraffic { .. });
    let others = |finding: &&String| !(shared && finding.ends_with("were over a limit"));
    verdict.findings.iter().filter(others).cloned().collect()
}

fn of_the_end(fault: &Fault, rate: Rate, rested: &pb::Run, run: &pb::Run) -> Vec<String> {
    let counts = run.counts.unwrap_or_default();
    let refused = 2 * TURNED_DOWN as i64;
    let all = [counts.confirmed, counts.refused, counts.unknown, counts.not_sent];
    let well = run.state() == State::Succeeded && all == [PEOPLE as i64 - refused, refused, 0, 0];
    let reason = rested.error.as_ref().map(|error| error.reason.clone()).unwrap_or_default();
    // One that waited and was helped comes to the same as if nothing had been.
    let helped = rested.state() == State::Paused && run.state() != State::Cancelled;
    let stopped = |reason, culprit| super::has_stopped(rested, reason, culprit) && (well || !helped);
    let holds = match fault.ends {
        Ends::Well => well,
        Ends::WithRefusals => {
            run.state() == State::Succeeded
                && counts.confirmed + counts.refused == PEOPLE as i64
                && counts.refused >= refused
        }
        Ends::Stops(reason, culprit) => stopped(reason, culprit),
        Ends::WellOrStops(reason, culprit) => match rate {
            Rate::Once => well,
            Rate::Hundredth | Rate::Tenth => well || stopped(reason, culprit),
            Rate::Minute => stopped(reason, culprit),
        },
    };
    if holds {
        Vec::new()
    } else {
        vec![format!("{:?} {reason}, {:?} {all:?}, wanted {:?}", rested.state(), run.state(), fault.ends)]
    }
}

fn of_the_destination(fault: &Fault, stage: &Stage, struck: u64, exclude_automations: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let report = stage.sim.report();
    if struck == 0 {
        wrong.push("nothing was struck".to_owned());
    }
    let of = |class: &str| report.requests.get(class).copied().unwrap_or_default();
    let (imports, most) = (of("import_many") + of("import_one"), BATCHES + struck * fault.imports_each);
    if imports > most {
        wrong.push(format!("{imports} imports, at most {most} are worth it"));
    }
    if report.largest_minute_import_many > 100 || report.largest_minute_import_one > 20 || report.largest_second > 5 {
        wrong.push(format!("too fast: {report:?}"));
    }
    let with = if exclude_automations { 0 } else { report.batches_accepted };
    if report.batches_with_automations != with {
        wrong.push("automations are not as the export says".to_owned());
    }
    let opted_out = opted_out();
    if stage.sim.contacts(HOST, LIST).iter().any(|contact| opted_out.contains(&contact.email)) {
        wrong.push("somebody who opted out is on the list again".to_owned());
    }
    wrong
}
