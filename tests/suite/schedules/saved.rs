//! What an export needs to be saved, and who may.

use super::{acme, fields, get, make, own, reason, runs, stage, with_refresh};
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::Access;
use ferry_testkit::canary::people;
use ferry_testkit::{Client, Stage, TENANT};
use tonic::{Code, Status};

async fn save(stage: &Stage, change: impl FnOnce(&mut pb::Export)) -> Result<pb::Export, Status> {
    let mut export = stage.export("newsletter", "people");
    change(&mut export);
    let request = pb::CreateExportRequest { parent: acme(), export: Some(export), ..Default::default() };
    let mut client = stage.client("administrator").await;
    Ok(client.exports.create_export(request).await?.into_inner().export.unwrap())
}

fn mapping(field: &str, column: &str) -> pb::FieldMapping {
    pb::FieldMapping { destination_field: field.to_owned(), profile_column: column.to_owned() }
}

fn list(export: &mut pb::Export, id: &str) {
    let settings = pb::ActiveCampaignExport { list_id: id.to_owned(), exclude_automations: None };
    let settings = Some(pb::export_settings::Settings::Activecampaign(settings));
    export.settings = Some(pb::ExportSettings { settings });
}

#[tokio::test]
async fn e01_an_export_has_a_name_a_connection_a_list_an_address_and_a_segment_and_e06_saving_runs_nothing() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let made = save(&stage, |_| ()).await.unwrap();
    assert!(!made.uid.is_empty() && made.name.starts_with(&acme()));
    let request = pb::UpdateExportRequest {
        export: Some(pb::Export { display_name: "Renamed".to_owned(), ..made.clone() }),
        update_mask: super::mask(&["display_name"]),
        ..Default::default()
    };
    client.exports.update_export(request).await.unwrap();
    assert!(runs(&mut client, &made.name).await.is_empty());
    assert!(get(&mut client, &made.name).await.latest_run.is_empty());
    let nameless = save(&stage, |export| export.display_name.clear()).await.unwrap_err();
    assert_eq!(fields(&nameless), ["export.display_name"]);
    let nowhere = save(&stage, |export| export.connection.clear()).await.unwrap_err();
    assert_eq!(fields(&nowhere), ["export.connection"]);
    let nobody = save(&stage, |export| export.segments.clear()).await.unwrap_err();
    assert_eq!(fields(&nobody), ["export.segments"]);
    let mut unknown = stage.connection();
    unknown.destination_type = "carrier_pigeon".to_owned();
    let request = pb::CreateConnectionRequest { parent: acme(), connection: Some(unknown), ..Default::default() };
    assert_eq!(client.connections.create_connection(request).await.unwrap_err().code(), Code::InvalidArgument);
}

/// There is no saving that runs as well: whoever wants both calls both.
#[tokio::test]
async fn e07_saving_never_runs_whatever_is_saved_and_however_it_is_scheduled() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let yearly = own("0 0 1 1 *", "UTC");
    let made = make(&stage, "weekly", yearly.clone()).await;
    let changed = pb::Export { schedule: with_refresh(), display_name: "Renamed".to_owned(), ..made.clone() };
    let request = pb::UpdateExportRequest {
        export: Some(pb::Export { etag: String::new(), ..changed }),
        update_mask: super::mask(&["*"]),
        ..Default::default()
    };
    client.exports.update_export(request).await.unwrap();
    let name = made.name.clone();
    let copy = pb::DuplicateExportRequest { name: name.clone(), ..Default::default() };
    let copy = client.exports.duplicate_export(copy).await.unwrap().into_inner().export.unwrap().name;
    let request = pb::BatchUpdateSchedulesRequest {
        parent: acme(),
        names: vec![name.clone(), copy.clone()],
        mode: pb::batch_update_schedules_request::Mode::OverrideAll.into(),
        schedule: yearly,
        ..Default::default()
    };
    client.exports.batch_update_schedules(request).await.unwrap();
    let detach = pb::DetachExportRequest { name: name.clone(), ..Default::default() };
    client.exports.detach_export(detach).await.unwrap();
    let attach = pb::AttachExportRequest { name: name.clone(), connection: made.connection, ..Default::default() };
    client.exports.attach_export(attach).await.unwrap();
    client.exports.validate_export(pb::ValidateExportRequest { name: name.clone() }).await.unwrap();
    // The scheduler has looked at all of that, and run something else.
    super::due::looked_again(&stage, &client).await;
    for export in [name, copy] {
        assert!(runs(&mut client, &export).await.is_empty(), "{export}");
    }
}

