//! `ListAuditEntries`.

use super::{acme, entries, reason};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT, canary};
use serde_json::json;
use tonic::Code;

fn ask(parent: &str, filter: &str, page_size: i32, page_token: &str) -> pb::ListAuditEntriesRequest {
    pb::ListAuditEntriesRequest {
        parent: parent.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
        filter: filter.to_owned(),
    }
}

/// A stage with some entries: a tenant, two connections, refused calls.
async fn stage() -> (Stage, Client) {
    let stage = Stage::new().await;
    stage.create_connection("first").await;
    stage.create_connection("second").await;
    let mut viewer = stage.client("viewer").await;
    for _ in 0..3 {
        let request = pb::ListConnectionsRequest { parent: acme(), ..Default::default() };
        viewer.connections.list_connections(request).await.unwrap_err();
    }
    let client = stage.client("administrator").await;
    (stage, client)
}

#[tokio::test]
async fn entries_come_the_newest_first_each_once_and_linked_whatever_the_size_of_the_page() {
    let (_stage, mut client) = stage().await;
    let all = entries(&mut client, &acme(), "").await;
    let numbers: Vec<i64> = all.iter().map(|entry| entry.number).collect();
    let count = i64::try_from(all.len()).unwrap();
    assert!(count >= 6 && numbers == (1..=count).rev().collect::<Vec<_>>(), "{numbers:?}");
    assert_eq!(all.last().unwrap().kind, "TENANT_CREATED");
    assert!(all.last().unwrap().previous_hash.iter().all(|byte| *byte == 0));
    for pair in all.windows(2) {
        assert_eq!(pair[0].previous_hash, pair[1].hash, "{}", pair[0].name);
        assert_eq!(
            (pair[0].chain.clone(), pair[0].name.clone()),
            (acme(), format!("{}/auditEntries/{}", acme(), pair[0].number))
        );
    }
    for size in [1, 2] {
        let mut paged = Vec::new();
        let mut token = String::new();
        loop {
            let page = client.audit.list_audit_entries(ask(&acme(), "", size, &token)).await.unwrap().into_inner();
            paged.extend(page.audit_entries);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(paged, all, "pages of {size}");
    }
}

#[tokio::test]
async fn filters_let_through_what_they_say() {
    let (_stage, mut client) = stage().await;
    let all = entries(&mut client, &acme(), "").await;
    let refused = entries(&mut client, &acme(), r#"kind = "CALL_DENIED" AND actor = "viewer""#).await;
    assert!(refused.len() == 3 && refused.iter().all(|entry| entry.kind == "CALL_DENIED"), "{refused:?}");
    let object = format!("{}/connections/first", acme());
    let first = entries(&mut client, &acme(), &format!("object = \"{object}\"")).await;
    assert!(!first.is_empty() && first.iter().all(|entry| entry.object == object), "{first:?}");
    let none = entries(&mut client, &acme(), r#"create_time < "2020-01-01T00:00:00Z""#).await;
    assert!(none.is_empty());
    let since = entries(&mut client, &acme(), r#"create_time >= "2020-01-01T00:00:00Z""#).await;
    assert_eq!(since, all);
    for bad in ["kind", "reason = \"X\"", "kind = \"A\" AND kind = \"B\"", "create_time > \"2020-01-01T00:00:00Z\""] {
        let status = client.audit.list_audit_entries(ask(&acme(), bad, 0, "")).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"), "{bad}");
    }
}

#[tokio::test]
async fn a_token_belongs_to_its_caller_parent_and_filter() {
    let (stage, mut client) = stage().await;
    let first = client.audit.list_audit_entries(ask(&acme(), "", 1, "")).await.unwrap().into_inner();
    let token = first.next_page_token;
    let other = stage.sign("another", &[("tenants", json!({ TENANT: "administrator" }))]);
    let mut other = Client::connect(stage.addr(), &other).await;
    let status = other.audit.list_audit_entries(ask(&acme(), "", 1, &token)).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    let status = client.audit.list_audit_entries(ask(&acme(), r#"kind = "X""#, 1, &token)).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    client.audit.list_audit_entries(ask(&acme(), "", 7, &token)).await.unwrap();
}

#[tokio::test]
async fn entries_of_a_run_are_listed_by_its_name_to_administrators_alone() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::csv([canary::row(1)]).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    let run = stage.ended(&run.name, super::SOON).await;
    let mut client = stage.client("administrator").await;
    let sent = entries(&mut client, &run.name, "").await;
    assert!(sent.iter().all(|entry| entry.chain == run.name), "{sent:?}");
    let unknown = format!("{}/runs/{}", export.name, "00000000-0000-7000-8000-000000000000");
    let status = client.audit.list_audit_entries(ask(&unknown, "", 0, "")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut contributor = stage.client("contributor").await;
    let status = contributor.audit.list_audit_entries(ask(&run.name, "", 0, "")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let refused = entries(&mut client, &acme(), r#"kind = "CALL_DENIED""#).await;
    assert_eq!(refused[0].object, run.name, "as the caller wrote it");
}
