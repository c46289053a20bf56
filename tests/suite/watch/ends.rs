//! Streams whose readers may not go on end within five seconds, whatever happens on them.

use super::{Asked, FIVE, SOON, Watch, all, last_token, reason, small};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tonic::Code;

fn seconds_from_now(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds
}

#[tokio::test]
async fn attack_42_a_token_that_expires_ends_its_stream() {
    let (stage, export) = small().await;
    let lives = 4;
    let claims =
        [("tenants", serde_json::json!({ TENANT: "viewer" })), ("exp", serde_json::json!(seconds_from_now(lives)))];
    let client = Client::connect(stage.addr(), &stage.sign("short.lived", &claims)).await;
    let begun = Instant::now();
    let mut quiet = Watch::open(&client, &Asked::all()).await.unwrap();
    let mut busy = Watch::open(&client, &Asked::all()).await.unwrap();
    let moving = tokio::spawn(async move {
        loop {
            let run = stage.run(&export).await;
            stage.ended(&run.name, SOON).await;
        }
    });
    for watch in [&mut quiet, &mut busy] {
        let status = watch.end().await.unwrap_err();
        assert_eq!(reason(&status), (Code::Unauthenticated, "TOKEN_INVALID".to_owned()));
        assert!(!last_token(&status).is_empty());
    }
    let took = begun.elapsed();
    let most = Duration::from_secs(lives) + FIVE;
    assert!(took > Duration::from_secs(lives - 2) && took < most, "{took:?}");
    moving.abort();
}

/// How long a stream goes on once its reader may not, and how it ends.
async fn until_end(mut watch: Watch) -> (Duration, tonic::Status) {
    let begun = Instant::now();
    let end = tokio::time::timeout(2 * FIVE, watch.end()).await;
    (begun.elapsed(), end.expect("it ends soon").unwrap_err())
}

async fn denials(stage: &Stage) -> i64 {
    let query = "SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE kind = 'CALL_DENIED' AND actor = 'viewer'";
    super::column(stage, query).await[0].parse().unwrap()
}

#[tokio::test]
async fn whoever_is_revoked_is_told_so_on_record_and_others_go_on() {
    let (stage, export) = small().await;
    let watch = Watch::open(&stage.client("viewer").await, &Asked::all()).await.unwrap();
    let mut other = Watch::open(&stage.client("contributor").await, &Asked::all()).await.unwrap();
    let before = denials(&stage).await;
    let name = format!("tenants/{TENANT}");
    let request = pb::RevokePrincipalRequest { name, subject: "viewer".to_owned(), ..Default::default() };
    stage.client("administrator").await.tenants.revoke_principal(request).await.unwrap();
    let (took, status) = until_end(watch).await;
    assert_eq!(reason(&status), (Code::PermissionDenied, "ROLE_TOO_LOW".to_owned()));
    assert!(took < FIVE, "{took:?}");
    assert_eq!(denials(&stage).await, before + 1);
    other.snapshot().await;
    let run = stage.run(&export).await;
    assert_eq!(super::run_of(&other.must().await).unwrap().name, run.name);
}

#[tokio::test]
async fn the_streams_of_a_tenant_that_is_removed_end_and_its_tokens_with_it() {
    let (stage, export) = small().await;
    let run = stage.run(&export).await;
    stage.ended(&run.name, SOON).await;
    let client = stage.client("administrator").await;
    let mut watch = Watch::open(&client, &Asked::all()).await.unwrap();
    let (_, token) = watch.snapshot().await;
    let begun = Instant::now();
    let request = pb::DeleteTenantRequest { name: format!("tenants/{TENANT}"), ..Default::default() };
    stage.operator().await.tenants.delete_tenant(request).await.unwrap();
    let (_, status) = until_end(watch).await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(begun.elapsed() < FIVE, "{:?}", begun.elapsed());
    let late = Watch::open(&client, &Asked::all().from(&token)).await.err().unwrap();
    assert_eq!(late.code(), Code::PermissionDenied);
    for table in ["run_changes", "run_change_heads"] {
        assert_eq!(super::column(&stage, &format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}")).await, ["0"]);
    }
}

/// The connection's sharing decides who may run an export, and not who may see its runs.
#[tokio::test]
async fn a_connection_that_is_no_longer_shared_ends_no_stream() {
    let (stage, export) = small().await;
    let mut watch = Watch::open(&stage.client("contributor").await, &Asked::all()).await.unwrap();
    watch.snapshot().await;
    let mut administrator = stage.client("administrator").await;
    let name = format!("tenants/{TENANT}/connections/newsletter");
    for access in [pb::connection::Access::AdministratorsAndContributors, pb::connection::Access::Administrators] {
        let get = pb::GetConnectionRequest { name: name.clone() };
        let found = administrator.connections.get_connection(get).await.unwrap().into_inner().connection.unwrap();
        let request = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { access: access.into(), ..found }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["access".to_owned()] }),
            ..Default::default()
        };
        administrator.connections.update_connection(request).await.unwrap();
    }
    tokio::time::sleep(FIVE).await;
    let run = stage.run(&export).await;
    let message = watch.must().await;
    assert_eq!(super::run_of(&message).unwrap().name, run.name);
    assert_eq!(all(), Asked::all().parent);
}

/// A deadline of the reader's own is kept, and told as always.
#[tokio::test]
async fn a_deadline_ends_a_stream() {
    let (stage, _) = small().await;
    let mut client = stage.client("viewer").await;
    let mut request = tonic::Request::new(pb::WatchRunsRequest { parent: all(), ..Default::default() });
    request.set_timeout(Duration::from_secs(2));
    let mut watch = Watch::of(client.runs.watch_runs(request).await.unwrap().into_inner());
    let (took, status) = until_end_of(&mut watch).await;
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    assert!(took < FIVE, "{took:?}");
}

async fn until_end_of(watch: &mut Watch) -> (Duration, tonic::Status) {
    let begun = Instant::now();
    let end = tokio::time::timeout(2 * FIVE, watch.end()).await;
    (begun.elapsed(), end.expect("it ends soon").unwrap_err())
}
