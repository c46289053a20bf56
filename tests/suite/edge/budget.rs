//! Requests a second of a tenant, and who pays for them.

use super::{LISTEN, ask, ask_acme, retry_delay};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tonic::Code;

/// A second tenant.
const OTHER: &str = "globex";

async fn with_two_tenants(args: &[&str]) -> Stage {
    let mut stage = Stage::new().await;
    let tenant = pb::Tenant { display_name: "Globex".to_owned(), ..pb::Tenant::default() };
    let request =
        pb::CreateTenantRequest { tenant_id: OTHER.to_owned(), tenant: Some(tenant), request_id: String::new() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    stage.restart_with(args).await;
    stage
}

#[tokio::test]
async fn over_the_rate_a_tenant_is_told_the_wait_that_helps() {
    let mut stage = Stage::new().await;
    stage.restart_with(&[LISTEN, "--tenant-rate=5", "--tenant-burst=10"]).await;
    let client = stage.client("administrator").await;
    let mut passed = 0;
    let refused = loop {
        match ask_acme(&client).await {
            Ok(()) => passed += 1,
            Err(status) => break status,
        }
    };
    assert!(passed >= 10, "the burst passes: {passed}");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let wait = retry_delay(&refused);
    assert!(!wait.is_zero() && wait <= Duration::from_millis(200), "one request comes each 200 ms: {wait:?}");
    tokio::time::sleep(wait).await;
    ask_acme(&client).await.unwrap();
}

/// The order of the edge: who pays is known only once the caller is.
#[tokio::test]
async fn a_flood_from_outside_uses_up_no_tenants_budget() {
    let stage = with_two_tenants(&[LISTEN, "--tenant-rate=1", "--tenant-burst=50"]).await;
    let nobody = Client::connect(stage.addr(), "").await;
    let outsider = Client::connect(stage.addr(), &stage.token_in(OTHER, "contributor")).await;
    let mut codes = Vec::new();
    for _ in 0..200 {
        assert_eq!(ask_acme(&nobody).await.unwrap_err().code(), Code::Unauthenticated);
        codes.push(ask_acme(&outsider).await.unwrap_err().code());
    }
    assert!(codes[..50].iter().all(|code| *code == Code::PermissionDenied));
    assert!(codes.contains(&Code::ResourceExhausted), "the outsider pays for itself");
    let member = stage.client("administrator").await;
    for _ in 0..50 {
        ask_acme(&member).await.unwrap();
    }
    let other = Client::connect(stage.addr(), &stage.token_in(OTHER, "viewer")).await;
    for _ in 0..50 {
        ask(&other, OTHER).await.unwrap();
    }
}

/// The figures are printed for whoever asks for them with `--nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "figures for whoever asks")]
async fn a_tenant_at_ten_times_its_rate_takes_nothing_from_another() {
    let stage = with_two_tenants(&[LISTEN, "--tenant-rate=20", "--tenant-burst=20"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (passed, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let client = stage.client("administrator").await;
        let (stop, passed, refused) = (Arc::clone(&stop), Arc::clone(&passed), Arc::clone(&refused));
        flood.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                match ask(&client, TENANT).await {
                    Ok(()) => passed.fetch_add(1, Ordering::Relaxed),
                    Err(status) => {
                        assert_eq!(status.code(), Code::ResourceExhausted);
                        refused.fetch_add(1, Ordering::Relaxed)
                    }
                };
                // Four of these ask at most 200 times a second.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let polite = Client::connect(stage.addr(), &stage.token_in(OTHER, "viewer")).await;
    let mut waits = Vec::new();
    for _ in 0..40 {
        let begun = Instant::now();
        ask(&polite, OTHER).await.unwrap();
        waits.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = flood.join_next().await {
        ended.unwrap();
    }
    waits.sort();
    println!("passed {passed:?}, refused {refused:?}; the other: median {:?}, worst {:?}", waits[20], waits[39]);
    assert!(refused.load(Ordering::Relaxed) > 0, "the flood was over its rate");
}
