//! What holds for every RPC.

use ferry_domain::authz::policy::POLICY;
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT};
use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::BTreeSet;
use tonic::Code;

/// Every RPC of `ferry.v1`, as `Service/Method`.
fn rpcs() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(ferry_proto::FILE_DESCRIPTOR_SET).unwrap();
    let ours = set.file.iter().filter(|file| file.package() == "ferry.v1");
    let services = ours.flat_map(|file| &file.service);
    services
        .flat_map(|service| service.method.iter().map(|method| format!("{}/{}", service.name(), method.name())))
        .collect()
}

#[test]
fn every_rpc_has_one_line_in_the_policy() {
    let lines: Vec<String> = POLICY.iter().map(|rule| rule.method.to_owned()).collect();
    let unique: BTreeSet<String> = lines.iter().cloned().collect();
    assert_eq!(lines.len(), unique.len(), "a line stands twice");
    assert_eq!(unique, rpcs());
}

#[test]
fn the_list_of_unbuilt_rpcs_only_shrinks() {
    let golden: BTreeSet<&str> = include_str!("../golden/unimplemented.txt").lines().collect();
    let current: BTreeSet<&str> = ferry_server::UNIMPLEMENTED.iter().copied().collect();
    let added: Vec<&&str> = current.difference(&golden).collect();
    assert!(added.is_empty(), "may not be taken back: {added:?}");
    let built: Vec<&&str> = golden.difference(&current).collect();
    assert!(built.is_empty(), "built now; take them out of tests/golden/unimplemented.txt: {built:?}");
    let all = rpcs();
    assert!(current.iter().all(|method| all.contains(*method)));
}

#[tokio::test]
async fn nothing_answers_without_a_token_but_health_and_reflection() {
    let stage = Stage::new().await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", stage.addr())).unwrap().connect().await.unwrap();
    let mut paths: Vec<String> = rpcs().into_iter().map(|rpc| format!("/ferry.v1.{rpc}")).collect();
    paths.push("/ferry.v1.NoService/NoMethod".to_owned());
    paths.push("/x/y".to_owned());
    let mut texts = BTreeSet::new();
    for path in paths {
        let status = call_raw(channel.clone(), &path).await;
        assert_eq!(status.code(), Code::Unauthenticated, "{path}");
        texts.insert(status.message().to_owned());
    }
    assert_eq!(texts.len(), 1, "one text for all: {texts:?}");
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    for service in ["", "ferry.v1.RunService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    }
}

/// An empty message to any path.
async fn call_raw(channel: tonic::transport::Channel, path: &str) -> tonic::Status {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<pb::GetRunRequest, pb::GetRunResponse>::default();
    let path = path.parse().unwrap();
    client.unary(tonic::Request::new(pb::GetRunRequest::default()), path, codec).await.unwrap_err()
}

/// What exists in another tenant and what does not exist anywhere get the same answer.
#[tokio::test]
async fn another_tenants_resource_and_a_made_up_one_look_the_same() {
    let stage = Stage::new().await;
    stage.create_connection("newsletter").await;
    let mut stranger = Client::connect(stage.addr(), &stage.token_in("globex", "administrator")).await;
    let mut answers = BTreeSet::new();
    for connection in ["newsletter", "imaginary"] {
        let name = format!("tenants/{TENANT}/connections/{connection}");
        let status =
            stranger.connections.get_connection(pb::GetConnectionRequest { name: name.clone() }).await.unwrap_err();
        answers.insert((format!("{:?}", status.code()), status.message().replace(&name, "NAME")));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}
