//! Nothing is learnt from a refusal: what is another tenant's and what is nowhere get the same answer.

use super::ask::{self, Names};
use super::rules::{Rule, rule};
use super::scene::{NONE, OTHER, Scene, part_of};
use super::wire::Answer;
use super::world;
use ferry_proto::v1 as pb;
use ferry_testkit::TENANT;
use prost::Message;
use tonic::Code;

/// The answer with the name, its tenant and its id blacked out.
fn blackened(answer: &Answer, name: &str) -> (Code, Vec<u8>, Vec<u8>, Vec<u8>) {
    let tenant: String = name.split('/').take(2).collect::<Vec<_>>().join("/");
    let mut words = vec![name, tenant.as_str()];
    words.extend(name.split('/').skip(1).step_by(2));
    let hide = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for word in &words {
            let found: Vec<usize> = bytes
                .windows(word.len())
                .enumerate()
                .filter(|(_, w)| *w == word.as_bytes())
                .map(|(at, _)| at)
                .collect();
            for at in found {
                bytes[at..at + word.len()].fill(b'#');
            }
        }
        bytes
    };
    let metadata = answer.metadata.join("\n");
    (answer.code, hide(answer.message.as_bytes()), hide(&answer.details), hide(metadata.as_bytes()))
}

/// Names that differ in what is there, and in nothing that the caller may know.
struct Alike {
    what: &'static str,
    names: Vec<Names>,
}

#[tokio::test]
async fn what_another_tenant_has_and_what_is_nowhere_get_the_same_answer() {
    let scene = Scene::new().await;
    let absent = |tenant: &str| {
        let names = world::names(tenant, "absent", "absent", world::NO_RUN);
        Names { segment: format!("tenants/{tenant}/segments/absent"), ..names }
    };
    let own = |connection: &str| world::names(TENANT, connection, "", "");
    let alike = [
        Alike {
            what: "another tenant",
            names: vec![
                scene.other.clone(),
                absent(OTHER),
                absent(NONE),
                world::names(NONE, "victim", "victim", world::NO_RUN),
            ],
        },
        Alike { what: "hidden from contributors", names: vec![own("hidden"), own("absent")] },
        Alike { what: "hidden from viewers", names: vec![own("shared"), own("hidden"), own("absent")] },
    ];
    let mut compared = 0;
    let mut wrong = Vec::new();
    for rpc in ask::rpcs() {
        for (caller, token) in &scene.callers() {
            let may_look = *caller == "operator" && rule(&rpc.name) == Some(Rule::Operator);
            for Alike { what, names } in &alike {
                // Of our own things only connections are hidden, and no connection from an administrator.
                let is_hidden = match *what {
                    "hidden from contributors" => *caller == "contributor",
                    "hidden from viewers" => !["contributor", "administrator"].contains(caller),
                    _ => true,
                };
                for part in ask::parts(&rpc.name).0 {
                    if may_look || !is_hidden || (*what != "another tenant" && part != ask::CONNECTION) {
                        continue;
                    }
                    let mut answers = Vec::new();
                    for names in names {
                        let value = part_of(names, part);
                        let answer = scene.ask(&rpc, token, &scene.with(part, &value)).await;
                        answers.push((blackened(&answer, &value), answer));
                    }
                    compared += answers.len();
                    if answers.iter().any(|(seen, _)| *seen != answers[0].0) {
                        let texts: Vec<String> =
                            answers.iter().map(|(_, answer)| format!("{:?} {}", answer.code, answer.message)).collect();
                        wrong.push(format!("{} by {caller}, field {part}, {what}: {texts:?}", rpc.name));
                    }
                }
            }
        }
    }
    assert!(compared > 1_000, "{compared} answers were compared");
    assert!(wrong.is_empty(), "{} answers tell what is there:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_filter_tells_nothing_of_another_tenant() {
    let scene = Scene::new().await;
    for token in scene.callers().values() {
        let mut answers = Vec::new();
        for connection in [&scene.other.connection, &format!("tenants/{OTHER}/connections/absent")] {
            let request = pb::ListExportsRequest {
                parent: scene.own.tenant.clone(),
                filter: format!("connection = \"{connection}\""),
                ..Default::default()
            };
            let answer = scene.wire.call("ExportService/ListExports", false, token, &request.encode_to_vec()).await;
            answers.push((blackened(&answer, connection), answer.body));
        }
        assert_eq!(answers[0], answers[1]);
    }
}

/// Codes that say that something of ours is broken.
const BREAKS: [Code; 4] = [Code::Internal, Code::Unknown, Code::Unavailable, Code::DeadlineExceeded];

/// Names that a request may have and nobody reads: of what is only being made, and of what its mask leaves out.
fn ignores(rpc: &str, part: usize) -> bool {
    let ignored = [
        ("ConnectionService/CreateConnection", ask::CONNECTION),
        ("ExportService/CreateExport", ask::EXPORT),
        ("ExportService/UpdateExport", ask::CONNECTION),
        ("NotificationService/CreateWebhook", ask::WEBHOOK),
        ("TenantService/CreateTenant", ask::TENANT),
    ];
    ignored.contains(&(rpc, part))
}

/// A name may be nothing, far too long or no name at all: it is refused, and nothing breaks.
#[tokio::test]
async fn names_that_are_none_are_refused_and_break_nothing() {
    let scene = Scene::new().await;
    let long = "x".repeat(10_000);
    let mut wrong = Vec::new();
    for rpc in ask::rpcs() {
        for (caller, token) in &scene.callers() {
            for part in ask::parts(&rpc.name).0 {
                let own = part_of(&scene.own, part);
                let stem = own.rsplit_once('/').map_or("", |(stem, _)| stem);
                let values = [
                    String::new(),
                    long.clone(),
                    format!("{stem}/{long}"),
                    format!("{own}/{long}"),
                    format!("{stem}/"),
                    format!("{stem}/../{}", own.rsplit('/').next().unwrap()),
                    format!("{own}\0"),
                    format!("{own}\n"),
                    own.to_uppercase(),
                    "tenants/-/connections/-".to_owned(),
                ];
                for value in values {
                    let answer = scene.ask(&rpc, token, &scene.with(part, &value)).await;
                    let is_taken = answer.code == Code::Ok && !value.is_empty() && !ignores(&rpc.name, part);
                    if is_taken || BREAKS.contains(&answer.code) || answer.message.len() > 1_000 {
                        let head: String = value.chars().take(60).collect();
                        let Answer { code, message, .. } = answer;
                        wrong.push(format!("{} by {caller}, {head:?}: {code:?}, {} bytes", rpc.name, message.len()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
}
