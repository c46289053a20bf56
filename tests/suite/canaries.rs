//! Ways that a key or a person might show, beside those that the rest of the suite goes. What looks for them is the end
//! of each stage, and the clients for each answer.

use ferry_proto::v1 as pb;
use ferry_proto::v1::connection_settings::Settings;
use ferry_sim::{FaultKind, FaultRule, When};
use ferry_testkit::{Stage, TENANT, canary, eventually};
use std::time::Duration;
use tonic::Code;

/// S12: the destination tells the key back, in every place that is read, whatever its status.
#[tokio::test]
async fn a_key_that_the_destination_tells_back_is_not_told_on() {
    for status in [200, 401, 403, 422, 500] {
        let stage = Stage::new().await;
        stage.segment("people", "csv", canary::csv([canary::row(1)]).as_bytes());
        stage.create_connection("newsletter").await;
        let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
        stage.sim.faults().add(FaultRule::once(FaultKind::EchoKey { status }).when(When::Always));
        let mut client = stage.client("administrator").await;
        let name = format!("tenants/{TENANT}/connections/newsletter");
        let verify = pb::VerifyConnectionRequest { name: name.clone() };
        let _told = client.connections.verify_connection(verify).await;
        let validate = pb::ValidateExportRequest { name: export.name.clone() };
        let _told = client.exports.validate_export(validate).await;
        let create = pb::CreateConnectionRequest {
            parent: format!("tenants/{TENANT}"),
            connection: Some(stage.connection()),
            ..Default::default()
        };
        let _told = client.connections.create_connection(create).await;
        let run = pb::RunExportRequest { name: export.name.clone(), ..Default::default() };
        let Ok(run) = client.exports.run_export(run).await else { continue };
        let run = run.into_inner().run.unwrap();
        // Either it ends, or something was written of a request; both are enough to be searched.
        eventually(Duration::from_secs(60), || async {
            let run = stage.get_run(&run.name).await;
            let asked = stage.sim.report().requests.values().sum::<u64>();
            if run.end_time.is_some() || asked > 6 { Ok(()) } else { Err(run) }
        })
        .await;
    }
}

/// What is wrong with a request is told without the key that stands in it.
#[tokio::test]
async fn a_refused_request_does_not_tell_its_key_back() {
    let stage = Stage::new().await;
    let made = stage.create_connection("newsletter").await;
    let mut client = stage.client("administrator").await;
    let with = |host: &str, key: String| {
        let settings = pb::ActiveCampaignConnection { host: host.to_owned(), api_key: key, ..Default::default() };
        pb::Connection {
            name: made.name.clone(),
            etag: made.etag.clone(),
            settings: Some(pb::ConnectionSettings { settings: Some(Settings::Activecampaign(settings)) }),
            ..stage.connection()
        }
    };
    let key = || canary::API_KEY.to_owned();
    let wrong = [
        with("not a host", key()),
        with("elsewhere.example.com", key()),
        with("demo.ferry-sim.test", format!("{} {}", key(), key())),
        with(&key(), key()),
        pb::Connection { etag: "\"0\"".to_owned(), ..with("demo.ferry-sim.test", key()) },
        pb::Connection { consent: None, ..with("demo.ferry-sim.test", key()) },
    ];
    for connection in wrong {
        let request_id = "0b5c1f8e-52a1-4c3c-9f0d-3f1a5d3c7e10".to_owned();
        let create = pb::CreateConnectionRequest {
            parent: format!("tenants/{TENANT}"),
            connection_id: "newsletter".to_owned(),
            connection: Some(connection.clone()),
            request_id: request_id.clone(),
            ..Default::default()
        };
        let refused = client.connections.create_connection(create).await.unwrap_err();
        assert_ne!(refused.code(), Code::Internal);
        let update = pb::UpdateConnectionRequest { connection: Some(connection), request_id, ..Default::default() };
        let _told = client.connections.update_connection(update).await;
    }
}
