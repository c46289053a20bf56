use std::time::Duration;

use ferry_sim::{Options, Protocol, SimConfig};

use crate::client::{Bench, import_of};

fn limited(config: &mut SimConfig) {
    config.options = Options { protocol: Protocol::Plain, ..Options::default() };
}

#[tokio::test]
async fn the_sixth_request_in_a_second_is_429_with_retry_after() {
    let bench = Bench::with(|config| {
        limited(config);
        config.time_scale = 0.1;
    })
    .await;
    for left in (0..5).rev() {
        let reply = bench.get("/api/3/users/me").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("ratelimit-limit"), Some("5"));
        assert_eq!(reply.header("ratelimit-remaining"), Some(left.to_string().as_str()));
    }
    // Imports share the limit.
    let reply = bench.import(&["a@b.de", "b@b.de"]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
    assert_eq!(reply.header("ratelimit-remaining"), Some("0"));
    assert!(reply.body.is_empty());
    bench.get("/api/3/users/me").await;
    let report = bench.sim.report();
    assert_eq!((report.rate_limited_429, report.windows_exceeded), (2, 2));
    assert_eq!((report.largest_second, report.before_retry_after), (7, 1));
}

#[tokio::test]
async fn the_limit_per_second_slides_by_the_scaled_clock() {
    let bench = Bench::with(|config| {
        limited(config);
        config.time_scale = 4.0;
    })
    .await;
    for _ in 0..5 {
        assert_eq!(bench.get("/api/3/users/me").await.status, 200);
    }
    tokio::time::sleep(Duration::from_millis(260)).await;
    assert_eq!(bench.get("/api/3/users/me").await.status, 200);
    assert_eq!(bench.sim.report().windows_exceeded, 0);
}

#[tokio::test]
async fn the_limits_per_minute_are_400_without_retry_after_and_apart_for_single_contacts() {
    let bench = Bench::with(|config| {
        limited(config);
        config.options.requests_per_second = None;
        config.time_scale = 0.1;
    })
    .await;
    for n in 0..20 {
        assert_eq!(bench.import(&[&format!("one{n}@b.de")]).await.status, 200);
    }
    let reply = bench.import(&["one@b.de"]).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["message"], "Rate limit exceeded.");
    assert!(reply.json()["failureReasons"][0].as_str().unwrap().contains("100 imports"));
    assert!(reply.header("retry-after").is_none());
    for n in 0..100 {
        assert_eq!(bench.import(&[&format!("a{n}@b.de"), &format!("b{n}@b.de")]).await.status, 200);
    }
    assert_eq!(bench.import(&["a@b.de", "b@b.de"]).await.status, 400);
    let report = bench.sim.report();
    assert_eq!((report.rate_limited_400, report.windows_exceeded), (2, 2 + 115));
    assert_eq!((report.largest_minute_import_many, report.largest_minute_import_one), (101, 21));
    assert_eq!(report.contacts_accepted, 220);
}

#[tokio::test]
async fn a_minute_passes_in_its_scaled_time() {
    let bench = Bench::with(|config| {
        limited(config);
        config.options.requests_per_second = None;
        config.time_scale = 100.0;
    })
    .await;
    let mut accepted = 0;
    let started = std::time::Instant::now();
    while accepted <= 100 {
        let reply = bench.post("/api/3/import/bulk_import", &import_of(&["a@b.de", "b@b.de"])).await;
        accepted += u64::from(reply.status == 200);
    }
    assert!(started.elapsed() >= Duration::from_millis(595));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn the_windows_survive_a_restart() {
    let bench = Bench::with(|config| {
        limited(config);
        config.options.requests_per_second = None;
        config.time_scale = 0.5;
    })
    .await;
    for n in 0..20 {
        assert_eq!(bench.import(&[&format!("one{n}@b.de")]).await.status, 200);
    }
    let bench = bench.restart().await;
    assert_eq!(bench.import(&["one@b.de"]).await.status, 400);
}
