//! How many may watch.

use super::{Asked, SOON, Watch, small};
use ferry_testkit::{Client, TENANT, eventually};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Opens streams until one is refused.
async fn fill(client: &Client) -> (Vec<Watch>, Status) {
    let mut open = Vec::new();
    loop {
        match Watch::open(client, &Asked::all()).await {
            Ok(watch) => open.push(watch),
            Err(status) => return (open, status),
        }
    }
}

fn is_full(status: &Status, of: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with(of) && status.message().contains("end one"), "{}", status.message());
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test]
async fn twenty_watch_for_one_caller_and_their_places_come_back() {
    let (stage, _) = small().await;
    let client = stage.client("viewer").await;
    let (mut open, refused) = fill(&client).await;
    assert_eq!(open.len(), 20);
    is_full(&refused, "this caller");
    for watch in &mut open {
        watch.snapshot().await;
    }
    Watch::open(&stage.client("contributor").await, &Asked::all()).await.map(drop).unwrap();
    drop(open);
    eventually(SOON, || async {
        match Watch::open(&client, &Asked::all()).await {
            Ok(_) => Ok(()),
            Err(status) => Err(status),
        }
    })
    .await;
}

#[tokio::test]
async fn a_tenant_has_its_own_places_and_outsiders_take_none() {
    let (mut stage, _) = small().await;
    stage.restart_and(&["--max-watchers-per-tenant=30".to_owned()], &[]).await;
    let outsider = Client::connect(stage.addr(), &stage.token_in("globex", "viewer")).await;
    for _ in 0..40 {
        let status = Watch::open(&outsider, &Asked::all()).await.err().unwrap();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
    let (first, _) = fill(&stage.client("contributor").await).await;
    let (second, refused) = fill(&stage.client("administrator").await).await;
    assert_eq!((first.len(), second.len()), (20, 10));
    is_full(&refused, "the tenant");
    let claims = [("tenants", serde_json::json!({ TENANT: "viewer" }))];
    let another = Client::connect(stage.addr(), &stage.sign("another", &claims)).await;
    is_full(&Watch::open(&another, &Asked::all()).await.err().unwrap(), "the tenant");
}
