//! Connections, segments and exports through the API.

use ferry_proto::v1 as pb;
use ferry_proto::v1::connection_settings::Settings;
use ferry_testkit::{Stage, TENANT, canary};
use tonic::{Code, Status};
use tonic_types::StatusExt;

fn csv() -> Vec<u8> {
    canary::csv([canary::row("a")]).into_bytes()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

fn create(connection: pb::Connection, id: &str) -> pb::CreateConnectionRequest {
    pb::CreateConnectionRequest {
        parent: format!("tenants/{TENANT}"),
        connection_id: id.to_owned(),
        connection: Some(connection),
        ..pb::CreateConnectionRequest::default()
    }
}

#[tokio::test]
async fn without_consent_or_with_a_stale_one_nothing_is_stored() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let cases = [
        (None, "CONSENT_REQUIRED"),
        (Some((false, "2026-11-01")), "CONSENT_REQUIRED"),
        (Some((true, "2021-10-08")), "CONSENT_TEXT_STALE"),
    ];
    for (consent, expected) in cases {
        let consent = consent.map(|(accepted, version)| pb::Consent {
            accepted,
            text_version: version.to_owned(),
            ..pb::Consent::default()
        });
        let connection = pb::Connection { consent, ..stage.connection() };
        let status = client.connections.create_connection(create(connection, "newsletter")).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, expected));
    }
    let request = pb::ListConnectionsRequest { parent: format!("tenants/{TENANT}"), ..Default::default() };
    assert!(client.connections.list_connections(request).await.unwrap().into_inner().connections.is_empty());
}

#[tokio::test]
async fn a_connection_reads_back_without_its_key() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let made = client.connections.create_connection(create(stage.connection(), "newsletter")).await.unwrap();
    let made = made.into_inner().connection.unwrap();
    assert_eq!(made.state(), pb::connection::State::Ready, "the simulator took the key");
    let consent = made.consent.clone().unwrap();
    assert_eq!((consent.accepted_by.as_str(), consent.text_version.as_str()), ("administrator", "2026-11-01"));
    assert!(consent.accept_time.is_some());
    assert_eq!(made.run_as, "administrator");
    let Some(Settings::Activecampaign(settings)) = made.settings.clone().unwrap().settings else { unreachable!() };
    assert!(settings.api_key.is_empty() && settings.api_key_set_time.is_some());
    assert!(!format!("{made:?}").contains(&stage.api_key));
    let mut database = std::fs::read(stage.path("data/ferry.db")).unwrap();
    database.extend(std::fs::read(stage.path("data/ferry.db-wal")).unwrap_or_default());
    let log = std::fs::read(stage.log()).unwrap();
    for place in [database, log] {
        let found = place.windows(stage.api_key.len()).any(|window| window == stage.api_key.as_bytes());
        assert!(!found, "the key stands in the clear");
    }
}

#[tokio::test]
async fn a_refused_key_or_a_host_that_is_not_there_stores_nothing() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let with = |host: &str, key: &str| {
        let mut connection = stage.connection();
        if let Some(Settings::Activecampaign(settings)) = connection.settings.as_mut().and_then(|s| s.settings.as_mut())
        {
            host.clone_into(&mut settings.host);
            key.clone_into(&mut settings.api_key);
        }
        connection
    };
    let refused = client.connections.create_connection(create(with(ferry_testkit::HOST, "wrong"), "newsletter")).await;
    let status = refused.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "CREDENTIALS_REFUSED"));
    let outside =
        client.connections.create_connection(create(with("example.com", "key"), "newsletter")).await.unwrap_err();
    assert_eq!(reason(&outside), "HOST_NOT_ALLOWED");
    for host in ["127.0.0.1", "https://demo.ferry-sim.test", "localhost", "demo.ferry-sim.test:443"] {
        let status = client.connections.create_connection(create(with(host, "key"), "newsletter")).await.unwrap_err();
        assert_eq!(fields(&status), ["connection.settings.activecampaign.host"], "{host}");
    }
    let get = pb::GetConnectionRequest { name: format!("tenants/{TENANT}/connections/newsletter") };
    assert_eq!(client.connections.get_connection(get).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let connection = pb::Connection { destination_type: "activecampaign".to_owned(), ..pb::Connection::default() };
    let status = client.connections.create_connection(create(connection, "NO")).await.unwrap_err();
    let expected = [
        "connection_id",
        "connection.display_name",
        "connection.settings.activecampaign.host",
        "connection.settings.activecampaign.api_key",
        "connection.consent.accepted",
    ];
    assert_eq!(fields(&status), expected);
}

