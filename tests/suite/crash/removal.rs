//! Removals of connections that a crash comes between: K21 and K22.

use super::{Crash, REQUEST_ID, SOON};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::judge::{number_on_record, quiet};
use ferry_testkit::{Stage, TENANT, adds_up};
use tonic::{Code, Status};

const SCALE: f64 = 20.0;

async fn remove(stage: &Stage, request_id: &str) -> Result<pb::RemovalReceipt, Status> {
    let request = pb::DeleteConnectionRequest {
        name: format!("tenants/{TENANT}/connections/newsletter"),
        force: true,
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    let mut client = stage.client("administrator").await;
    Ok(client.connections.delete_connection(request).await?.into_inner().receipt.unwrap())
}

/// Keys of connections in the key store: the tenant's own name two parts.
fn keys(stage: &Stage) -> usize {
    let names = std::fs::read_dir(stage.path("keys/store")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(TENANT) && name.split('.').count() > 2).count()
}

async fn removals(stage: &Stage, state: &str) -> i64 {
    number_on_record(stage, &format!("SELECT COUNT(*) FROM connection_removals WHERE state = '{state}'")).await
}

fn requests(stage: &Stage) -> u64 {
    stage.sim.report().requests.values().sum()
}

/// A run that sends, and a removal that dies at a point. It is dead afterwards; the run's name.
async fn dies_in_a_removal(crash: &mut Crash, point: &str) -> String {
    crash.stage.kill();
    crash.stage.start_to_die(point).await;
    let run = crash.ask().await.unwrap().name;
    crash.accepted(3).await;
    let failed = remove(&crash.stage, REQUEST_ID).await.unwrap_err();
    assert!(matches!(failed.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal), "{failed}");
    crash.stage.died().await;
    run
}

/// Starts the service and waits for the end of the run, whose account is that of its record.
async fn finishes(crash: &mut Crash, run: &str) {
    let asked = requests(&crash.stage);
    crash.stage.start().await;
    assert_eq!((keys(&crash.stage), removals(&crash.stage, "destroyed").await), (0, 1), "before it serves anybody");
    let ended = crash.stage.ended(run, SOON).await;
    let reason = ended.error.as_ref().map_or("", |error| &error.reason);
    assert_eq!((ended.state(), reason), (State::Cancelled, "CONNECTION_REMOVED"));
    let counts = ended.counts.unwrap();
    assert!(adds_up(&counts) && counts.confirmed + counts.unknown > 0 && counts.not_sent > 0, "{counts:?}");
    assert_eq!(requests(&crash.stage), asked, "a request was made after the tombstone");
    // Both records agree on what is known to be there.
    let confirmed = number_on_record(&crash.stage, "SELECT SUM(confirmed) FROM batches WHERE state = 'settled'").await;
    assert_eq!(counts.confirmed, confirmed);
    let receipt = remove(&crash.stage, REQUEST_ID).await.unwrap();
    assert!(receipt.remove_time.is_some() && receipt.keys_destroyed == 2, "{receipt:?}");
    assert_eq!((receipt.stopped_runs.len(), receipt.detached_exports.len()), (1, 1));
    assert_eq!(receipt, remove(&crash.stage, REQUEST_ID).await.unwrap());
    let again = remove(&crash.stage, "").await.unwrap_err();
    let entry = format!("audit entry {}", receipt.covered_from);
    assert!(again.code() == Code::NotFound && again.message().contains("already removed"), "{again}");
    assert!(again.message().contains(&entry), "{again}");
    quiet(&mut crash.stage).await;
}

#[tokio::test]
async fn k21_killed_between_the_tombstone_and_the_destruction_of_the_keys() {
    let mut crash = Crash::prepared(SCALE).await;
    let run = dies_in_a_removal(&mut crash, "connection-tombstoned:1").await;
    assert_eq!((keys(&crash.stage), removals(&crash.stage, "tombstoned").await), (2, 1));
    finishes(&mut crash, &run).await;
}

#[tokio::test]
async fn k22_killed_when_the_keys_are_destroyed_and_that_is_not_on_record() {
    let mut crash = Crash::prepared(SCALE).await;
    let run = dies_in_a_removal(&mut crash, "connection-keys-destroyed:1").await;
    assert_eq!((keys(&crash.stage), removals(&crash.stage, "tombstoned").await), (0, 1));
    finishes(&mut crash, &run).await;
}

#[tokio::test]
async fn k22_killed_when_a_removal_is_on_record_and_not_answered() {
    let mut crash = Crash::prepared(SCALE).await;
    let run = dies_in_a_removal(&mut crash, "connection-removal-recorded:1").await;
    assert_eq!((keys(&crash.stage), removals(&crash.stage, "destroyed").await), (0, 1));
    finishes(&mut crash, &run).await;
}
