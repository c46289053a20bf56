use std::time::{Duration, Instant};

use ferry_sim::{Endpoint, FaultKind, FaultRule, ForbiddenShape, RetryAfter, When};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Bench, HOST, KEY, batch_of, import_of};

/// Everything that comes back for an import until the connection ends, and how it ended.
async fn raw(bench: &Bench) -> (Vec<u8>, std::io::Result<()>) {
    let body = import_of(&["a@b.de", "b@b.de"]).to_string();
    let mut stream = TcpStream::connect(bench.sim.addr()).await.unwrap();
    let head = format!(
        "POST /api/3/import/bulk_import HTTP/1.1\r\nHost: {HOST}\r\nApi-Token: {KEY}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut received)).await;
    (received, end.map_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()), |end| end.map(|_| ())))
}

async fn struck(kind: FaultKind) -> (Bench, Vec<u8>, std::io::Result<()>) {
    let bench = Bench::new().await;
    bench.sim.faults().once(kind);
    let (received, end) = raw(&bench).await;
    (bench, received, end)
}

fn text(received: &[u8]) -> String {
    String::from_utf8_lossy(received).into_owned()
}

#[tokio::test]
async fn each_form_of_retry_after_is_sent() {
    let bench = Bench::new().await;
    for (form, expected) in [
        (RetryAfter::Seconds(30), vec!["30"]),
        (RetryAfter::Missing, vec![]),
        (RetryAfter::Negative, vec!["-30"]),
        (RetryAfter::Huge, vec!["864000"]),
        (RetryAfter::Fractional, vec!["1.5"]),
        (RetryAfter::Junk, vec!["soon"]),
        (RetryAfter::Doubled, vec!["1", "30"]),
    ] {
        bench.sim.faults().once(FaultKind::RateLimit429 { retry_after: form });
        let reply = bench.import(&["a@b.de", "b@b.de"]).await;
        assert_eq!(reply.status, 429);
        assert_eq!(reply.headers("retry-after").collect::<Vec<_>>(), expected);
    }
    bench.sim.faults().once(FaultKind::RateLimit429 { retry_after: RetryAfter::Date(30) });
    let reply = bench.get("/api/3/users/me").await;
    assert!(reply.header("retry-after").unwrap().ends_with("GMT"));
    let report = bench.sim.report();
    assert_eq!((report.rate_limited_429, report.batches_accepted), (8, 0));
}

#[tokio::test]
async fn answers_in_the_services_place_leave_the_request_undone() {
    let bench = Bench::new().await;
    let forbidden = |shape| FaultKind::Forbidden { shape };
    for (kind, status) in [
        (FaultKind::RateLimit400, 400),
        (FaultKind::ServerError, 500),
        (FaultKind::BadGateway, 502),
        (FaultKind::Unavailable { retry_after: RetryAfter::Seconds(5) }, 503),
        (FaultKind::HtmlPage, 200),
        (forbidden(ForbiddenShape::Empty), 403),
        (forbidden(ForbiddenShape::Message), 403),
        (forbidden(ForbiddenShape::Errors), 403),
        (FaultKind::PaymentRequired, 402),
        (FaultKind::PlanLimit, 403),
        (FaultKind::RefuseAllContacts, 400),
        (FaultKind::RefuseOutOfRange, 400),
    ] {
        bench.sim.faults().once(kind.clone());
        assert_eq!(bench.import(&["a@b.de", "b@b.de"]).await.status, status, "{kind:?}");
    }
    assert_eq!(bench.sim.report().batches_accepted, 0);
    assert_eq!(bench.import(&["a@b.de", "b@b.de"]).await.status, 200);
}

#[tokio::test]
async fn a_request_dropped_before_is_not_accepted_and_one_reset_afterwards_is() {
    let (bench, received, end) = struck(FaultKind::DropBefore).await;
    assert!(received.is_empty() && end.is_err());
    assert_eq!(bench.sim.report().batches_accepted, 0);
    for kind in [FaultKind::ResetAfterwards, FaultKind::CutAnswer { after_bytes: 20 }] {
        let (bench, received, end) = struck(kind).await;
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert!(received.len() <= 20);
        let report = bench.sim.report();
        assert_eq!((report.batches_accepted, report.answers_undelivered), (1, 1));
    }
}

#[tokio::test]
async fn an_answer_is_cut_at_each_byte_asked_for() {
    for after_bytes in [0, 1, 15, 100] {
        let (_bench, received, _) = struck(FaultKind::CutAnswer { after_bytes }).await;
        assert_eq!(received.len(), after_bytes);
    }
}

