//! Tokens at the real binary: what is refused, what a refusal tells, and what ends a good one.

use crate::raw::{Answer, ask};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT, eventually};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const PATH: &str = "/ferry.v1.RunService/ListRuns";

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn list(tenant: &str) -> pb::ListRunsRequest {
    pb::ListRunsRequest { parent: format!("tenants/{tenant}/exports/-"), ..Default::default() }
}

fn administrator(tenant: &str) -> (&'static str, Value) {
    ("tenants", json!({tenant: "administrator"}))
}

async fn lists(stage: &Stage, token: &str, tenant: &str) -> Result<(), Status> {
    Client::connect(stage.addr(), token).await.runs.list_runs(list(tenant)).await.map(|_| ())
}

/// `authorization` values that are refused, each for another cause.
fn refused(stage: &Stage) -> Vec<(&'static str, Vec<String>)> {
    let good = stage.token("administrator");
    let signed = |name: &'static str, value: Value| stage.sign("ada", &[administrator(TENANT), (name, value)]);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let tail = good.split_once('.').unwrap().1;
    let tokens = [
        ("another signature", format!("{message}.{}", signature.chars().rev().collect::<String>())),
        ("no signature", format!("{message}.")),
        ("no algorithm", format!("eyJhbGciOiJub25lIiwia2lkIjoiZGV2ZWxvcG1lbnQifQ.{tail}")),
        ("an unknown key", format!("eyJhbGciOiJFZERTQSIsImtpZCI6Im90aGVyIn0.{tail}")),
        ("no JSON", "e30.e30.e30".to_owned()),
        ("too long", "a".repeat(9 * 1_024)),
        ("expired", signed("exp", json!(now() - 3_600))),
        ("not yet", signed("nbf", json!(now() + 3_600))),
        ("for too long", signed("exp", json!(now() + 400_000))),
        ("another issuer", signed("iss", json!("https://evil.test"))),
        ("another audience", signed("aud", json!("other"))),
        ("no subject", signed("sub", json!(""))),
        ("an ID token", signed("nonce", json!("n"))),
        ("an unknown role", signed("tenants", json!({TENANT: "root"}))),
        ("an odd operator", signed("operator", json!("true"))),
    ];
    let one = |(cause, token)| (cause, vec![format!("Bearer {token}")]);
    let mut values: Vec<_> = tokens.into_iter().map(one).collect();
    values.push(("none", vec![]));
    values.push(("another scheme", vec![format!("Basic {good}")]));
    values.push(("two", vec![format!("Bearer {good}"), format!("Bearer {good}")]));
    values
}

#[tokio::test]
async fn every_refused_token_gets_the_same_bytes() {
    let stage = Stage::new().await;
    let good = [format!("Bearer {}", stage.token("administrator"))];
    assert_eq!(ask(stage.addr(), PATH, &good, &[], &list(TENANT)).await.code(), Code::Ok);
    let mut first: Option<Answer> = None;
    for (cause, values) in refused(&stage) {
        let answer = ask(stage.addr(), PATH, &values, &[], &list(TENANT)).await;
        assert_eq!(answer.code(), Code::Unauthenticated, "{cause}");
        let first = first.get_or_insert_with(|| answer.clone());
        assert_eq!(*first, answer, "{cause}");
        // Nor does it tell whether there is such a method.
        let nowhere = ask(stage.addr(), "/ferry.v1.RunService/Nothing", &values, &[], &list(TENANT)).await;
        assert_eq!(*first, nowhere, "{cause}");
    }
}

#[tokio::test]
async fn attack_41_a_token_anywhere_else_is_not_looked_at() {
    let stage = Stage::new().await;
    let good = stage.token("administrator");
    let none = ask(stage.addr(), PATH, &[], &[], &list(TENANT)).await;
    assert_eq!(none.code(), Code::Unauthenticated);
    for name in ["access_token", "token", "authorization"] {
        let path = format!("{PATH}?{name}={good}");
        assert_eq!(ask(stage.addr(), &path, &[], &[], &list(TENANT)).await, none, "{name}");
    }
    let bearer = format!("Bearer {good}");
    for name in ["x-authorization", "proxy-authorization", "cookie", "x-access-token"] {
        assert_eq!(ask(stage.addr(), PATH, &[], &[(name, &bearer)], &list(TENANT)).await, none, "{name}");
    }
    let field = pb::ListRunsRequest { page_token: bearer, ..list(TENANT) };
    assert_eq!(ask(stage.addr(), PATH, &[], &[], &field).await, none);
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert!(!log.contains(&good), "a token is in the log");
}

#[tokio::test]
async fn attack_43_a_token_of_a_removed_tenant_is_one_of_a_tenant_that_never_was() {
    let stage = Stage::new().await;
    let token = format!("Bearer {}", stage.sign("ada", &[administrator("gone")]));
    let asked = async || ask(stage.addr(), PATH, std::slice::from_ref(&token), &[], &list("gone")).await;
    let never = asked().await;
    let mut operator = stage.operator().await;
    let made = pb::Tenant { display_name: "Gone".to_owned(), ..Default::default() };
    let request = pb::CreateTenantRequest { tenant_id: "gone".to_owned(), tenant: Some(made), ..Default::default() };
    operator.tenants.create_tenant(request).await.unwrap();
    assert_eq!(asked().await.code(), Code::Ok);
    let request = pb::DeleteTenantRequest { name: "tenants/gone".to_owned(), ..Default::default() };
    operator.tenants.delete_tenant(request).await.unwrap();
    let removed = asked().await;
    assert_eq!((removed.code(), &removed), (Code::PermissionDenied, &never));
}