async fn warnings(client: &mut Client, export: &pb::Export) -> Vec<String> {
    let request = pb::ValidateExportRequest { name: export.name.clone() };
    client.exports.validate_export(request).await.unwrap().into_inner().warnings
}

#[tokio::test]
async fn e21_a_second_export_of_one_segment_to_one_list_is_warned_of_however_it_came_to_that() {
    let stage = stage().await;
    stage.segment("others", "csv", people(2).as_bytes());
    let mut client = stage.client("administrator").await;
    let first = make(&stage, "first", None).await;
    assert!(warnings(&mut client, &first).await.is_empty(), "it does not repeat itself");
    let of = |segment: &str| stage.export("newsletter", segment);
    // Saved so.
    let second = stage.create_export("second", of("people")).await;
    for (one, other) in [(&first, &second), (&second, &first)] {
        let found = warnings(&mut client, one).await;
        let says = format!("`{}` sends `people` to list 3 of the same account too", other.name);
        assert!(found.len() == 1 && found[0].starts_with(&says), "{found:?}");
    }
    // Changed so, and back.
    let mut update = async |change: &dyn Fn(&mut pb::Export), path: &str| {
        let mut export = second.clone();
        change(&mut export);
        let export = Some(pb::Export { etag: String::new(), ..export });
        let request = pb::UpdateExportRequest { export, update_mask: super::mask(&[path]), ..Default::default() };
        client.exports.update_export(request).await.unwrap();
        warnings(&mut client, &second).await
    };
    let others = |export: &mut pb::Export| export.segments = vec![format!("{}/segments/others", acme())];
    let both = |export: &mut pb::Export| export.segments.push(format!("{}/segments/others", acme()));
    assert!(update(&others, "segments").await.is_empty(), "another segment");
    assert_eq!(update(&both, "segments").await.len(), 1);
    assert!(update(&|export| list(export, "4"), "settings").await.is_empty(), "another list");
    assert_eq!(update(&|export| list(export, "3"), "settings").await.len(), 1);
    // Attached so: another connection to the same account is the same list, one to another account is not.
    let detach = pb::DetachExportRequest { name: first.name.clone(), ..Default::default() };
    client.exports.detach_export(detach).await.unwrap();
    assert!(warnings(&mut client, &second).await.is_empty(), "what is detached sends nothing");
    stage.create_connection("again").await;
    elsewhere(&stage).await;
    for (connection, expected) in [("again", 1), ("elsewhere", 0), ("newsletter", 1)] {
        let connection = format!("{}/connections/{connection}", acme());
        let attach =
            pb::AttachExportRequest { name: first.name.clone(), connection: connection.clone(), ..Default::default() };
        client.exports.attach_export(attach).await.unwrap();
        assert_eq!(warnings(&mut client, &second).await.len(), expected, "{connection}");
    }
    let delete = pb::DeleteExportRequest { name: first.name, ..Default::default() };
    client.exports.delete_export(delete).await.unwrap();
    assert!(warnings(&mut client, &second).await.is_empty());
}

/// A connection to another account.
async fn elsewhere(stage: &Stage) {
    let settings = pb::ActiveCampaignConnection {
        host: ferry_testkit::OTHER_HOST.to_owned(),
        api_key: stage.api_key.clone(),
        ..Default::default()
    };
    let settings = Some(pb::connection_settings::Settings::Activecampaign(settings));
    let connection = pb::Connection { settings: Some(pb::ConnectionSettings { settings }), ..stage.connection() };
    let request = pb::CreateConnectionRequest {
        parent: acme(),
        connection_id: "elsewhere".to_owned(),
        connection: Some(connection),
        skip_verification: true,
        ..Default::default()
    };
    stage.client("administrator").await.connections.create_connection(request).await.unwrap();
}

