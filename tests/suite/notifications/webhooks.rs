//! Webhooks as a resource: what may be stored, who sees it, and where the secret is not.

use super::receiver::Receiver;
use super::{HOST, acme, create, delete, get, reason, stage, test, update, url, webhook};
use crate::audit::{column, entries};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferry_proto::v1 as pb;
use ferry_proto::v1::notification::Kind;
use ferry_testkit::judge::number_on_record;
use ferry_testkit::{Client, Stage};
use tonic::Code;
use tonic_types::StatusExt;

const REQUEST_ID: &str = "6f1f7b0e-2d0b-4a3c-9c55-1f0f6a3f8e44";

/// Whether any file of a folder holds these bytes.
fn holds(folder: &std::path::Path, bytes: &[u8]) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let found = if entry.is_dir() {
            holds(&entry, bytes)
        } else {
            let content = std::fs::read(&entry).unwrap();
            content.windows(bytes.len()).any(|window| window == bytes).then_some(entry)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[tokio::test]
async fn the_secret_is_told_once_and_stands_nowhere() {
    let (stage, receiver, _) = stage().await;
    let mut client = stage.client("administrator").await;
    let request = pb::CreateWebhookRequest {
        parent: acme(),
        webhook: Some(webhook(&url())),
        request_id: REQUEST_ID.to_owned(),
        ..Default::default()
    };
    let made = client.notifications.create_webhook(request.clone()).await.unwrap().into_inner();
    let secret = made.signing_secret;
    let name = made.webhook.as_ref().unwrap().name.clone();
    assert!(secret.starts_with("whsec_"), "it has the form of the specification");
    let again = client.notifications.create_webhook(request.clone()).await.unwrap().into_inner();
    assert_eq!((&again.webhook, again.signing_secret.as_str()), (&made.webhook, ""));
    let other = pb::CreateWebhookRequest { webhook: Some(webhook("https://other.example.com/")), ..request };
    let refused = client.notifications.create_webhook(other).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
    assert_eq!(test(&mut client, &name).await, pb::TestWebhookResponse { http_status: 204, message: String::new() });
    super::receiver::verify(&secret, &receiver.got());
    let keys = column(&stage, "SELECT CAST(COUNT(*) AS TEXT) FROM webhooks").await;
    assert_eq!(keys, ["1"], "a repeat makes none");
    let store = std::fs::read_dir(stage.path("keys/store")).unwrap();
    let of_webhooks = store.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".secret."));
    assert_eq!(of_webhooks.count(), 2, "nor does it leave a key");
    let text = secret.strip_prefix("whsec_").unwrap();
    for needle in [text.as_bytes().to_vec(), STANDARD.decode(text).unwrap(), b"of-the-path".to_vec()] {
        // The URL is the database's to keep, and nobody else's.
        let found = holds(stage.path("").as_path(), &needle);
        let of_url = needle == b"of-the-path";
        let is_database = found.as_ref().is_some_and(|file| file.to_string_lossy().contains("ferry.db"));
        assert!(found.is_none() || (of_url && is_database), "{found:?}");
    }
}

#[tokio::test]
async fn a_url_must_be_public_https_without_port_or_user() {
    let (stage, _receiver, _) = stage().await;
    let mut client = stage.client("administrator").await;
    let long = format!("https://{HOST}/{}", "x".repeat(2_048));
    for (bad, why) in [
        ("", "INVALID_FIELDS"),
        ("http://hooks.example.com/", "INVALID_FIELDS"),
        ("https://hooks.example.com:8443/", "INVALID_FIELDS"),
        ("https://me:pw@hooks.example.com/", "INVALID_FIELDS"),
        (long.as_str(), "INVALID_FIELDS"),
        ("https://127.0.0.1/", "HOST_NOT_ALLOWED"),
        ("https://[::1]/", "HOST_NOT_ALLOWED"),
        ("https://2130706433/", "HOST_NOT_ALLOWED"),
        ("https://localhost/", "HOST_NOT_ALLOWED"),
    ] {
        let refused = create(&mut client, "", webhook(bad)).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::InvalidArgument, why.to_owned()), "{bad}");
        let fields = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(fields.iter().map(|found| found.field.as_str()).collect::<Vec<_>>(), ["webhook.url"], "{bad}");
    }
    let wrong = pb::Webhook { kinds: vec![0, Kind::RunFailed.into(), Kind::RunFailed.into(), 99], ..webhook("x") };
    let refused = create(&mut client, "a", pb::Webhook { display_name: String::new(), ..wrong }).await.unwrap_err();
    let fields = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = fields.iter().map(|found| found.field.as_str()).collect();
    let all = ["webhook_id", "webhook.display_name", "webhook.url"];
    assert_eq!(fields[..3], all, "all at once");
    assert_eq!(fields[3..], ["webhook.kinds[0]", "webhook.kinds[2]", "webhook.kinds[3]"]);
}