#[tokio::test]
async fn no_answer_is_no_answer_although_the_batch_is_queued() {
    let bench = Bench::new().await;
    bench.sim.faults().once(FaultKind::NeverAnswer);
    assert!(tokio::time::timeout(Duration::from_millis(300), raw(&bench)).await.is_err());
    assert_eq!(bench.sim.report().batches_accepted, 1);
    bench.sim.faults().once(FaultKind::StopReading);
    assert!(tokio::time::timeout(Duration::from_millis(300), raw(&bench)).await.is_err());
    assert_eq!(bench.sim.report().batches_accepted, 1);
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_an_undelivered_answer() {
    let bench = Bench::new().await;
    bench.sim.faults().once(FaultKind::DelayAnswer { delay_ms: 60_000 });
    assert!(tokio::time::timeout(Duration::from_millis(200), raw(&bench)).await.is_err());
    for _ in 0..500 {
        if bench.sim.report().answers_undelivered == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the lost answer is not noticed");
}

#[tokio::test]
async fn held_answers_and_requests_go_on_when_released() {
    for (kind, accepted) in [(FaultKind::HoldAnswer, 1), (FaultKind::HoldBefore, 0)] {
        let bench = Bench::new().await;
        bench.sim.faults().once(kind);
        let emails = ["a@b.de", "b@b.de"];
        let asked = bench.import(&emails);
        tokio::pin!(asked);
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut asked).await.is_err());
        assert_eq!(bench.sim.report().batches_accepted, accepted);
        bench.sim.faults().release();
        assert_eq!(asked.await.status, 200);
    }
}

#[tokio::test]
async fn broken_framing_arrives_as_asked() {
    let (_b, received, _) = struck(FaultKind::LengthTooLong).await;
    let (head, body) = split(&received);
    assert!(head.contains(&format!("content-length: {}", body.len() + 10)));
    let (_b, received, _) = struck(FaultKind::LengthTooShort).await;
    let (head, body) = split(&received);
    assert!(head.contains(&format!("content-length: {}", body.len() - 1)));
    let (_b, received, _) = struck(FaultKind::BrokenChunk).await;
    assert!(text(&received).contains("chunked") && text(&received).ends_with("\r\nZZ\r\n"));
    let (_b, received, _) = struck(FaultKind::HugeHeader).await;
    assert!(received.len() > 1 << 20);
    let (_b, received, _) = struck(FaultKind::InterimAnswers).await;
    assert_eq!(text(&received).matches("100 Continue").count(), 1_000);
    assert!(text(&received).contains("batchId"));
}

