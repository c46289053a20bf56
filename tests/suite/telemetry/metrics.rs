//! Prometheus' port.

use ferry_proto::v1 as pb;
use ferry_telemetry::names::{self, Kind, METRICS};
use ferry_testkit::{Client, Stage, TENANT, canary, eventually};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(20);

async fn measured(more: &[&str]) -> Stage {
    let mut stage = Stage::new().await;
    let out = stage.path("metrics-addr").display().to_string();
    let args = ["--metrics-addr", "127.0.0.1:0", "--metrics-addr-out", &out].into_iter().chain(more.iter().copied());
    stage.restart_and(&args.map(str::to_owned).collect::<Vec<_>>(), &[]).await;
    stage
}

async fn ask(stage: &Stage, head: &str) -> String {
    let addr: SocketAddr = std::fs::read_to_string(stage.path("metrics-addr")).unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: ferry\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Every series with its labels and value.
struct Scrape(String);

impl Scrape {
    async fn of(stage: &Stage) -> Self {
        let answer = ask(stage, "GET /metrics").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("text/plain"), "{head}");
        Self(body.to_owned())
    }

    fn series(&self) -> impl Iterator<Item = (&str, BTreeMap<&str, &str>, f64)> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            let labels = labels.map(|label| label.split_once('=').unwrap());
            (name, labels.map(|(key, value)| (key, value.trim_matches('"'))).collect(), value.parse().unwrap())
        })
    }

    /// The sum of all series of a name that have this label, if one is given.
    fn sum(&self, name: &str, label: Option<(&str, &str)>) -> u64 {
        let fits = |labels: &BTreeMap<&str, &str>| label.is_none_or(|(key, value)| labels.get(key) == Some(&value));
        self.series().filter(|(found, labels, _)| *found == name && fits(labels)).map(|(.., value)| value as u64).sum()
    }
}

fn prometheus(name: &str) -> String {
    name.replace('.', "_")
}

#[tokio::test]
async fn the_metrics_of_a_run_add_up_with_its_account() {
    let stage = measured(&[]).await;
    let rows = (0..600).map(canary::row).chain([canary::row("excluded"), canary::row(1), ",nobody\n".to_owned()]);
    let run = stage.run_csv(&canary::csv(rows)).await;
    let counts = run.counts.unwrap();
    let scrape = eventually(SOON, || async {
        let scrape = Scrape::of(&stage).await;
        // The look at the service comes each five seconds.
        let looked = scrape.0.contains("ferry_audit_checkpoint_age_seconds");
        if looked && scrape.sum("ferry_runs_ended_total", None) == 1 { Ok(scrape) } else { Err(scrape.0) }
    })
    .await;
    let outcome = |word| scrape.sum("ferry_profiles_total", Some(("ferry_outcome", word)));
    assert_eq!(scrape.sum("ferry_profiles_total", None), counts.members as u64);
    assert!(counts.rejected > 0 && counts.twins > 0 && counts.refused > 0, "{counts:?}");
    for (word, count) in [
        ("rejected", counts.rejected),
        ("twin", counts.twins),
        ("excluded", counts.excluded),
        ("unchanged", counts.unchanged),
        ("confirmed", counts.confirmed),
        ("refused", counts.refused),
        ("unknown", counts.unknown),
        ("not_sent", counts.not_sent),
    ] {
        assert_eq!(outcome(word), count as u64, "{word}");
    }
    let step = |word| scrape.sum("ferry_progress_total", Some(("ferry_step", word)));
    assert_eq!((step("confirmed"), step("refused")), (counts.confirmed as u64, counts.refused as u64));
    assert_eq!(step("queued"), (counts.confirmed + counts.refused) as u64);
    let asked = stage.sim.report().requests;
    assert_eq!(scrape.sum("ferry_destination_requests_total", None), asked.values().sum::<u64>());
    assert_eq!(scrape.sum("ferry_destination_wait_seconds_count", None), asked.values().sum::<u64>());
    assert_eq!(scrape.sum("ferry_destination_duration_seconds_count", None), asked.values().sum::<u64>());
    assert_eq!(scrape.sum("ferry_settling_lag_seconds_count", None), 3, "600 people and one are three imports");
    assert!(scrape.sum("ferry_store_commit_duration_seconds_count", None) > 0);
    let ended = scrape.sum("ferry_runs_ended_total", Some(("ferry_run_state", "succeeded")));
    assert_eq!((ended, scrape.sum("ferry_runs", None)), (1, 0));
    let calls = |method| scrape.sum("ferry_rpc_duration_seconds_count", Some(("rpc_method", method)));
    assert_eq!(calls("ExportService/RunExport"), 1);
    assert!(calls("RunService/GetRun") >= 1);
}

