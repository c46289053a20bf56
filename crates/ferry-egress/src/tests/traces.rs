//! What a destination is told of the trace, and what the trace is told of the answer.

use super::support::{OK, client, request, server};
use ferry_telemetry::{Asks, RequestClass, Running, Telemetry, TelemetryConfig};
use std::time::Duration;
use tokio::net::TcpListener;

const RUN: &str = "0199c3f0-7c1e-7d3a-9b1c-2f4e6a8b0c1d";
const TRACE: &str = "0199c3f07c1e7d3a9b1c2f4e6a8b0c1d";

fn asks() -> Asks {
    let (class, waited) = (RequestClass::ImportMany, Duration::from_millis(7));
    Asks { destination: "activecampaign", class, attempt: 1, batch: Some(3), waited }
}

async fn running(folder: &std::path::Path, propagate: bool) -> Running {
    let trace_file = Some(folder.join("traces.jsonl"));
    Running::start(TelemetryConfig { trace_file, propagate, ..TelemetryConfig::default() }).await.unwrap()
}

#[tokio::test]
async fn a_destination_is_told_of_the_trace_where_that_is_asked_for_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (propagate, wanted) in [(true, 1), (false, 0)] {
        let running = running(folder.path(), propagate).await;
        let server = server(OK).await;
        let run = running.telemetry().run(RUN, "acme", 1);
        run.request(asks()).around(client(server.addr, &server.ca_pem).send(request())).await.unwrap();
        let told = server.text().matches(&format!("traceparent: 00-{TRACE}-")).count();
        assert_eq!(told, wanted, "{}", server.text());
        running.stop().await;
    }
    let server = server(OK).await;
    let run = Telemetry::default().run(RUN, "acme", 1);
    run.request(asks()).around(client(server.addr, &server.ca_pem).send(request())).await.unwrap();
    client(server.addr, &server.ca_pem).send(request()).await.unwrap();
    assert!(!server.text().contains("traceparent"));
}

/// Also what has no answer, or was given up, has its span.
#[tokio::test]
async fn a_trace_tells_how_each_request_ended() {
    let folder = tempfile::tempdir().unwrap();
    let running = running(folder.path(), false).await;
    let run = running.telemetry().run(RUN, "acme", 1);
    let limited = server(b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n").await;
    let silent = server(Vec::new()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for addr in [limited.addr, silent.addr, closed] {
        let ca = if addr == limited.addr { &limited.ca_pem } else { &silent.ca_pem };
        let _answer = run.request(asks()).around(client(addr, ca).send(request())).await;
    }
    drop(run.request(asks()));
    run.ended(Some("succeeded"));
    running.stop().await;
    let text = std::fs::read_to_string(folder.path().join("traces.jsonl")).unwrap();
    let status = |word: &str| text.matches(&format!(r#""stringValue":"{word}""#)).count();
    assert_eq!((status("429"), status("no_answer"), status("not_sent")), (1, 1, 2), "{text}");
    assert_eq!(text.matches(r#""name":"request""#).count(), 4);
    assert_eq!(text.matches(TRACE).count(), 5);
    assert!(!text.contains("canary"), "neither the key nor the body");
}