#[tokio::test]
async fn a_webhook_is_read_changed_listed_and_removed() {
    let (stage, _receiver, _) = stage().await;
    let mut client = stage.client("administrator").await;
    let (made, _) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    assert_eq!((made.name.as_str(), made.disabled), ("tenants/acme/webhooks/on-call", false));
    assert_eq!(get(&mut client, &made.name).await.unwrap(), made);
    let taken = create(&mut client, "on-call", webhook(&url())).await.unwrap_err();
    assert_eq!(reason(&taken), (Code::AlreadyExists, "RESOURCE_EXISTS".to_owned()));
    let wanted = pb::Webhook {
        display_name: "Night".to_owned(),
        kinds: vec![Kind::RunTimedOut.into()],
        url: "https://other.example.com/".to_owned(),
        ..made.clone()
    };
    let changed = update(&mut client, wanted.clone(), &["display_name", "kinds"]).await.unwrap();
    assert_eq!((changed.display_name.as_str(), &changed.url), ("Night", &made.url));
    assert_eq!(changed.kinds, wanted.kinds);
    let stale = update(&mut client, wanted.clone(), &["url"]).await.unwrap_err();
    assert_eq!(reason(&stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let unknown = update(&mut client, wanted.clone(), &["signing_secret"]).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    let inside = pb::Webhook { etag: String::new(), url: "https://10.0.0.1/".to_owned(), ..wanted.clone() };
    let refused = update(&mut client, inside, &["url"]).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "HOST_NOT_ALLOWED".to_owned()));
    let all = update(&mut client, pb::Webhook { kinds: Vec::new(), etag: changed.etag, ..wanted }, &["kinds", "url"]);
    assert_eq!(all.await.unwrap().kinds, Vec::<i32>::new());
    create(&mut client, "", webhook(&url())).await.unwrap();
    let list = |page_token| pb::ListWebhooksRequest { parent: acme(), page_size: 1, page_token };
    let first = client.notifications.list_webhooks(list(String::new())).await.unwrap().into_inner();
    let second = client.notifications.list_webhooks(list(first.next_page_token)).await.unwrap().into_inner();
    assert_eq!((first.webhooks[0].name.as_str(), second.next_page_token.as_str()), (made.name.as_str(), ""));
    let seen = pb::DeleteWebhookRequest { name: made.name.clone(), etag: made.etag, ..Default::default() };
    let stale = client.notifications.delete_webhook(seen).await.unwrap_err();
    assert_eq!(reason(&stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    delete(&mut client, &made.name).await.unwrap();
    let gone = get(&mut client, &made.name).await.unwrap_err();
    assert_eq!(reason(&gone), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    let kinds: Vec<String> =
        entries(&mut client, &acme(), "").await.into_iter().map(|entry| entry.kind).take(5).collect();
    let expected = ["WEBHOOK_REMOVED", "WEBHOOK_CREATED", "WEBHOOK_UPDATED", "WEBHOOK_UPDATED", "WEBHOOK_CREATED"];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_tenant_has_twenty_webhooks_at_most() {
    let (stage, _receiver, _) = stage().await;
    let mut client = stage.client("administrator").await;
    for number in 0..20 {
        create(&mut client, &format!("hook-{number}"), webhook(&url())).await.unwrap();
    }
    let refused = create(&mut client, "one-more", webhook(&url())).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "QUOTA_EXCEEDED".to_owned()));
    delete(&mut client, "tenants/acme/webhooks/hook-7").await.unwrap();
    create(&mut client, "one-more", webhook(&url())).await.unwrap();
}

/// A dead receiver is an answer, and tells nothing of what is there.
#[tokio::test]
async fn a_trial_that_nobody_takes_is_an_answer() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start().await;
    let argument = receiver.argument(&stage).replace(&receiver.addr.to_string(), "127.0.0.1:1");
    stage.restart_and(&[argument], &[]).await;
    let mut client = stage.client("administrator").await;
    let (made, _) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    let tried = test(&mut client, &made.name).await;
    assert_eq!((tried.http_status, tried.message.as_str()), (0, "not sent: the host could not be reached"));
}

#[tokio::test]
async fn another_tenant_sees_no_webhook_and_no_notification_and_a_removed_one_leaves_none() {
    let (stage, receiver, export) = stage().await;
    let mut client = stage.client("administrator").await;
    let (made, _) = create(&mut client, "on-call", webhook(&url())).await.unwrap();
    super::fails(&stage, &export).await;
    receiver.gets(1).await;
    let mut stranger = Client::connect(stage.addr(), &stage.token_in("globex", "administrator")).await;
    for name in [&made.name, "tenants/acme/webhooks/imaginary"] {
        let denied = get(&mut stranger, name).await.unwrap_err();
        assert_eq!(reason(&denied), (Code::PermissionDenied, "ROLE_TOO_LOW".to_owned()));
        let denied = delete(&mut stranger, name).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
    }
    let list = pb::ListNotificationsRequest { parent: acme(), ..Default::default() };
    assert_eq!(stranger.notifications.list_notifications(list).await.unwrap_err().code(), Code::PermissionDenied);
    let mut contributor = stage.client("contributor").await;
    assert_eq!(get(&mut contributor, &made.name).await.unwrap_err().code(), Code::PermissionDenied);
    let remove = pb::DeleteTenantRequest { name: acme(), ..Default::default() };
    stage.operator().await.tenants.delete_tenant(remove).await.unwrap();
    for table in ["webhooks", "notifications", "deliveries"] {
        assert_eq!(number_on_record(&stage, &format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    let left = std::fs::read_dir(stage.path("keys/store")).unwrap();
    let of_tenant = left.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("acme."));
    assert_eq!(of_tenant.count(), 0);
}
