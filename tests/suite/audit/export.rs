//! `ExportAuditLog` and `GetCheckpoint`, held against the offline verifier.

use super::{SOON, acme, alter, entries, reason};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferry_ledger::verify::{Report, verify};
use ferry_proto::v1 as pb;
use ferry_proto::v1::export_audit_log_response::Item;
use ferry_testkit::{Client, Stage, TENANT, binary, canary, eventually};
use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};
use tonic::{Code, Status};

/// Waits until a checkpoint covers as many entries as there are now, and tells it.
pub(crate) async fn covered(stage: &Stage) -> pb::Checkpoint {
    let mut client = stage.client("administrator").await;
    let newest = entries(&mut client, &acme(), "").await[0].number;
    eventually(SOON, || {
        let mut client = client.clone();
        async move {
            let found = client.audit.get_checkpoint(pb::GetCheckpointRequest { parent: acme() }).await;
            let checkpoint = found.map_err(|status| status.to_string())?.into_inner().checkpoint.unwrap();
            if checkpoint.entries >= newest { Ok(checkpoint) } else { Err(format!("{checkpoint:?}")) }
        }
    })
    .await
}

pub(crate) async fn items(client: &mut Client, after: i64, pins: &[i64]) -> Result<Vec<Item>, Status> {
    let request = pb::ExportAuditLogRequest { parent: acme(), after_number: after, pinned_sizes: pins.to_vec() };
    let mut stream = client.audit.export_audit_log(request).await?.into_inner();
    let mut items = Vec::new();
    while let Some(response) = stream.message().await? {
        items.push(response.item.unwrap());
    }
    Ok(items)
}

/// As grpcurl prints it.
pub(crate) fn printed(items: &[Item]) -> String {
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let all = |hashes: &[Vec<u8>]| hashes.iter().map(|hash| base64(hash)).collect::<Vec<_>>();
    let mut text = String::new();
    for item in items {
        let object = match item {
            Item::Log(log) => json!({ "log": {
                "tenant": log.tenant, "tenantUid": log.tenant_uid, "origin": log.origin,
            } }),
            Item::Entry(entry) => {
                let mut object = json!({ "entry": {
                    "name": entry.name, "number": entry.number.to_string(), "kind": entry.kind, "chain": entry.chain,
                    "bodyHash": base64(&entry.body_hash), "hash": base64(&entry.hash),
                } });
                if !entry.encoded.is_empty() {
                    object["entry"]["encoded"] = base64(&entry.encoded).into();
                }
                object
            }
            Item::Checkpoint(checkpoint) => json!({ "checkpoint": {
                "note": checkpoint.note, "publicKey": checkpoint.public_key,
                "entries": checkpoint.entries.to_string(), "leafIndex": checkpoint.leaf_index.to_string(),
                "inclusionProof": all(&checkpoint.inclusion_proof),
                "consistencyProof": all(&checkpoint.consistency_proof),
            } }),
        };
        text += &serde_json::to_string_pretty(&object).unwrap();
        text.push('\n');
    }
    text
}

pub(super) fn verified(items: &[Item], key: &str, kept: &[String]) -> Report {
    verify(printed(items).as_bytes(), &key.parse().unwrap(), kept).unwrap()
}

/// A stage with two runs on record, and some refusals.
async fn stage() -> Stage {
    let stage = super::Stage::new().await;
    let first = stage.run_csv(&canary::people(40)).await;
    let second = stage.run(first.name.split_once("/runs/").unwrap().0).await;
    stage.ended(&second.name, SOON).await;
    let mut viewer = stage.client("viewer").await;
    for _ in 0..5 {
        let request = pb::ListConnectionsRequest { parent: acme(), ..Default::default() };
        viewer.connections.list_connections(request).await.unwrap_err();
    }
    stage
}

#[tokio::test]
async fn the_stream_is_good_for_the_verifier_and_holds_every_entry_of_the_tenant_and_its_runs() {
    let stage = stage().await;
    let checkpoint = covered(&stage).await;
    let mut client = stage.client("administrator").await;
    let streamed = items(&mut client, 0, &[]).await.unwrap();
    let Some(Item::Log(log)) = streamed.first() else { panic!("{streamed:?}") };
    assert_eq!(log.tenant, TENANT);
    let report = verified(&streamed, &checkpoint.public_key, std::slice::from_ref(&checkpoint.note));
    assert!(report.is_good(), "{report}");
    assert_eq!((report.uncovered(), report.pinned_same), (0, 1), "{report}");
    let own: Vec<i64> = numbers(&streamed, &acme());
    assert_eq!(own, (1..=i64::try_from(own.len()).unwrap()).collect::<Vec<_>>());
    for run in ended_runs(&mut client).await {
        let listed = entries(&mut client, &run, "").await;
        assert_eq!(numbers(&streamed, &run).len(), listed.len(), "{run}");
        assert!(listed.iter().any(|entry| entry.kind == "EGRESS_INTENT") || listed.is_empty(), "{run}");
    }
    let roles = stage.client("viewer").await.audit.get_checkpoint(pb::GetCheckpointRequest { parent: acme() }).await;
    assert!(roles.unwrap().into_inner().checkpoint.is_some(), "every role may keep a checkpoint");
}

