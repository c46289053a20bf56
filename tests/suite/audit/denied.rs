//! Refused calls: on record before they are answered, wherever they point.

use super::{SOON, acme, alter, column, entries, reason};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT, eventually};
use serde_json::json;
use tonic::{Code, Request};

/// Asks for a connection that this caller may not make, under a request id.
async fn refused(client: &mut Client, parent: &str, id: &str) -> tonic::Status {
    let mut request = Request::new(pb::CreateConnectionRequest {
        parent: parent.to_owned(),
        connection_id: "newsletter".to_owned(),
        ..Default::default()
    });
    request.metadata_mut().insert("x-request-id", id.parse().unwrap());
    client.connections.create_connection(request).await.unwrap_err()
}

#[tokio::test]
async fn l3_a_refused_call_leaves_an_entry_that_says_who_asked_for_what_and_what_it_takes() {
    let stage = Stage::new().await;
    let mut viewer = stage.client("viewer").await;
    let status = refused(&mut viewer, &acme(), "the-viewers-call").await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_TOO_LOW"));
    let mut administrator = stage.client("administrator").await;
    let found = entries(&mut administrator, &acme(), r#"kind = "CALL_DENIED""#).await;
    let [entry] = &found[..] else { panic!("{found:?}") };
    let told = [
        (&*entry.actor, "viewer"),
        (&entry.actor_role, "viewer"),
        (&entry.required_role, "administrator"),
        (&entry.object, "tenants/acme"),
        (&entry.reason, "ROLE_TOO_LOW"),
        (&entry.correlation_id, "the-viewers-call"),
        (&entry.details["permission"], "ConnectionService/CreateConnection"),
    ];
    for (got, expected) in told {
        assert_eq!(got, expected, "{entry:?}");
    }
    assert!(entry.origin.starts_with("127.0.0.1"), "{entry:?}");
    assert_eq!(entry.result(), pb::audit_entry::Result::Denied);
    assert!(entry.create_time.is_some() && !entry.encoded.is_empty());
}

/// Whoever has no role in a tenant is recorded there all the same; where there is no such tenant, with the operator.
#[tokio::test]
async fn l3_a_refusal_is_recorded_in_the_tenant_that_it_points_at() {
    let stage = Stage::new().await;
    let tenant = pb::Tenant { display_name: "Globex".to_owned(), ..pb::Tenant::default() };
    let request =
        pb::CreateTenantRequest { tenant_id: "globex".to_owned(), tenant: Some(tenant), request_id: String::new() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    let token = stage.sign("outsider", &[("tenants", json!({ "globex": "administrator" }))]);
    let mut outsider = Client::connect(stage.addr(), &token).await;
    for (parent, chain) in [(acme(), TENANT), ("tenants/nowhere".to_owned(), "")] {
        assert_eq!(refused(&mut outsider, &parent, "outside").await.code(), Code::PermissionDenied);
        let query = format!("SELECT actor FROM audit_entries WHERE tenant = '{chain}' AND kind = 'CALL_DENIED'");
        assert_eq!(column(&stage, &query).await, ["outsider"], "{parent}");
    }
    let status = outsider.tenants.list_tenants(pb::ListTenantsRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let query = "SELECT object FROM audit_entries WHERE tenant = '' AND kind = 'CALL_DENIED' ORDER BY number DESC";
    assert_eq!(column(&stage, query).await[0], "tenants");
    let mut administrator = stage.client("administrator").await;
    let found = entries(&mut administrator, &acme(), r#"actor = "outsider""#).await;
    assert_eq!((found.len(), found[0].actor_role.as_str()), (1, ""));
}

#[tokio::test]
async fn l3_what_cannot_be_recorded_is_not_answered_as_refused() {
    let mut stage = Stage::new().await;
    stage.kill();
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit_entries WHEN NEW.kind = 'CALL_DENIED' \
                BEGIN SELECT RAISE(ABORT, 'no room'); END";
    alter(&stage, full).await;
    stage.start().await;
    let mut viewer = stage.client("viewer").await;
    let status = refused(&mut viewer, &acme(), "unrecorded").await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "UNAVAILABLE"));
    assert!(!status.message().contains("room"), "{status:?}");
    alter(&stage, "DROP TRIGGER full").await;
    eventually(SOON, || async {
        let status = refused(&mut viewer.clone(), &acme(), "recorded").await;
        if status.code() == Code::PermissionDenied { Ok(()) } else { Err(status) }
    })
    .await;
}

/// A flood of refusals is paid for by whoever asks, and fills the log of its victim no faster than that.
#[tokio::test]
async fn l3_a_flood_of_refusals_is_bounded_for_each_caller_and_costs_the_tenant_nothing() {
    let mut stage = Stage::new().await;
    stage.restart_with(&["--listen=127.0.0.1:0", "--tenant-rate=10", "--tenant-burst=50"]).await;
    let token = stage.sign("flood", &[("tenants", json!({}))]);
    let mut flood = Client::connect(stage.addr(), &token).await;
    let mut codes = Vec::new();
    for _ in 0..200 {
        codes.push(refused(&mut flood, &acme(), "flood").await.code());
    }
    let denied = codes.iter().filter(|code| **code == Code::PermissionDenied).count();
    assert!((50..150).contains(&denied), "{denied}");
    assert!(codes.contains(&Code::ResourceExhausted));
    let query = "SELECT CAST(count(*) AS TEXT) FROM audit_entries WHERE kind = 'CALL_DENIED'";
    assert_eq!(column(&stage, query).await, [denied.to_string()], "each that was answered, and no other");
    let mut administrator = stage.client("administrator").await;
    let request = pb::ListAuditEntriesRequest { parent: acme(), ..Default::default() };
    administrator.audit.list_audit_entries(request).await.unwrap();
}