#[tokio::test]
async fn a_request_id_makes_a_create_repeatable() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let request_id = "8c5b1f5e-4a86-4b5c-9d0a-0a8f3a4f4b11".to_owned();
    let request = pb::CreateConnectionRequest { request_id, ..create(stage.connection(), "newsletter") };
    let first = client.connections.create_connection(request.clone()).await.unwrap().into_inner().connection.unwrap();
    let again = client.connections.create_connection(request.clone()).await.unwrap().into_inner().connection.unwrap();
    assert_eq!(first.uid, again.uid);
    let mut other = request.clone();
    other.connection.as_mut().unwrap().display_name = "Another".to_owned();
    let status = client.connections.create_connection(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let without = pb::CreateConnectionRequest { request_id: String::new(), ..request };
    let status = client.connections.create_connection(without).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "RESOURCE_EXISTS"));
}

#[tokio::test]
async fn an_update_needs_the_etag_and_keeps_what_is_not_named() {
    let stage = Stage::new().await;
    let made = stage.create_connection("newsletter").await;
    let mut client = stage.client("administrator").await;
    let rename = |etag: &str, mask: &[&str]| pb::UpdateConnectionRequest {
        connection: Some(pb::Connection {
            name: made.name.clone(),
            display_name: "Renamed".to_owned(),
            etag: etag.to_owned(),
            ..pb::Connection::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: mask.iter().map(|path| (*path).to_owned()).collect() }),
        ..pb::UpdateConnectionRequest::default()
    };
    let missing = client.connections.update_connection(rename("", &["display_name"])).await.unwrap_err();
    assert_eq!(fields(&missing), ["connection.etag"]);
    let unknown = client.connections.update_connection(rename(&made.etag, &["colour"])).await.unwrap_err();
    assert_eq!(fields(&unknown), ["update_mask"]);
    let renamed = client.connections.update_connection(rename(&made.etag, &["display_name"])).await.unwrap();
    let renamed = renamed.into_inner().connection.unwrap();
    assert_eq!((renamed.display_name.as_str(), &renamed.settings), ("Renamed", &made.settings));
    let stale = client.connections.update_connection(rename(&made.etag, &["display_name"])).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let mut moved = rename(&renamed.etag, &["settings.activecampaign.host"]);
    moved.connection.as_mut().unwrap().settings = Some(pb::ConnectionSettings {
        settings: Some(Settings::Activecampaign(pb::ActiveCampaignConnection {
            host: "other.ferry-sim.test".to_owned(),
            ..pb::ActiveCampaignConnection::default()
        })),
    });
    let status = client.connections.update_connection(moved).await.unwrap_err();
    assert!(
        fields(&status).contains(&"connection.settings.activecampaign.api_key".to_owned()),
        "a new host needs the key anew"
    );
}

