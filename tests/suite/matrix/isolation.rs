//! Nobody reads or changes what is another tenant's.

use super::ask::{self, Ask, Names};
use super::scene::{CANARY, OTHER, Scene, part_of};
use super::{calls, rules, world};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT};
use prost::Message;
use tonic::Code;

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// All that the other tenant's administrator and the operator can read of it.
async fn state(stage: &Stage) -> Vec<String> {
    let mut client = world::administrator(stage, world::SOMEBODY, OTHER).await;
    let parent = format!("tenants/{OTHER}");
    let tenant = pb::GetTenantRequest { name: parent.clone() };
    let connections = pb::ListConnectionsRequest { parent: parent.clone(), ..Default::default() };
    let exports = pb::ListExportsRequest { parent: parent.clone(), ..Default::default() };
    let runs = pb::ListRunsRequest { parent: format!("{parent}/exports/-"), ..Default::default() };
    let tenant = stage.operator().await.tenants.get_tenant(tenant).await.unwrap().into_inner().tenant.unwrap();
    let mut state = vec![format!("{tenant:?}")];
    let answer = client.connections.list_connections(connections).await.unwrap().into_inner();
    for connection in answer.connections {
        // The settings hide themselves in what is printed: the bytes are compared as well.
        state.push(format!("{connection:?} {:?}", connection.encode_to_vec()));
    }
    let answer = client.exports.list_exports(exports).await.unwrap().into_inner();
    state.extend(answer.exports.into_iter().map(|export| format!("{export:?}")));
    let webhooks = pb::ListWebhooksRequest { parent: parent.clone(), ..Default::default() };
    let answer = client.notifications.list_webhooks(webhooks).await.unwrap().into_inner();
    state.extend(answer.webhooks.into_iter().map(|webhook| format!("{webhook:?}")));
    let answer = client.runs.list_runs(runs).await.unwrap().into_inner();
    state.extend(answer.runs.into_iter().map(|run| format!("{run:?}")));
    state
}

/// Our own names with one of them, or all, put in from the other tenant.
fn attempts(scene: &Scene, rpc: &str) -> Vec<Names> {
    let (parts, _) = ask::parts(rpc);
    let mut attempts: Vec<Names> = parts.iter().map(|part| scene.with(*part, &part_of(&scene.other, *part))).collect();
    attempts.push(scene.other.clone());
    attempts
}

/// Names, owners and even etags are guessed right, nothing is merely validated, and the roles are the highest.
#[tokio::test]
async fn p5_nobody_reads_or_changes_what_is_another_tenants() {
    let scene = Scene::new().await;
    let mut administrator = world::administrator(&scene.stage, world::SOMEBODY, OTHER).await;
    let etags = etags(&mut administrator, &scene.other).await;
    let before = state(&scene.stage).await;
    assert!(before.len() == 5 && holds(before[1].as_bytes(), CANARY), "{before:?}");
    let mut calls_made = 0;
    for rpc in ask::rpcs() {
        for (caller, token) in &scene.callers() {
            if *caller == "operator" && rules::rule(&rpc.name) == Some(rules::Rule::Operator) {
                continue;
            }
            for names in attempts(&scene, &rpc.name) {
                for etag in etags.iter().map(String::as_str).chain([""]) {
                    let body = calls::request(&rpc.name, &Ask { names: &names, etag, validate_only: false }).unwrap();
                    let answer = scene.wire.call(&rpc.name, rpc.is_stream, token, &body).await;
                    calls_made += 1;
                    let all = [answer.body, answer.details, answer.message.into_bytes()].concat();
                    assert!(!holds(&all, CANARY), "{} tells {caller} what is another tenant's", rpc.name);
                    if names == scene.other && rpc.ids > 0 {
                        assert_ne!(answer.code, Code::Ok, "{} lets {caller} in", rpc.name);
                    }
                }
            }
        }
    }
    assert!(calls_made > 1_000, "{calls_made}");
    assert_eq!(state(&scene.stage).await, before);
}

async fn etags(client: &mut Client, names: &Names) -> Vec<String> {
    let connection = pb::GetConnectionRequest { name: names.connection.clone() };
    let export = pb::GetExportRequest { name: names.export.clone() };
    let webhook = pb::GetWebhookRequest { name: names.webhook.clone() };
    let webhook = client.notifications.get_webhook(webhook).await.unwrap().into_inner().webhook.unwrap();
    let connection = client.connections.get_connection(connection).await.unwrap().into_inner().connection.unwrap();
    let export = client.exports.get_export(export).await.unwrap().into_inner().export.unwrap();
    vec![connection.etag, export.etag, webhook.etag]
}

/// A request id that another tenant has used is as good as a new one.
#[tokio::test]
async fn p5_a_request_id_counts_within_its_tenant() {
    let scene = Scene::new().await;
    let request_id = "3f0e5a52-5a8c-4f0e-8f53-61a1a2f5c7d4";
    let mut made = Vec::new();
    for tenant in [TENANT, OTHER] {
        let mut client = world::administrator(&scene.stage, world::CALLER, tenant).await;
        let request = pb::CreateConnectionRequest {
            parent: format!("tenants/{tenant}"),
            connection: Some(pb::Connection { display_name: format!("Of {tenant}"), ..scene.stage.connection() }),
            skip_verification: true,
            request_id: request_id.to_owned(),
            ..Default::default()
        };
        let connection = client.connections.create_connection(request).await.unwrap().into_inner().connection.unwrap();
        assert!(connection.name.starts_with(&format!("tenants/{tenant}/")), "{}", connection.name);
        assert_eq!(connection.display_name, format!("Of {tenant}"));
        made.push(connection.uid);
    }
    assert_ne!(made[0], made[1]);
}
