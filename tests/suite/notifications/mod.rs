//! What a person must know, and the webhooks that tell it: through the whole service, to a receiver that verifies by the
//! specification of Standard Webhooks alone.

mod facts;
mod receiver;
mod sent;
mod webhooks;

use ferry_proto::v1 as pb;
use ferry_testkit::canary::people;
use ferry_testkit::{Client, Stage, StageOptions, TENANT, eventually};
use receiver::Receiver;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const SOON: Duration = Duration::from_secs(90);
/// The receiver's name.
const HOST: &str = "hooks.ferry-sim.test";
/// The name of another one.
const SLOW_HOST: &str = "slow.ferry-sim.test";

fn acme() -> String {
    format!("tenants/{TENANT}")
}

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().unwrap().reason)
}

/// A stage with a segment of some people, a connection and an export of them; and a receiver.
async fn stage() -> (Stage, Receiver, pb::Export) {
    stage_at(100.0).await
}

async fn stage_at(time_scale: f64) -> (Stage, Receiver, pb::Export) {
    let mut stage = Stage::with(StageOptions { time_scale }).await;
    let receiver = Receiver::start().await;
    let argument = receiver.argument(&stage);
    stage.restart_and(&[argument], &[]).await;
    stage.segment("people", "csv", people(5).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    (stage, receiver, export)
}

fn webhook(url: &str) -> pb::Webhook {
    pb::Webhook { display_name: "On call".to_owned(), url: url.to_owned(), ..Default::default() }
}

fn url() -> String {
    format!("https://{HOST}/hook?key=of-the-path")
}

/// Stores a webhook; also its secret.
async fn create(client: &mut Client, id: &str, webhook: pb::Webhook) -> Result<(pb::Webhook, String), Status> {
    let request = pb::CreateWebhookRequest {
        parent: acme(),
        webhook_id: id.to_owned(),
        webhook: Some(webhook),
        ..Default::default()
    };
    let made = client.notifications.create_webhook(request).await?.into_inner();
    Ok((made.webhook.unwrap(), made.signing_secret))
}

async fn update(client: &mut Client, webhook: pb::Webhook, paths: &[&str]) -> Result<pb::Webhook, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = pb::UpdateWebhookRequest {
        webhook: Some(webhook),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    Ok(client.notifications.update_webhook(request).await?.into_inner().webhook.unwrap())
}

async fn get(client: &mut Client, name: &str) -> Result<pb::Webhook, Status> {
    let request = pb::GetWebhookRequest { name: name.to_owned() };
    Ok(client.notifications.get_webhook(request).await?.into_inner().webhook.unwrap())
}

async fn delete(client: &mut Client, name: &str) -> Result<(), Status> {
    let request = pb::DeleteWebhookRequest { name: name.to_owned(), ..Default::default() };
    client.notifications.delete_webhook(request).await.map(drop)
}

async fn test(client: &mut Client, name: &str) -> pb::TestWebhookResponse {
    let request = pb::TestWebhookRequest { name: name.to_owned() };
    client.notifications.test_webhook(request).await.unwrap().into_inner()
}

/// All of the tenant, the newest first.
async fn told(stage: &Stage) -> Vec<pb::Notification> {
    let mut client = stage.client("viewer").await;
    let request = pb::ListNotificationsRequest { parent: acme(), ..Default::default() };
    client.notifications.list_notifications(request).await.unwrap().into_inner().notifications
}

/// Lets the export fail for good: its file has lost a column. Returns the run.
async fn fails(stage: &Stage, export: &pb::Export) -> pb::Run {
    std::fs::write(stage.path("segments").join(TENANT).join("people"), "email\n").unwrap();
    let run = stage.run(&export.name).await;
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), pb::run::State::Failed, "{ended:?}");
    ended
}

/// Waits until nothing is to be sent any more.
async fn all_is_sent(stage: &Stage) {
    eventually(SOON, || async {
        let left = ferry_testkit::judge::number_on_record(stage, "SELECT COUNT(*) FROM deliveries").await;
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}
