//! What a contributor sees of a connection, and what a mask may name.

use super::world;
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::Access;
use ferry_proto::v1::connection_settings::Settings;
use ferry_testkit::{Client, HOST, Stage, TENANT, canary, eventually};
use prost_types::FieldMask;
use std::time::Duration;
use tonic::Code;

/// A stage with one shared connection and an export on it.
async fn stage() -> (Stage, pb::Connection, pb::Export) {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::csv([canary::row("person")]).as_bytes());
    let mut client = world::administrator(&stage, world::SOMEBODY, TENANT).await;
    let connection = world::make_connection(&stage, &mut client, TENANT, "shared").await;
    world::share(&mut client, &connection.name, Access::AdministratorsAndContributors).await;
    let export = world::make_export(&mut client, TENANT, "weekly", &connection.name).await;
    (stage, connection, export)
}

#[tokio::test]
async fn a_contributors_view_of_a_connection_is_its_name_display_name_and_type() {
    let (stage, connection, _) = stage().await;
    stage.create_connection("hidden").await;
    let expected = pb::Connection {
        name: connection.name.clone(),
        display_name: connection.display_name,
        destination_type: connection.destination_type,
        ..Default::default()
    };
    let mut contributor = stage.client("contributor").await;
    let get = pb::GetConnectionRequest { name: connection.name };
    let list = pb::ListConnectionsRequest { parent: format!("tenants/{TENANT}"), ..Default::default() };
    let seen = contributor.connections.get_connection(get).await.unwrap().into_inner().connection.unwrap();
    assert_eq!(seen, expected);
    let seen = contributor.connections.list_connections(list).await.unwrap().into_inner();
    assert_eq!(seen, pb::ListConnectionsResponse { connections: vec![expected], ..Default::default() });
}

/// The host is not in problems, errors and runs either, whatever goes wrong there.
#[tokio::test]
async fn nothing_that_goes_wrong_tells_a_contributor_the_host() {
    let (mut stage, connection, export) = stage().await;
    let mut told = Vec::new();
    new_key(&stage, &connection.name, "wrong").await;
    told.extend(failure(&stage, &export, "CREDENTIALS_REFUSED").await);
    // The connection needs attention now: another key, so that it is tried again.
    new_key(&stage, &connection.name, "another").await;
    stage.unplug().await;
    told.extend(failure(&stage, &export, "HOST_UNREACHABLE").await);
    told.retain(|text| text.contains(HOST));
    assert!(told.is_empty(), "the host is told:\n{}", told.join("\n"));
}

async fn new_key(stage: &Stage, connection: &str, key: &str) {
    let mut administrator = world::administrator(stage, world::SOMEBODY, TENANT).await;
    world::change(&mut administrator, connection, "settings.activecampaign.api_key", |connection| {
        let new = pb::ActiveCampaignConnection { api_key: key.to_owned(), ..Default::default() };
        connection.settings = Some(pb::ConnectionSettings { settings: Some(Settings::Activecampaign(new)) });
    })
    .await;
}

/// All that those below an administrator are told of a run that fails.
async fn failure(stage: &Stage, export: &pb::Export, reason: &str) -> Vec<String> {
    let mut contributor = stage.client("contributor").await;
    let validate = pb::ValidateExportRequest { name: export.name.clone() };
    let problems = contributor.exports.validate_export(validate).await.map(tonic::Response::into_inner);
    let request = pb::RunExportRequest { name: export.name.clone(), ..Default::default() };
    let run = contributor.exports.run_export(request).await.unwrap().into_inner().run.unwrap();
    let is_told = || async {
        let request = pb::GetRunRequest { name: run.name.clone() };
        let run = contributor.clone().runs.get_run(request).await.unwrap().into_inner().run.unwrap();
        if run.end_time.is_some() || run.state() == pb::run::State::Paused { Ok(()) } else { Err(run.state()) }
    };
    eventually(Duration::from_secs(60), is_told).await;
    let mut told = vec![format!("{problems:?}")];
    assert!(told[0].contains(reason), "{told:?}");
    for role in ["viewer", "contributor"] {
        let mut client = stage.client(role).await;
        let request = pb::GetRunRequest { name: run.name.clone() };
        told.push(format!("{:?}", client.runs.get_run(request).await.unwrap().into_inner()));
        let request = pb::GetExportRequest { name: export.name.clone() };
        told.push(format!("{:?}", client.exports.get_export(request).await.unwrap().into_inner()));
    }
    told
}