/// Every name and label is one of the list, and nothing of a caller or a tenant is one.
#[tokio::test]
async fn the_metrics_hold_nothing_but_the_list() {
    let stage = measured(&[]).await;
    stage.run_csv(&canary::people(3)).await;
    // Calls that are refused, in a tenant that is not there, of a method that is not there.
    let mut stranger = Client::connect(stage.addr(), &stage.token_in("globex", "administrator")).await;
    let list =
        |tenant: &str| pb::ListRunsRequest { parent: format!("tenants/{tenant}/exports/-"), ..Default::default() };
    stranger.runs.list_runs(list(TENANT)).await.unwrap_err();
    let scrape = eventually(SOON, || async {
        let scrape = Scrape::of(&stage).await;
        if scrape.0.contains("ferry_audit_checkpoint_age_seconds") { Ok(scrape) } else { Err(scrape.0) }
    })
    .await;
    let mut seen = BTreeSet::new();
    for (name, labels, _) in scrape.series().filter(|(name, ..)| *name != "target_info") {
        let of = |metric: &&names::Metric| {
            let rest = name.strip_prefix(&prometheus(metric.name))?;
            let unit = if metric.unit == "s" {
                "_seconds"
            } else if metric.unit == "1" {
                "_ratio"
            } else {
                ""
            };
            let rest = rest.strip_prefix(unit)?;
            let whole = match metric.kind {
                Kind::Counter => rest == "_total",
                Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&rest),
                Kind::Gauge | Kind::UpDownCounter => rest.is_empty(),
            };
            whole.then_some(())
        };
        let metric = METRICS.iter().find(|metric| of(metric).is_some()).unwrap_or_else(|| panic!("{name}"));
        seen.insert(metric.name);
        let known: BTreeSet<String> = metric.labels.iter().map(|label| prometheus(label)).collect();
        let given = labels.keys().filter(|label| **label != "le");
        assert!(given.clone().all(|label| known.contains(*label)), "{name} {labels:?}");
        assert!(!labels.values().any(|value| value.contains(TENANT) || value.contains("globex")), "{labels:?}");
    }
    let missing: Vec<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| !seen.contains(name)).collect();
    // Nobody was removed, and nobody opened a stream.
    assert_eq!(missing, [names::RPC_STREAMS.name, names::REMOVALS.name]);
}

#[tokio::test]
async fn tenants_are_told_apart_where_that_is_asked_for_and_never_by_what_a_stranger_writes() {
    let stage = measured(&["--metrics-tenant-label"]).await;
    let run = stage.run_csv(&canary::people(3)).await;
    let mut stranger = Client::connect(stage.addr(), &stage.token_in("globex", "administrator")).await;
    let made_up = pb::ListRunsRequest { parent: "tenants/initech/exports/-".to_owned(), ..Default::default() };
    stranger.runs.list_runs(made_up).await.unwrap_err();
    let scrape = eventually(SOON, || async {
        let scrape = Scrape::of(&stage).await;
        if scrape.sum("ferry_runs_ended_total", None) == 1 { Ok(scrape) } else { Err(scrape.0) }
    })
    .await;
    let of = |name| scrape.sum(name, Some(("ferry_tenant", TENANT)));
    assert_eq!(of("ferry_profiles_total"), run.counts.unwrap().members as u64);
    assert!(of("ferry_rpc_duration_seconds_count") > 0);
    assert!(!scrape.0.contains("initech"), "{}", scrape.0);
}

/// The port answers one question, and whoever says nothing keeps no other from asking.
#[tokio::test]
async fn the_port_answers_one_question() {
    let stage = measured(&[]).await;
    let addr: SocketAddr = std::fs::read_to_string(stage.path("metrics-addr")).unwrap().parse().unwrap();
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    for (head, status) in
        [("GET /", "404"), ("GET /metrics/x", "404"), ("POST /metrics", "405"), ("GET /metrics", "200")]
    {
        let answer = ask(&stage, head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
    }
}