fn numbers(items: &[Item], chain: &str) -> Vec<i64> {
    let number = |item: &Item| match item {
        Item::Entry(entry) if entry.chain == chain => Some(entry.number),
        _ => None,
    };
    items.iter().filter_map(number).collect()
}

async fn ended_runs(client: &mut Client) -> Vec<String> {
    let ended = entries(client, &acme(), r#"kind = "RUN_ENDED""#).await;
    ended.into_iter().map(|entry| entry.object).collect()
}

#[tokio::test]
async fn what_was_altered_in_the_database_is_bad_for_the_verifier() {
    let mut stage = stage().await;
    let checkpoint = covered(&stage).await;
    stage.kill();
    let number =
        "SELECT number FROM audit_entries WHERE tenant = 'acme' AND chain = '' AND kind = 'CALL_DENIED' LIMIT 1";
    let flip = "CAST(replace(CAST(body AS TEXT), 'viewer', 'nobody') AS BLOB)";
    alter(
        &stage,
        &format!("UPDATE audit_entries SET body = {flip} WHERE tenant = 'acme' AND chain = '' AND number = ({number})"),
    )
    .await;
    stage.start().await;
    let mut client = stage.client("administrator").await;
    let streamed = items(&mut client, 0, &[]).await.unwrap();
    let report = verified(&streamed, &checkpoint.public_key, &[]);
    assert!(!report.is_good(), "{report}");
    assert!(report.bad.unwrap().place.to_string().contains(&acme()));
}

#[tokio::test]
async fn a_stream_goes_on_behind_an_entry_and_brings_the_checkpoints_that_are_kept() {
    let stage = stage().await;
    let first = covered(&stage).await;
    let size: i64 = first.note.lines().nth(1).unwrap().parse().unwrap();
    stage.create_connection("another").await;
    let second = covered(&stage).await;
    let mut client = stage.client("administrator").await;
    let streamed = items(&mut client, 0, &[size]).await.unwrap();
    let kept = [first.note.clone(), second.note.clone()];
    let report = verified(&streamed, &second.public_key, &kept);
    assert!(report.is_good() && report.pinned_same == 2, "{report}");
    let later = items(&mut client, first.entries, &[size]).await.unwrap();
    let own = numbers(&later, &acme());
    assert!(own.first() == Some(&(first.entries + 1)), "{own:?}");
    // Behind the first file the second one makes one that is good.
    let until =
        |item: &&Item| !matches!(item, Item::Entry(entry) if entry.chain == acme() && entry.number > first.entries);
    let head: Vec<Item> = streamed.iter().take_while(until).cloned().collect();
    let whole = [&head[..], &later[1..]].concat();
    let report = verified(&whole, &second.public_key, &kept);
    assert!(report.is_good(), "{report}");
    for (pins, field) in
        [(vec![size + 1_000_000], "pinned_sizes[0]"), (vec![-1], "pinned_sizes[0]"), (vec![size; 101], "pinned_sizes")]
    {
        let status = items(&mut client, 0, &pins).await.unwrap_err();
        assert_eq!((status.code(), super::fields(&status)[0].as_str()), (Code::InvalidArgument, field));
    }
    assert_eq!(super::fields(&items(&mut client, -1, &[]).await.unwrap_err()), ["after_number"]);
}

#[tokio::test]
async fn before_the_first_checkpoint_there_is_none_and_an_empty_stream() {
    // A stage is made within less than the minute after which the first is signed.
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let asked = pb::GetCheckpointRequest { parent: acme() };
    let status = client.audit.get_checkpoint(asked).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
    let streamed = items(&mut client, 0, &[]).await.unwrap();
    assert!(matches!(&streamed[..], [Item::Log(_)]), "{streamed:?}");
}

#[tokio::test]
async fn the_command_exports_what_the_command_verifies() {
    let stage = stage().await;
    let checkpoint = covered(&stage).await;
    std::fs::write(stage.path("secrets"), stage.token("administrator")).unwrap();
    let exported = Command::new(binary("ferry"))
        .args(["audit", "export", "--tenant", TENANT, "--addr", &stage.addr().to_string(), "--token-file"])
        .arg(stage.path("secrets"))
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let mut verifying = Command::new(binary("ferry"))
        .args(["audit", "verify", "-", "--key", &checkpoint.public_key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    verifying.stdin.take().unwrap().write_all(&exported.stdout).unwrap();
    let verified = verifying.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && said.contains("ok"), "{said}");
}
