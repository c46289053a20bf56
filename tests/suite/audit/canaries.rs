//! L5: no entry, no stream, no file beside the database tells a person or a key, whatever happened.

use super::{SOON, acme, entries};
use ferry_proto::v1 as pb;
use ferry_sim::{FaultKind, FaultRule, When};
use ferry_testkit::{Stage, canary};
use std::collections::BTreeSet;

/// The clients search each answer, and the end of the stage each file that the service wrote: the database, its log, the
/// two streams, and the copies of checkpoints.
#[tokio::test]
async fn l5_entries_the_export_and_all_copies_tell_no_person_and_no_key() {
    let mut stage = Stage::new().await;
    let file = |name: &str| stage.path(name).display().to_string();
    let args =
        ["--audit-log".to_owned(), file("audit.jsonl"), "--operational-log".to_owned(), file("operational.jsonl")];
    stage.restart_and(&args, &[]).await;
    let rows = format!("{}{},One\n{}", canary::people(5), canary::name("broken"), canary::row("excluded"));
    let first = stage.run_csv(&rows).await;
    // The destination tells the key back, where it is read.
    stage.sim.faults().add(FaultRule::once(FaultKind::EchoKey { status: 422 }).when(When::Always));
    let mut client = stage.client("administrator").await;
    let connection = format!("{}/connections/newsletter", acme());
    let _told = client.connections.verify_connection(pb::VerifyConnectionRequest { name: connection.clone() }).await;
    std::fs::write(stage.path("segments/acme/people"), canary::people(7)).unwrap();
    let second = stage.run(first.name.split_once("/runs/").unwrap().0).await;
    stage.ended(&second.name, SOON).await;
    let mut viewer = stage.client("viewer").await;
    viewer
        .connections
        .list_connections(pb::ListConnectionsRequest { parent: acme(), ..Default::default() })
        .await
        .unwrap_err();
    let mut kinds = BTreeSet::new();
    for chain in [acme(), first.name.clone(), second.name.clone()] {
        kinds.extend(entries(&mut client, &chain, "").await.into_iter().map(|entry| entry.kind));
    }
    for kind in ["CALL_DENIED", "CONNECTION_CREATED", "EGRESS_INTENT", "EGRESS_OUTCOME", "RUN_ENDED"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    let request = pb::ExportAuditLogRequest { parent: acme(), ..Default::default() };
    let mut stream = client.audit.export_audit_log(request).await.unwrap().into_inner();
    let mut items = 0;
    while let Some(_searched) = stream.message().await.unwrap() {
        items += 1;
    }
    assert!(items > 0);
    for stream in ["audit.jsonl", "operational.jsonl"] {
        assert!(!std::fs::read(stage.path(stream)).unwrap().is_empty(), "{stream}");
    }
}