#[tokio::test]
async fn attack_37_a_revocation_ends_the_token_in_that_tenant_and_not_the_next_one() {
    let stage = Stage::new().await;
    let made = pb::Tenant { display_name: "Other".to_owned(), ..Default::default() };
    let request = pb::CreateTenantRequest { tenant_id: "other".to_owned(), tenant: Some(made), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    let roles = ("tenants", json!({TENANT: "administrator", "other": "administrator"}));
    let token = stage.sign("ada", std::slice::from_ref(&roles));
    for tenant in [TENANT, "other"] {
        lists(&stage, &token, tenant).await.unwrap();
    }
    let request = pb::RevokePrincipalRequest {
        name: format!("tenants/{TENANT}"),
        subject: "ada".to_owned(),
        ..Default::default()
    };
    let mut client = stage.client("administrator").await;
    let revoked = client.tenants.revoke_principal(request).await.unwrap().into_inner().revoke_time.unwrap();
    assert_eq!(lists(&stage, &token, TENANT).await.unwrap_err().code(), Code::PermissionDenied);
    lists(&stage, &token, "other").await.unwrap();
    let second = u64::try_from(revoked.seconds).unwrap();
    let at = |time: u64| stage.sign("ada", &[roles.clone(), ("iat", json!(time))]);
    assert_eq!(lists(&stage, &at(second), TENANT).await.unwrap_err().code(), Code::PermissionDenied);
    lists(&stage, &at(second + 1), TENANT).await.unwrap();
    lists(&stage, &stage.token("administrator"), TENANT).await.unwrap();
}

fn serve(stage: &Stage, issuer: &str, audience: &str, jwks: &str) -> Output {
    let path = |name: &str| stage.path(name).display().to_string();
    Command::new(ferry_testkit::binary("ferry"))
        .args(["serve", "--listen=127.0.0.1:0", "--issuer", issuer, "--audience", audience, "--jwks", jwks])
        .args(["--data-dir", &path("data"), "--keys-dir", &path("keys"), "--segments-dir", &path("segments")])
        .output()
        .unwrap()
}

#[tokio::test]
async fn a_service_that_would_believe_everybody_or_nobody_refuses_to_start() {
    let mut stage = Stage::new().await;
    stage.kill();
    let jwks = stage.path("issuer/jwks.json").display().to_string();
    let nameless = "an issuer and an audience must be configured";
    let (good, missing) = (jwks.as_str(), "/nonexistent/jwks.json");
    for (issuer, audience, jwks, text) in [
        ("", "ferry", good, nameless),
        (" ", "ferry", good, nameless),
        ("https://issuer.test", "", good, nameless),
        ("https://issuer.test", " ", good, nameless),
        ("https://issuer.test", "ferry", missing, missing),
        ("https://issuer.test", "ferry", "https://user:canary@issuer.test/jwks", "must not hold a user or a password"),
        ("https://issuer.test", "ferry", "http://issuer.test/jwks", "must use https"),
    ] {
        let ended = serve(&stage, issuer, audience, jwks);
        let told = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && told.contains(text), "{issuer:?} {audience:?} {jwks:?}: {told}");
        assert!(!told.contains("canary"), "the password is told");
    }
}

async fn health(stage: &Stage, service: &str) -> ServingStatus {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", stage.addr())).unwrap();
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    client.check(request).await.unwrap().into_inner().status()
}

/// The service does not know any key yet; the issuer answers its second question only when it is told to. Takes the
/// 30 s that are between two questions.
#[tokio::test]
async fn without_the_issuers_keys_it_is_not_ready_and_a_slow_issuer_holds_nobody_past_their_deadline() {
    let mut stage = Stage::new().await;
    let issuer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks?key=canary", issuer.local_addr().unwrap());
    let closed = tokio::spawn(async move {
        drop(issuer.accept().await.unwrap());
        issuer
    });
    stage.restart_with_keys_at(&url).await;
    let issuer = closed.await.unwrap();
    let good = stage.token("administrator");
    for service in ["", "ferry.v1.RunService"] {
        assert_eq!(health(&stage, service).await, ServingStatus::NotServing);
    }
    assert_eq!(lists(&stage, &good, TENANT).await.unwrap_err().code(), Code::Unauthenticated);

    let second = tokio::time::timeout(Duration::from_secs(90), issuer.accept()).await;
    let (mut second, _) = second.expect("it asks again").unwrap();
    let bearer = [format!("Bearer {good}")];
    let answer = ask(stage.addr(), PATH, &bearer, &[("grpc-timeout", "100m")], &list(TENANT)).await;
    assert_eq!(answer.code(), Code::DeadlineExceeded, "its key is not known while the issuer is asked");

    let _request = second.read(&mut [0; 4_096]).await.unwrap();
    let set = std::fs::read_to_string(stage.path("issuer/jwks.json")).unwrap();
    let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{set}", set.len());
    second.write_all(text.as_bytes()).await.unwrap();
    eventually(Duration::from_secs(60), || async {
        let seen = health(&stage, "ferry.v1.RunService").await;
        if seen == ServingStatus::Serving { Ok(()) } else { Err(seen) }
    })
    .await;
    lists(&stage, &good, TENANT).await.unwrap();
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert!(log.contains("the issuer's key set cannot be read") && !log.contains("canary"));
}