fn split(received: &[u8]) -> (String, String) {
    let all = text(received);
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn slow_endless_and_idle_connections_behave_so() {
    let started = Instant::now();
    let (_b, received, _) = struck(FaultKind::SlowBody { every_ms: 3 }).await;
    assert!(text(&received).ends_with('}') && started.elapsed() >= Duration::from_millis(200));
    let (_b, received, _) = struck(FaultKind::SlowHeaders { every_ms: 1 }).await;
    assert!(text(&received).ends_with('}'));
    let (_b, received, end) = struck(FaultKind::IdleReset { after_ms: 20 }).await;
    assert!(text(&received).ends_with('}') && end.is_err());
    let bench = Bench::new().await;
    bench.sim.faults().once(FaultKind::EndlessBody);
    let mut stream = TcpStream::connect(bench.sim.addr()).await.unwrap();
    let head = format!("GET /api/3/users/me HTTP/1.1\r\nHost: {HOST}\r\nApi-Token: {KEY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut sixteen_mib = vec![0; 16 << 20];
    stream.read_exact(&mut sixteen_mib).await.unwrap();
}

#[tokio::test]
async fn spoiled_bodies_belong_to_accepted_imports() {
    let spoiled = [
        FaultKind::InvalidJson,
        FaultKind::ByteOrderMark,
        FaultKind::Utf16,
        FaultKind::DuplicateKeys,
        FaultKind::DeepNesting,
        FaultKind::NullBody,
        FaultKind::SuccessCapital,
        FaultKind::SuccessZero,
        FaultKind::MissingBatchId,
        FaultKind::QueuedMismatch,
        FaultKind::GzipBomb,
        FaultKind::GatewayTimeoutAfterwards,
    ];
    for kind in spoiled {
        let bench = Bench::new().await;
        let honest = bench.import(&["a@b.de", "b@b.de"]).await;
        bench.sim.faults().once(kind.clone());
        let reply = bench.import(&["a@b.de", "b@b.de"]).await;
        assert_ne!(shape(&honest.body), shape(&reply.body), "{kind:?}");
        let report = bench.sim.report();
        assert_eq!(report.batches_accepted, 2, "{kind:?}");
        assert_eq!(report.faults[&name(&kind)], 1);
    }
}

/// A body without the batch's id, which always differs.
fn shape(body: &[u8]) -> Vec<u8> {
    let text = text(body);
    match text.split_once("\"batchId\":\"") {
        Some((before, after)) if after.len() > 36 => format!("{before}{}", &after[36..]).into_bytes(),
        _ => body.to_vec(),
    }
}

fn name(kind: &FaultKind) -> String {
    serde_json::to_value(kind).unwrap()["kind"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refused_contact_stays_refused_until_it_is_left_out() {
    let bench = Bench::new().await;
    bench.sim.faults().once(FaultKind::RefuseContact { contact: 2, text: "No way".to_owned() });
    for _ in 0..2 {
        let reply = bench.import(&["a@b.de", "b@b.de", "c@b.de"]).await;
        assert_eq!(reply.json()["failureReasons"], json!([{"contact": 2, "failureReason": "No way"}]));
    }
    assert_eq!(bench.import(&["a@b.de", "c@b.de"]).await.status, 200);
}

#[tokio::test]
async fn batches_fail_are_interrupted_stick_and_are_forgotten() {
    let bench = Bench::new().await;
    bench.sim.faults().once(FaultKind::BatchFailed);
    assert_eq!(bench.import_to_the_end(&["a@b.de", "b@b.de"]).await["status"], "failed");
    assert!(bench.sim.contacts(HOST, 3).is_empty());
    bench.sim.faults().once(FaultKind::BatchInterrupted);
    let info = bench.import_to_the_end(&["a@b.de", "b@b.de"]).await;
    assert_eq!((info["status"].clone(), info["success"].clone()), (json!("interrupted"), json!(["1"])));
    bench.sim.faults().once(FaultKind::BatchStuck);
    let stuck = batch_of(&bench.import(&["c@b.de", "d@b.de"]).await);
    bench.sim.faults().once(FaultKind::BatchForgotten);
    let forgotten = batch_of(&bench.import(&["e@b.de", "f@b.de"]).await);
    bench.import_to_the_end(&["g@b.de", "h@b.de"]).await;
    let status =
        async |batch: &str| bench.get(&format!("/api/3/import/info?batchId={batch}")).await.json()["status"].clone();
    assert_eq!(status(&stuck).await, "waiting");
    assert_eq!(status(&forgotten).await, false);
    assert!(bench.sim.contact(HOST, "e@b.de").is_some() && bench.sim.contact(HOST, "c@b.de").is_none());
    bench.sim.faults().once(FaultKind::PlanLimitInBatch);
    assert_eq!(bench.import_to_the_end(&["a@b.de", "new@b.de"]).await["failure"], json!(["new@b.de"]));
}

#[tokio::test]
async fn a_status_can_name_failures_oddly() {
    let bench = Bench::new().await;
    let batch = batch_of(&bench.import(&["a'b@b.de", "b@b.de"]).await);
    bench.ended(&batch).await;
    for (kind, failure) in [
        (FaultKind::FailureInCapitals, json!(["A'B@B.DE"])),
        (FaultKind::FailureOfStranger, json!(["a'b@b.de", "never.sent@stranger.example"])),
        (FaultKind::FailureTwice, json!(["a'b@b.de", "a'b@b.de"])),
    ] {
        bench.sim.faults().once(kind);
        let info = bench.get(&format!("/api/3/import/info?batchId={batch}")).await.json();
        assert_eq!(info["failure"], failure);
    }
}

#[tokio::test]
async fn a_list_can_vanish_and_others_can_use_up_the_limit() {
    let bench = Bench::with(|config| config.options.requests_per_second = Some(5)).await;
    bench.sim.faults().once(FaultKind::ForeignTraffic { requests: 5, imports: 0 });
    assert_eq!(bench.get("/api/3/users/me").await.status, 429);
    // Two seconds by the simulator's clock: the limit of one second is free again.
    tokio::time::sleep(Duration::from_millis(10)).await;
    bench.sim.faults().once(FaultKind::ListDeleted { list: 3 });
    assert_eq!(bench.get("/api/3/lists/3").await.status, 404);
    let bench = bench.restart().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let lists = bench.get("/api/3/lists").await.json();
    assert_eq!(lists["lists"], json!([]), "a deleted list must not come back");
}

#[tokio::test]
async fn faults_are_switched_over_http() {
    let bench = Bench::new().await;
    let rules = json!([
        {"kind": "server_error", "when": "always", "endpoint": "status"},
        {"kind": "rate_limit_429", "retry_after": {"seconds": 3}, "when": {"next": 2}, "endpoint": "import"}
    ]);
    assert_eq!(bench.post("/sim/faults", &rules).await.json()["rules"].as_array().unwrap().len(), 2);
    assert_eq!(bench.get("/api/3/import/bulk_import").await.status, 500);
    assert_eq!(bench.import(&["a@b.de"]).await.header("retry-after"), Some("3"));
    assert_eq!(bench.get("/api/3/users/me").await.status, 200);
    bench.send("DELETE", "/sim/faults", b"").await.unwrap();
    assert!(bench.sim.faults().rules().is_empty());
    assert_eq!(bench.import(&["a@b.de"]).await.status, 200);
    assert_eq!(bench.post("/sim/faults", &json!({"kind": "nonsense"})).await.status, 400);
}

#[tokio::test]
async fn a_seeded_share_of_requests_is_struck() {
    let bench = Bench::new().await;
    let rule = FaultRule::once(FaultKind::ServerError).when(When::Probability(0.3)).on(Endpoint::Other);
    bench.sim.faults().add(rule);
    let mut n_struck = 0;
    for _ in 0..200 {
        n_struck += u32::from(bench.get("/api/3/users/me").await.status == 500);
    }
    assert!((30..=90).contains(&n_struck));
}
