//! What goes wrong is told with its value and with what to do, and by the exit code.

use super::{ferry, ferry_at, said};
use crate::watch::small;
use ferry_testkit::TENANT;

#[tokio::test]
async fn what_cannot_be_understood_ends_with_2_and_a_hint() {
    let (stage, _) = small().await;
    for (words, hints) in [
        (vec!["runs", "watch", "--tenent", "acme"], vec!["--tenent", "exists: '--tenant'"]),
        (vec!["runs", "list", "--state", "faild"], vec!["faild", "failed"]),
        (vec!["runs", "wach"], vec!["wach", "exists: 'watch'"]),
        (vec!["runs", "list", "--output", "yaml"], vec!["yaml", "json"]),
        (vec!["runs", "list", "--addr", "http://192.0.2.1:1"], vec!["192.0.2.1", "in the clear"]),
        (vec!["runs", "cancel", "a/b/c/d"], vec!["`a/b/c/d`", "EXPORT/RUN"]),
        (vec!["runs", "watch", "tenants/acme/runs/x"], vec!["tenants/acme/runs/x", "tenants/TENANT/exports/EXPORT"]),
    ] {
        said(ferry(&stage, "viewer", &words)).await.has_failed(2, &hints);
    }
    let mut nowhere = ferry(&stage, "viewer", &["runs", "list"]);
    nowhere.env_remove("FERRY_TENANT");
    said(nowhere).await.has_failed(2, &["--tenant or FERRY_TENANT"]);
    let mut nobody = ferry(&stage, "viewer", &["runs", "list"]);
    nobody.env_remove("FERRY_TOKEN");
    said(nobody).await.has_failed(2, &["no access token", "--token-file", "FERRY_TOKEN"]);
}

#[tokio::test]
async fn who_is_not_there_is_told_at_once() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for command in [["runs", "list"], ["runs", "watch"], ["exports", "list"]] {
        let said = said(ferry_at(closed, "token", &command)).await;
        said.has_failed(1, &[&format!("http://{closed} cannot be reached: "), "refused", "--addr or FERRY_ADDR"]);
    }
    let mut unknown = ferry_at(closed, "token", &["runs", "list", "--addr", "no-such-host.invalid:443"]);
    unknown.env_remove("FERRY_ADDR");
    said(unknown).await.has_failed(1, &["https://no-such-host.invalid:443 cannot be reached", "--ca"]);
}

#[tokio::test]
async fn who_speaks_another_language_is_told() {
    let (stage, _) = small().await;
    // TLS with a service that has none.
    let url = format!("https://{}", stage.addr());
    said(ferry(&stage, "viewer", &["runs", "list", "--addr", &url])).await.has_failed(1, &[&url, "cannot be reached"]);
}

#[tokio::test]
async fn a_run_that_does_not_exist_is_named() {
    let (stage, export) = small().await;
    let name = format!("{export}/runs/0193a0c4-1111-7222-8333-a1b2c3d4e5f6");
    for words in [vec!["runs", "watch", "--run", &name], vec!["runs", "watch", &name], vec!["runs", "cancel", &name]] {
        said(ferry(&stage, "administrator", &words))
            .await
            .has_failed(1, &["RESOURCE_NOT_FOUND", &name, "ferry runs list"]);
    }
    let said_end = said(ferry(&stage, "administrator", &["runs", "cancel", "a1b2c3d4e5f6"])).await;
    said_end.has_failed(1, &["no run of tenants/acme/exports/- has an id that ends with `a1b2c3d4e5f6`"]);
    let start = said(ferry(&stage, "administrator", &["runs", "start", "weekli"])).await;
    start.has_failed(1, &["tenants/acme/exports/weekli", "RESOURCE_NOT_FOUND", "ferry exports list"]);
}

#[tokio::test]
async fn who_may_not_is_told_whom_to_ask() {
    let (stage, export) = small().await;
    said(ferry(&stage, "viewer", &["runs", "start", "weekly"])).await.has_failed(1, &["ROLE_TOO_LOW", "FERRY_TOKEN"]);
    let stranger = stage.token_in("globex", "administrator");
    for words in [["runs", "watch"], ["runs", "list"], ["exports", "list"]] {
        said(ferry_at(stage.addr(), &stranger, &words)).await.has_failed(1, &["ROLE_TOO_LOW", "ask an administrator"]);
    }
    said(ferry_at(stage.addr(), "no-token", &["runs", "list"]))
        .await
        .has_failed(1, &["TOKEN_INVALID", "get a new one"]);
    assert!(export.starts_with(&format!("tenants/{TENANT}/")));
}

#[tokio::test]
async fn who_starts_a_second_run_is_shown_the_first() {
    let (stage, export) = crate::watch::stage().await;
    let run = stage.run(&export).await;
    let second = said(ferry(&stage, "administrator", &["runs", "start", "weekly"])).await;
    second.has_failed(1, &["RUN_IN_PROGRESS", &format!("ferry runs watch {}", run.name)]);
}
