//! The trace of a run in a file, and the ids of traces elsewhere.

use ferry_proto::v1 as pb;
use ferry_sim::{Endpoint, FaultKind, FaultRule, RetryAfter};
use ferry_telemetry::names;
use ferry_testkit::{Stage, TENANT, canary, eventually};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Request;

const SOON: Duration = Duration::from_secs(20);

/// A span of the file.
#[derive(Debug)]
struct Told(Value);

impl Told {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    /// A field's value; nothing without it.
    fn field(&self, name: &str) -> Option<&Value> {
        let fields = self.0["attributes"].as_array()?;
        let field = fields.iter().find(|field| field["key"] == name)?;
        field["value"].as_object()?.values().next()
    }

    fn word(&self, name: &str) -> &str {
        self.field(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A 64-bit number is a text in OTLP's JSON.
    fn number(&self, name: &str) -> u64 {
        self.word(name).parse().unwrap_or_else(|_| panic!("{name} in {self:?}"))
    }
}

fn spans(text: &str) -> Vec<Told> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let each = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let scopes = lines.flat_map(|line| each(&line, "resourceSpans")).flat_map(|resource| each(&resource, "scopeSpans"));
    scopes.flat_map(|scope| each(&scope, "spans")).map(Told).collect()
}

/// A stage whose service writes its traces to a file.
async fn traced(more: &[&str], environment: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new().await;
    let file = stage.path("traces.jsonl").display().to_string();
    let args = ["--trace-file".to_owned(), file].into_iter().chain(more.iter().map(|arg| (*arg).to_owned()));
    stage.restart_and(&args.collect::<Vec<_>>(), environment).await;
    stage
}

/// Stops the service, which writes what is left, and reads the file.
async fn end(mut stage: Stage) -> (Stage, Vec<Told>) {
    assert_eq!(stage.stop().await.unwrap(), Some(0));
    let text = std::fs::read_to_string(stage.path("traces.jsonl")).unwrap();
    assert!(!text.contains('@'), "no address, of whomever");
    (stage, spans(&text))
}

fn trace_of(run: &str) -> String {
    run.rsplit('/').next().unwrap().replace('-', "")
}

#[tokio::test]
async fn a_trace_of_a_run_holds_every_request_to_the_destination_with_its_wait() {
    let stage = traced(&[], &[]).await;
    // One of its imports is asked to wait, and one look.
    let limited =
        |endpoint| FaultRule::once(FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(120) }).on(endpoint);
    stage.sim.faults().add(limited(Endpoint::Import));
    stage.sim.faults().add(limited(Endpoint::Status));
    let run = stage.run_csv(&canary::people(900)).await;
    assert_eq!(run.counts.unwrap().confirmed, 900);
    let asked = stage.sim.report().requests;
    let (_stage, spans) = end(stage).await;
    let trace = trace_of(&run.name);
    let requests: Vec<&Told> = spans.iter().filter(|span| span.text("name") == names::REQUEST.name).collect();
    let mut by_class: BTreeMap<&str, u64> = BTreeMap::new();
    for request in &requests {
        let class = request.word(names::CLASS);
        *by_class.entry(if class == "poll" { "status" } else { class }).or_default() += 1;
        let _wait = request.number(names::WAIT_MS);
        assert!(request.number(names::ATTEMPT) >= 1);
        assert_eq!((request.text("traceId"), request.word(names::DESTINATION)), (&*trace, "activecampaign"));
        let is_import = class.starts_with("import");
        assert_eq!(request.field(names::BATCH).is_some(), is_import || class == "poll", "{request:?}");
    }
    let asked: BTreeMap<&str, u64> =
        asked.iter().filter(|(_, count)| **count > 0).map(|(class, count)| (&**class, *count)).collect();
    assert_eq!(by_class, asked, "every request has its span, and no span is without a request");
    let limited = requests.iter().filter(|request| request.word(names::STATUS) == "429").count();
    assert_eq!(limited, 2, "{requests:#?}");
    // Whoever was asked to wait did.
    assert!(requests.iter().any(|request| request.number(names::WAIT_MS) > 0));
    let first: Vec<&Told> = spans.iter().filter(|span| span.text("name") == names::RUN_SPAN.name).collect();
    let [root] = &first[..] else { panic!("{first:?}") };
    assert_eq!((root.text("traceId"), root.text("parentSpanId")), (&*trace, ""));
    assert_eq!((root.word(names::RUN).replace('-', ""), root.word(names::STATE)), (trace.clone(), "succeeded"));
    assert!(requests.iter().all(|request| request.text("parentSpanId") == root.text("spanId")));
    for phase in ["reading", "planning", "sending", "settling"] {
        let part = spans.iter().find(|span| span.text("name") == phase).unwrap_or_else(|| panic!("{phase}"));
        assert_eq!((part.text("traceId"), part.word(names::OUTCOME)), (&*trace, "done"));
    }
    // The call that queued the run leads on to it.
    let call = spans.iter().find(|span| span.text("name") == "ferry.v1.ExportService/RunExport").unwrap();
    let link = &call.0["links"][0];
    assert_eq!((link["traceId"].as_str(), link["spanId"].as_str()), (Some(&*trace), Some(root.text("spanId"))));
    assert_ne!(call.text("traceId"), trace);
    assert!(spans.iter().all(|span| span.field(names::TENANT).is_none()), "nobody asked for tenants");
}