#[tokio::test]
async fn e02_the_address_is_mapped_and_e03_others_may_be_and_e04_a_list_is_a_number() {
    let stage = stage().await;
    let without = save(&stage, |export| export.field_mappings.remove(0).profile_column.clear()).await.unwrap_err();
    assert_eq!(fields(&without), ["export.field_mappings"]);
    let unknown = save(&stage, |export| export.field_mappings.push(mapping("shoe_size", "email"))).await.unwrap_err();
    assert_eq!(fields(&unknown), ["export.field_mappings[2].destination_field"]);
    let missing = save(&stage, |export| export.field_mappings[0] = mapping("email", "no_such")).await.unwrap_err();
    assert_eq!(fields(&missing), ["export.field_mappings"]);
    save(&stage, |export| export.field_mappings.truncate(1)).await.unwrap();
    for field in ["first_name", "last_name", "phone"] {
        save(&stage, |export| export.field_mappings = vec![mapping("email", "email"), mapping(field, "first_name")])
            .await
            .unwrap();
    }
    for bad in ["", "0", "three", "-3", "4294967296"] {
        let refused = save(&stage, |export| list(export, bad)).await.unwrap_err();
        assert_eq!(fields(&refused), ["export.settings.activecampaign.list_id"], "{bad}");
    }
    // Whether it is there is asked of the destination.
    let elsewhere = save(&stage, |export| list(export, "99")).await.unwrap();
    let mut client = stage.client("administrator").await;
    let request = pb::ValidateExportRequest { name: elsewhere.name };
    let found = client.exports.validate_export(request).await.unwrap().into_inner();
    assert_eq!(found.problems.iter().map(|problem| problem.reason.as_str()).collect::<Vec<_>>(), ["LIST_NOT_FOUND"]);
}

#[tokio::test]
async fn e05_what_is_no_segment_of_people_is_refused_and_e22_so_is_one_of_accounts() {
    let stage = stage().await;
    let catalogue = stage.path("segments").join(TENANT).join("catalogue.toml");
    let before = std::fs::read_to_string(&catalogue).unwrap();
    let accounts = "[[segment]]\nid = \"accounts\"\ndisplay_name = \"Accounts\"\nkind = \"account\"\nformat = \"csv\"\npath = \"people\"\n";
    std::fs::write(&catalogue, before + accounts).unwrap();
    for (segment, expected) in [("accounts", "segments[0]"), ("no-such", "segments[0]")] {
        let name = format!("{}/segments/{segment}", acme());
        let refused = save(&stage, |export| export.segments = vec![name]).await.unwrap_err();
        assert_eq!(fields(&refused)[0], format!("export.{expected}"), "{segment}");
    }
    let table = save(&stage, |export| export.segments = vec![format!("{}/tables/orders", acme())]).await.unwrap_err();
    assert_eq!(fields(&table)[0], "export.segments[0]");
}

#[tokio::test]
async fn e23_a_column_that_is_no_plain_value_cannot_be_mapped() {
    let stage = stage().await;
    stage.segment("nested", "jsonl", b"{\"email\":\"a@example.com\",\"orders\":[{\"sum\":3}]}\n");
    let refused = save(&stage, |export| {
        export.segments = vec![format!("{}/segments/nested", acme())];
        export.field_mappings = vec![mapping("email", "email"), mapping("1", "orders")];
    });
    let refused = refused.await.unwrap_err();
    assert_eq!(fields(&refused), ["export.field_mappings"]);
    assert!(refused.message().contains("invalid"), "{refused:?}");
    // Nor is it offered.
    let request = pb::GetSegmentRequest { name: format!("{}/segments/nested", acme()) };
    let mut client = stage.client("contributor").await;
    let segment = client.segments.get_segment(request).await.unwrap().into_inner().segment.unwrap();
    let offered: Vec<_> = segment.columns.iter().map(|column| (column.name.as_str(), column.mappable)).collect();
    assert_eq!(offered, [("email", true), ("orders", false)]);
}

