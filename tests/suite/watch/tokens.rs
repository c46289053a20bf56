//! Tokens that do not go on.

use super::{Asked, SOON, Watch, alter, reason, small};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT};
use tonic::{Code, Status};
use tonic_types::StatusExt;

async fn refused(client: &Client, asked: &Asked) -> Status {
    Watch::open(client, asked).await.err().unwrap_or_else(|| panic!("{asked:?} is let in"))
}

fn is_of_the_token(status: &Status) {
    let fields = status.get_details_bad_request().map(|found| found.field_violations).unwrap_or_default();
    let fields: Vec<&str> = fields.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!((status.code(), &fields[..]), (Code::InvalidArgument, &["resume_token"][..]), "{status:?}");
}

/// The token after the snapshot.
async fn token(client: &Client, asked: &Asked) -> String {
    Watch::open(client, asked).await.unwrap().snapshot().await.1
}

#[tokio::test]
async fn a_token_is_good_for_its_tenant_parent_and_run_alone() {
    let (stage, export) = small().await;
    let client = stage.client("viewer").await;
    let other = stage.create_export("another", stage.export("newsletter", "people")).await.name;
    let run = stage.run(&export).await.name;
    stage.ended(&run, SOON).await;
    let second = stage.run(&export).await.name;
    stage.ended(&second, SOON).await;
    let parent = |parent: &str| Asked { parent: parent.to_owned(), ..Asked::default() };
    let one = |of: &str, run: &str| Asked { parent: of.to_owned(), run: run.to_owned(), ..Asked::default() };
    let watched = [Asked::all(), parent(&export), parent(&other), one(&export, &run), one(&export, &second)];
    let watched = [&watched[..], &[Asked::one(&run)]].concat();
    for (at, mine) in watched.iter().enumerate() {
        let token = token(&client, mine).await;
        assert!(token.len() <= 1_024);
        for (to, asked) in watched.iter().enumerate() {
            if to == at {
                Watch::open(&client, &asked.from(&token)).await.map(drop).unwrap();
            } else {
                is_of_the_token(&refused(&client, &asked.from(&token)).await);
            }
        }
    }
    let good = token(&client, &Asked::all()).await;
    let mut page_client = client.clone();
    let pages = pb::ListRunsRequest { parent: super::all(), page_size: 1, ..Default::default() };
    let page = page_client.runs.list_runs(pages).await.unwrap().into_inner().next_page_token;
    assert!(!page.is_empty());
    let flipped = if good.ends_with('0') { "1" } else { "0" };
    let altered = format!("{}{flipped}", &good[..good.len() - 1]);
    for bad in [page, altered, good[2..].to_owned(), "x".to_owned(), "00".repeat(600), format!("{good}00")] {
        is_of_the_token(&refused(&client, &Asked::all().from(&bad)).await);
    }
}

#[tokio::test]
async fn a_token_of_another_tenant_is_none() {
    let (stage, _) = small().await;
    let mut tokens = Vec::new();
    let tenant = pb::Tenant { display_name: "Globex".to_owned(), ..Default::default() };
    let request =
        pb::CreateTenantRequest { tenant_id: "globex".to_owned(), tenant: Some(tenant), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    let mut asked = Vec::new();
    for tenant in [TENANT, "globex"] {
        let roles = serde_json::json!({ (tenant): "viewer" });
        let bearer = stage.sign(&format!("viewer-of-{tenant}"), &[("tenants", roles)]);
        let client = Client::connect(stage.addr(), &bearer).await;
        let all = Asked { parent: format!("tenants/{tenant}/exports/-"), ..Asked::default() };
        tokens.push(token(&client, &all).await);
        asked.push((client, all));
    }
    for (at, (client, all)) in asked.iter().enumerate() {
        Watch::open(client, &all.from(&tokens[at])).await.map(drop).unwrap();
        is_of_the_token(&refused(client, &all.from(&tokens[1 - at])).await);
    }
}

async fn expired(stage: &Stage, token: &str) {
    let status = refused(&stage.client("viewer").await, &Asked::all().from(token)).await;
    assert_eq!(reason(&status), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED".to_owned()), "{status:?}");
    assert!(status.message().contains("without one"), "it says what to do: {}", status.message());
}

#[tokio::test]
async fn a_token_that_is_older_than_the_kept_log_has_expired_and_the_newest_has_not() {
    let (mut stage, export) = small().await;
    let before = token(&stage.client("viewer").await, &Asked::all()).await;
    let run = stage.run(&export).await.name;
    stage.ended(&run, SOON).await;
    let newest = token(&stage.client("viewer").await, &Asked::all()).await;
    // A day later: retention cuts the log at each start, and each hour.
    stage.kill();
    alter(&stage, "UPDATE run_changes SET time = time - 25 * 3600 * 1000").await;
    stage.start().await;
    ferry_testkit::eventually(SOON, || async {
        let left = super::column(&stage, "SELECT CAST(COUNT(*) AS TEXT) FROM run_changes").await;
        if left == ["0"] { Ok(()) } else { Err(left) }
    })
    .await;
    expired(&stage, &before).await;
    let client = stage.client("viewer").await;
    let mut watch = Watch::open(&client, &Asked::all().from(&newest)).await.unwrap();
    let next = stage.run(&export).await.name;
    let message = watch.must().await;
    assert_eq!(super::run_of(&message).unwrap().name, next, "and the numbers go on");
}

/// A database that was put back from a backup gives numbers again.
#[tokio::test]
async fn a_token_from_a_history_that_was_lost_has_expired() {
    let (mut stage, export) = small().await;
    let run = stage.run(&export).await.name;
    stage.ended(&run, SOON).await;
    let lost = token(&stage.client("viewer").await, &Asked::all()).await;
    stage.kill();
    alter(&stage, "DELETE FROM run_changes WHERE number > 2").await;
    alter(&stage, "UPDATE run_change_heads SET number = 2").await;
    stage.start().await;
    expired(&stage, &lost).await;
}