#[tokio::test]
async fn a_call_belongs_to_the_trace_of_its_caller_and_so_do_its_questions() {
    let stage = traced(&["--metrics-tenant-label"], &[]).await;
    stage.create_connection("newsletter").await;
    let mut client = stage.client("administrator").await;
    let verify = pb::VerifyConnectionRequest { name: format!("tenants/{TENANT}/connections/newsletter") };
    let mut request = Request::new(verify);
    let headers = request.metadata_mut();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    headers.insert("tracestate", "vendor=a-word-of-the-caller".parse().unwrap());
    client.connections.verify_connection(request).await.unwrap();
    let mut stranger = ferry_testkit::Client::connect(stage.addr(), "no token").await;
    stranger.runs.list_runs(pb::ListRunsRequest::default()).await.unwrap_err();
    let (stage, spans) = end(stage).await;
    let call = spans.iter().find(|span| span.text("name") == "ferry.v1.ConnectionService/VerifyConnection").unwrap();
    assert_eq!(call.text("traceId"), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(call.text("parentSpanId"), "b7ad6b7169203331");
    assert_eq!((call.word(names::CODE), call.word(names::TENANT)), ("OK", TENANT));
    let question = spans.iter().find(|span| span.text("name") == names::REQUEST.name).unwrap();
    assert_eq!(question.text("parentSpanId"), call.text("spanId"));
    let refused = spans.iter().find(|span| span.word(names::CODE) == "UNAUTHENTICATED").unwrap();
    assert_eq!((refused.word(names::METHOD), refused.word(names::TENANT)), ("RunService/ListRuns", ""));
    let text = std::fs::read_to_string(stage.path("traces.jsonl")).unwrap();
    assert!(!text.contains("a-word-of-the-caller"), "of a caller's trace only its ids are taken");
}

/// After a kill the run goes on in its trace.
#[tokio::test]
async fn a_run_that_is_taken_up_again_goes_on_in_its_trace() {
    let mut stage = traced(&[], &[]).await;
    stage.kill();
    stage.start_to_die("intent-committed:2").await;
    stage.segment("people", "csv", canary::people(900).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    stage.died().await;
    stage.start().await;
    stage.ended(&run.name, Duration::from_secs(60)).await;
    let (_stage, spans) = end(stage).await;
    let trace = trace_of(&run.name);
    let again = spans.iter().find(|span| span.text("name") == names::RUN_SPAN.name).unwrap();
    assert_eq!((again.text("traceId"), again.number(names::EPOCH)), (&*trace, 2));
    assert_eq!(again.text("parentSpanId"), &trace[16..], "it hangs at the run's first span, which the kill cost");
    let requests = spans.iter().filter(|span| span.text("name") == names::REQUEST.name);
    assert!(requests.filter(|request| request.text("traceId") == trace).count() > 4);
}

#[tokio::test]
async fn a_json_line_of_the_log_tells_its_trace() {
    let stage = traced(&[], &[("FERRY_LOG_FORMAT", "json")]).await;
    let run = stage.run_csv(&canary::people(3)).await;
    let trace = trace_of(&run.name);
    eventually(SOON, || async {
        let log = std::fs::read_to_string(stage.log()).unwrap();
        let lines = log.lines().filter(|line| line.contains("run claimed") || line.contains("run ended"));
        let traces: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let told = |line: &Value| line["trace_id"] == *trace && line["span_id"] == trace[16..];
        if traces.len() == 2 && traces.iter().all(told) { Ok(()) } else { Err(traces) }
    })
    .await;
}