#[tokio::test]
async fn e08_every_role_views_and_e09_who_edits_follows_the_connection() {
    let stage = stage().await;
    let export = make(&stage, "weekly", None).await;
    let edit = async |client: &mut Client| {
        let request = pb::UpdateExportRequest {
            export: Some(pb::Export {
                display_name: "Other".to_owned(),
                name: export.name.clone(),
                ..Default::default()
            }),
            ..Default::default()
        };
        client.exports.update_export(request).await.map(|_| ())
    };
    let (mut viewer, mut contributor) = (stage.client("viewer").await, stage.client("contributor").await);
    for client in [&mut viewer, &mut contributor] {
        assert_eq!(get(client, &export.name).await.name, export.name);
        let request = pb::ListExportsRequest { parent: acme(), ..Default::default() };
        assert_eq!(client.exports.list_exports(request).await.unwrap().into_inner().exports.len(), 1);
        assert_eq!(reason(&edit(client).await.unwrap_err()), (Code::PermissionDenied, "ROLE_TOO_LOW".to_owned()));
    }
    let mut administrator = stage.client("administrator").await;
    let read = pb::GetConnectionRequest { name: export.connection.clone() };
    let found = administrator.connections.get_connection(read).await.unwrap().into_inner().connection.unwrap();
    let request = pb::UpdateConnectionRequest {
        connection: Some(pb::Connection { access: Access::AdministratorsAndContributors.into(), ..found }),
        update_mask: super::mask(&["access"]),
        ..Default::default()
    };
    administrator.connections.update_connection(request).await.unwrap();
    edit(&mut contributor).await.unwrap();
    assert_eq!(edit(&mut viewer).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn e15_a_removed_export_is_gone_with_its_schedule_and_its_runs_can_be_read() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let export = make(&stage, "weekly", None).await;
    let run = stage.ended(&stage.run(&export.name).await.name, super::SOON).await;
    let delete = pb::DeleteExportRequest { name: export.name.clone(), ..Default::default() };
    client.exports.delete_export(delete).await.unwrap();
    let missing = client.exports.get_export(pb::GetExportRequest { name: export.name.clone() }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(stage.get_run(&run.name).await, run);
    assert!(super::start_refresh(&mut client, &[], &[]).await.unwrap().runs.is_empty());
}

#[tokio::test]
async fn e16_validate_tells_how_many_there_are_and_warns_above_the_limit() {
    let stage = stage().await;
    let catalogue = stage.path("segments").join(TENANT).join("catalogue.toml");
    let entry = |count: u32| {
        format!(
            "[[segment]]\nid = \"people\"\ndisplay_name = \"p\"\nformat = \"csv\"\npath = \"people\"\nmember_count = {count}\n"
        )
    };
    std::fs::write(&catalogue, entry(1_000_001)).unwrap();
    std::fs::write(stage.path("segments").join(TENANT).join("people"), people(3)).unwrap();
    let export = make(&stage, "weekly", None).await;
    let mut client = stage.client("contributor").await;
    let request = pb::ValidateExportRequest { name: export.name };
    assert_eq!(client.exports.validate_export(request.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let mut client = stage.client("administrator").await;
    let found = client.exports.validate_export(request.clone()).await.unwrap().into_inner();
    assert_eq!(found.member_count, Some(1_000_001));
    let segments = pb::ListSegmentsRequest { parent: acme(), ..Default::default() };
    let segments = client.segments.list_segments(segments).await.unwrap().into_inner().segments;
    assert_eq!(segments[0].member_count, Some(1_000_001), "each by itself, where exports have several");
    assert!(
        found.warnings.iter().any(|warning| warning.contains("1000000") || warning.contains("1,000,000")),
        "{found:?}"
    );
    std::fs::write(&catalogue, entry(3)).unwrap();
    let found = client.exports.validate_export(request).await.unwrap().into_inner();
    assert_eq!((found.member_count, found.warnings.len()), (Some(3), 0), "{found:?}");
}
