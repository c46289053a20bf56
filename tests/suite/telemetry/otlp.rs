//! A collector.

use ferry_telemetry::names::{self, METRICS};
use ferry_testkit::{Collector, Stage, canary, eventually};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
/// So that the test need not wait.
const OFTEN: [(&str, &str); 2] = [("OTEL_METRIC_EXPORT_INTERVAL", "200"), ("OTEL_BSP_SCHEDULE_DELAY", "200")];

async fn telling(endpoint: &str) -> Stage {
    let mut stage = Stage::new().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)].into_iter().chain(OFTEN);
    stage.restart_and(&[], &environment.collect::<Vec<_>>()).await;
    stage
}

#[tokio::test]
async fn a_collector_is_told_spans_and_metrics() {
    let collector = Collector::start().await;
    let stage = telling(&collector.endpoint()).await;
    let run = stage.run_csv(&canary::people(600)).await;
    let trace = run.name.rsplit('/').next().unwrap().replace('-', "");
    let asked: u64 = stage.sim.report().requests.values().sum();
    eventually(SOON, || async {
        let (spans, metrics) = (collector.spans(), collector.metrics());
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let of_run = spans.iter().filter(|span| hex(&span.trace_id) == trace);
        let requests = of_run.clone().filter(|span| span.name == names::REQUEST.name).count() as u64;
        let whole = of_run.clone().any(|span| span.name == names::RUN_SPAN.name) && requests == asked;
        let counted = metrics.contains(names::PROFILES.name) && metrics.contains(names::REQUESTS.name);
        if whole && counted { Ok(()) } else { Err((requests, asked, metrics)) }
    })
    .await;
    let known = |name: &String| METRICS.iter().any(|metric| metric.name == name);
    assert!(collector.metrics().iter().all(known), "{:?}", collector.metrics());
}

/// A collector that is not there costs a run nothing, and the end a few seconds.
#[tokio::test]
async fn a_collector_that_is_gone_keeps_nobody() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut stage = telling(&format!("http://{closed}")).await;
    let run = stage.run_csv(&canary::people(3)).await;
    assert_eq!(run.counts.unwrap().confirmed, 3);
    let begun = Instant::now();
    assert_eq!(stage.stop().await.unwrap(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