#[tokio::test]
async fn a_contributor_sees_shared_connections_by_name_alone() {
    let stage = Stage::new().await;
    let private = stage.create_connection("private").await;
    let mut administrator = stage.client("administrator").await;
    let shared =
        pb::Connection { access: pb::connection::Access::AdministratorsAndContributors.into(), ..stage.connection() };
    administrator.connections.create_connection(create(shared, "shared")).await.unwrap();
    let mut contributor = stage.client("contributor").await;
    let list = pb::ListConnectionsRequest { parent: format!("tenants/{TENANT}"), ..Default::default() };
    let seen = contributor.connections.list_connections(list.clone()).await.unwrap().into_inner().connections;
    assert_eq!(seen.len(), 1);
    assert!(seen[0].settings.is_none() && seen[0].etag.is_empty() && seen[0].display_name == "Newsletter");
    let get = pb::GetConnectionRequest { name: private.name };
    assert_eq!(contributor.connections.get_connection(get).await.unwrap_err().code(), Code::NotFound);
    let mut viewer = stage.client("viewer").await;
    assert_eq!(viewer.connections.list_connections(list).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn segments_are_what_the_catalogue_says() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", &csv());
    stage.segment("others", "jsonl", format!("{{\"email\":\"{}\"}}\n", canary::email("b")).as_bytes());
    let mut viewer = stage.client("viewer").await;
    let list = |token: String| pb::ListSegmentsRequest {
        parent: format!("tenants/{TENANT}"),
        page_size: 1,
        page_token: token,
    };
    let first = viewer.segments.list_segments(list(String::new())).await.unwrap().into_inner();
    assert_eq!(first.segments[0].name, format!("tenants/{TENANT}/segments/people"));
    let second = viewer.segments.list_segments(list(first.next_page_token.clone())).await.unwrap().into_inner();
    assert_eq!((second.segments.len(), second.next_page_token.as_str()), (1, ""));
    let forged = viewer.segments.list_segments(list(format!("{}00", first.next_page_token))).await.unwrap_err();
    assert_eq!(reason(&forged), "PAGE_TOKEN_INVALID");
    let name = format!("tenants/{TENANT}/segments/people");
    let segment = viewer.segments.get_segment(pb::GetSegmentRequest { name: name.clone() }).await.unwrap().into_inner();
    let columns: Vec<String> = segment.segment.unwrap().columns.into_iter().map(|column| column.name).collect();
    assert_eq!(columns, ["email", "first_name"]);
    let preview = pb::PreviewSegmentRequest { name, row_count: 5 };
    assert_eq!(viewer.segments.preview_segment(preview.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let mut contributor = stage.client("contributor").await;
    let rows = contributor.segments.preview_segment(preview).await.unwrap().into_inner().rows;
    assert_eq!(rows[0].cells, [canary::email("a"), canary::name("a")]);
}

#[tokio::test]
async fn an_export_is_checked_against_segments_and_columns() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", &csv());
    stage.create_connection("newsletter").await;
    let mut client = stage.client("administrator").await;
    let request = |export: pb::Export| pb::CreateExportRequest {
        parent: format!("tenants/{TENANT}"),
        export_id: "weekly".to_owned(),
        export: Some(export),
        ..pb::CreateExportRequest::default()
    };
    let mut export = stage.export("newsletter", "people");
    export.field_mappings[1].profile_column = "nickname".to_owned();
    export.segments.push(format!("tenants/{TENANT}/segments/none"));
    let status = client.exports.create_export(request(export)).await.unwrap_err();
    assert_eq!(fields(&status), ["export.segments[1]", "export.field_mappings"]);
    let mut export = stage.export("newsletter", "people");
    export.field_mappings.remove(0);
    assert_eq!(fields(&client.exports.create_export(request(export)).await.unwrap_err()), ["export.field_mappings"]);
    let made = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    assert!(made.permissions.unwrap().can_run);
    assert_eq!(made.latest_run, "", "saving never runs it");
    let in_use = pb::DeleteConnectionRequest { name: made.connection.clone(), ..Default::default() };
    let status = client.connections.delete_connection(in_use).await.unwrap_err();
    assert_eq!(reason(&status), "CONNECTION_IN_USE");
    assert_eq!(status.get_details_precondition_failure().unwrap().violations[0].subject, made.name);
    let validate = pb::ValidateExportRequest { name: made.name };
    let found = client.exports.validate_export(validate).await.unwrap().into_inner();
    assert_eq!((found.list_name.as_str(), found.problems.len()), ("Newsletter", 0));
}

#[tokio::test]
async fn a_contributor_makes_exports_on_shared_connections_alone() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", &csv());
    stage.create_connection("private").await;
    let mut contributor = stage.client("contributor").await;
    let request = pb::CreateExportRequest {
        parent: format!("tenants/{TENANT}"),
        export_id: "weekly".to_owned(),
        export: Some(stage.export("private", "people")),
        ..pb::CreateExportRequest::default()
    };
    let status = contributor.exports.create_export(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "what it may not see does not exist");
    let made = stage.create_export("weekly", stage.export("private", "people")).await;
    let seen = contributor.exports.get_export(pb::GetExportRequest { name: made.name.clone() }).await.unwrap();
    assert!(!seen.into_inner().export.unwrap().permissions.unwrap().can_run);
    let run = pb::RunExportRequest { name: made.name, ..Default::default() };
    assert_eq!(contributor.exports.run_export(run).await.unwrap_err().code(), Code::PermissionDenied);
}