fn mask(path: &str) -> Option<FieldMask> {
    Some(FieldMask { paths: vec![path.to_owned()] })
}

async fn read(client: &mut Client, name: &str) -> pb::Connection {
    let request = pb::GetConnectionRequest { name: name.to_owned() };
    client.connections.get_connection(request).await.unwrap().into_inner().connection.unwrap()
}

/// What the caller would have the connection be: another value in each field that is not theirs to set.
fn foreign(now: &pb::Connection) -> pb::Connection {
    pb::Connection {
        uid: "3f0e5a52-5a8c-4f0e-8f53-61a1a2f5c7d4".to_owned(),
        destination_type: "another".to_owned(),
        run_as: "another".to_owned(),
        state: pb::connection::State::NeedsAttention.into(),
        create_time: Some(prost_types::Timestamp::default()),
        update_time: Some(prost_types::Timestamp::default()),
        ..now.clone()
    }
}

#[tokio::test]
async fn a_mask_of_a_connection_takes_its_documented_paths_alone() {
    let (stage, connection, _) = stage().await;
    let mut administrator = stage.client("administrator").await;
    let before = read(&mut administrator, &connection.name).await;
    let unknown = ["tenant", "colour", "settings.activecampaign.secret", "consent.accepted.by", "", " display_name"];
    let immutable = ["destination_type"];
    for path in unknown.into_iter().chain(immutable) {
        let request = pb::UpdateConnectionRequest {
            connection: Some(foreign(&before)),
            update_mask: mask(path),
            ..Default::default()
        };
        let status = administrator.connections.update_connection(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{path:?}");
    }
    for path in ["uid", "run_as", "state", "create_time", "settings.activecampaign.api_key_set_time"] {
        let etag = read(&mut administrator, &connection.name).await.etag;
        let request = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { etag, ..foreign(&before) }),
            update_mask: mask(path),
            ..Default::default()
        };
        let _ignored = administrator.connections.update_connection(request).await;
    }
    let after = read(&mut administrator, &connection.name).await;
    let kept = pb::Connection { etag: after.etag.clone(), update_time: after.update_time, ..before };
    assert_eq!(after, kept);
}

#[tokio::test]
async fn no_mask_moves_an_export_to_another_connection_or_gives_rights() {
    let (stage, _, export) = stage().await;
    let hidden = stage.create_connection("hidden").await;
    let mut contributor = stage.client("contributor").await;
    let permissions =
        pb::ExportPermissions { can_update: true, can_delete: true, can_run: true, can_view_rejected: true };
    for path in ["connection", "*", "permissions", "permissions.can_run", "updated_by", "latest_run", "uid"] {
        let wanted = pb::Export {
            connection: hidden.name.clone(),
            permissions: Some(permissions),
            updated_by: "another".to_owned(),
            uid: "another".to_owned(),
            etag: String::new(),
            ..export.clone()
        };
        let request = pb::UpdateExportRequest { export: Some(wanted), update_mask: mask(path), ..Default::default() };
        let _refused_or_ignored = contributor.exports.update_export(request).await;
        let mut viewer = stage.client("viewer").await;
        let get = pb::GetExportRequest { name: export.name.clone() };
        let now = viewer.exports.get_export(get).await.unwrap().into_inner().export.unwrap();
        assert_eq!((&now.connection, &now.uid), (&export.connection, &export.uid), "{path}");
        assert_eq!(now.permissions, Some(pb::ExportPermissions::default()), "{path}");
        assert!([world::SOMEBODY, "contributor"].contains(&now.updated_by.as_str()), "{path}");
    }
    let unknown =
        pb::UpdateExportRequest { export: Some(export.clone()), update_mask: mask("colour"), ..Default::default() };
    assert_eq!(contributor.exports.update_export(unknown).await.unwrap_err().code(), Code::InvalidArgument);
}
