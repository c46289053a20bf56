//! The list of exports: its columns, its order, what is found in it, and who changed what.

use super::{SOON, acme, fields, get, make, off, own, stage};
use crate::guards::held::another_administrator;
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::Access;
use ferry_testkit::canary::people;
use ferry_testkit::{Client, Stage};
use tonic::Status;

async fn page(
    client: &mut Client,
    (filter, order_by): (&str, &str),
    (page_size, page_token): (i32, String),
) -> Result<pb::ListExportsResponse, Status> {
    let request = pb::ListExportsRequest {
        parent: acme(),
        page_size,
        page_token,
        filter: filter.to_owned(),
        order_by: order_by.to_owned(),
    };
    Ok(client.exports.list_exports(request).await?.into_inner())
}

/// The ids of a list, read in pages of two.
async fn ids(client: &mut Client, filter: &str, order_by: &str) -> Vec<String> {
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let found = page(client, (filter, order_by), (2, token)).await.unwrap();
        ids.extend(found.exports.iter().map(|export| export.name.rsplit('/').next().unwrap().to_owned()));
        token = found.next_page_token;
        if token.is_empty() {
            return ids;
        }
    }
}

async fn second_connection(stage: &Stage) {
    let connection = pb::Connection {
        display_name: "Winter Sale".to_owned(),
        access: Access::AdministratorsAndContributors.into(),
        ..stage.connection()
    };
    let request = pb::CreateConnectionRequest {
        parent: acme(),
        connection_id: "another".to_owned(),
        connection: Some(connection),
        skip_verification: true,
        ..Default::default()
    };
    stage.client("administrator").await.connections.create_connection(request).await.unwrap();
}

/// Four exports: on two connections, with three schedules, one that has run and one that was renamed.
async fn four() -> Stage {
    let stage = stage().await;
    second_connection(&stage).await;
    stage.segment("others", "csv", people(2).as_bytes());
    let named = |name: &str, connection: &str, segment: &str| pb::Export {
        display_name: name.to_owned(),
        ..stage.export(connection, segment)
    };
    stage.create_export("zulu", named("alpha", "newsletter", "people")).await;
    stage.create_export("yankee", pb::Export { schedule: off(), ..named("Delta", "another", "people") }).await;
    let own = own("0 6 * * *", "UTC");
    let whisky =
        stage.create_export("whisky", pb::Export { schedule: own, ..named("charlie", "newsletter", "others") });
    let whisky = whisky.await;
    stage.create_export("victor", named("Bravo", "another", "others")).await;
    stage.ended(&stage.run(&whisky.name).await.name, SOON).await;
    let request = pb::UpdateExportRequest {
        export: Some(pb::Export {
            name: format!("{}/exports/zulu", acme()),
            display_name: "Alpha".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    another_administrator(&stage).await.exports.update_export(request).await.unwrap();
    stage
}

#[tokio::test]
async fn e11_the_list_is_ordered_by_each_column_and_a_search_finds_names_and_types() {
    let stage = four().await;
    let mut client = stage.client("administrator").await;
    let orders = [
        ("", ["zulu", "yankee", "whisky", "victor"]),
        ("create_time desc", ["victor", "whisky", "yankee", "zulu"]),
        ("display_name", ["zulu", "victor", "whisky", "yankee"]),
        ("display_name desc", ["yankee", "whisky", "victor", "zulu"]),
        ("settings", ["victor", "whisky", "yankee", "zulu"]),
        ("latest_run_summary.state desc", ["whisky", "zulu", "yankee", "victor"]),
        ("latest_run_summary.end_time", ["victor", "yankee", "zulu", "whisky"]),
        ("schedule", ["yankee", "victor", "zulu", "whisky"]),
        ("connection", ["victor", "yankee", "whisky", "zulu"]),
        ("update_time desc", ["zulu", "victor", "whisky", "yankee"]),
        ("updated_by desc", ["zulu", "yankee", "whisky", "victor"]),
    ];
    for (order, expected) in orders {
        assert_eq!(ids(&mut client, "", order).await, expected, "{order}");
    }
    let found = [
        ("search = \"LPH\"", vec!["zulu"]),
        ("search = \"winter\"", vec!["yankee", "victor"]),
        ("search = \"Active\"", vec!["zulu", "yankee", "whisky", "victor"]),
        ("search = \"nothing\"", vec![]),
        ("search = \"winter\" AND segment = \"tenants/acme/segments/people\"", vec!["yankee"]),
    ];
    for (filter, expected) in found {
        assert_eq!(ids(&mut client, filter, "").await, expected, "{filter}");
    }
    // To a viewer connections have no names, and to a contributor those alone that are shared.
    let newsletter = "search = \"newsletter\"";
    assert_eq!(ids(&mut client, newsletter, "").await, ["zulu", "whisky"]);
    for (role, filter, expected) in [
        ("viewer", newsletter, 0),
        ("viewer", "search = \"winter\"", 0),
        ("contributor", newsletter, 0),
        ("contributor", "search = \"winter\"", 2),
    ] {
        assert_eq!(ids(&mut stage.client(role).await, filter, "").await.len(), expected, "{role} {filter}");
    }
    for (filter, order, field) in
        [("", "name", "order_by"), ("", "schedule DESC", "order_by"), ("state = \"x\"", "", "filter")]
    {
        let refused = page(&mut client, (filter, order), (0, String::new())).await.unwrap_err();
        assert_eq!(fields(&refused), [field]);
    }
    // A token belongs to its order.
    let token = page(&mut client, ("", "display_name"), (2, String::new())).await.unwrap().next_page_token;
    let refused = page(&mut client, ("", "update_time"), (2, token)).await.unwrap_err();
    assert_eq!(fields(&refused), ["page_token"]);
}

#[tokio::test]
async fn e20_exports_with_a_segment_and_without_it_and_one_that_gets_it() {
    let stage = four().await;
    let mut client = stage.client("administrator").await;
    let (with, without) =
        ("segment = \"tenants/acme/segments/others\"", "NOT segment = \"tenants/acme/segments/others\"");
    assert_eq!(ids(&mut client, with, "").await, ["whisky", "victor"]);
    assert_eq!(ids(&mut client, without, "").await, ["zulu", "yankee"]);
    let name = format!("{}/exports/yankee", acme());
    let mut export = get(&mut client, &name).await;
    export.segments.push("tenants/acme/segments/others".to_owned());
    let request =
        pb::UpdateExportRequest { export: Some(export), update_mask: super::mask(&["segments"]), ..Default::default() };
    client.exports.update_export(request).await.unwrap();
    assert_eq!(ids(&mut client, with, "").await, ["yankee", "whisky", "victor"]);
}

#[tokio::test]
async fn e10_each_export_tells_what_the_caller_may_do() {
    let stage = four().await;
    let may = async |role: &str| {
        let mut client = stage.client(role).await;
        let found = page(&mut client, ("", "connection"), (0, String::new())).await.unwrap().exports;
        found.iter().map(|export| export.permissions.unwrap().can_update).collect::<Vec<_>>()
    };
    assert_eq!(may("administrator").await, [true; 4]);
    assert_eq!(may("contributor").await, [true, true, false, false], "those on `another` are shared");
    assert_eq!(may("viewer").await, [false; 4]);
}

#[tokio::test]
async fn e24_who_changed_it_and_when_and_a_run_changes_neither() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let made = make(&stage, "weekly", None).await;
    assert_eq!((made.updated_by.as_str(), made.update_time), ("administrator", made.create_time));
    let request = pb::UpdateExportRequest {
        export: Some(pb::Export { display_name: "Renamed".to_owned(), ..made.clone() }),
        update_mask: super::mask(&["display_name"]),
        ..Default::default()
    };
    let mut another = another_administrator(&stage).await;
    let changed = another.exports.update_export(request).await.unwrap().into_inner().export.unwrap();
    assert_eq!((changed.updated_by.as_str(), changed.create_time), ("another", made.create_time));
    assert!(changed.update_time != made.update_time && changed.etag != made.etag);
    stage.ended(&stage.run(&made.name).await.name, SOON).await;
    let after = get(&mut client, &made.name).await;
    assert!(!after.latest_run.is_empty());
    let shown = |export: &pb::Export| (export.updated_by.clone(), export.update_time, export.etag.clone());
    assert_eq!(shown(&after), shown(&changed));
}

#[tokio::test]
async fn each_export_tells_when_it_is_due_next_in_the_list_as_alone() {
    let stage = four().await;
    let mut client = stage.client("administrator").await;
    let due = async |client: &mut Client| {
        let found = page(client, ("", "connection"), (0, String::new())).await.unwrap().exports;
        let by_default = page(client, ("", ""), (0, String::new())).await.unwrap().exports;
        let mut due = Vec::new();
        for id in ["zulu", "yankee", "whisky", "victor"] {
            let name = format!("{}/exports/{id}", acme());
            let alone = get(client, &name).await.next_run_time;
            for list in [&found, &by_default] {
                assert_eq!(list.iter().find(|export| export.name == name).unwrap().next_run_time, alone, "{id}");
            }
            due.push(alone.map(|time| time.seconds));
        }
        due
    };
    let [with_refresh, off, own, also_with_refresh] = due(&mut client).await[..] else { panic!() };
    assert_eq!((with_refresh, off, also_with_refresh), (None, None, None), "the refresh is inactive");
    let own = own.unwrap();
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    assert!(own % 86_400 == 6 * 3_600 && own > now - 60 && own <= now + 86_400, "six o'clock: {own}");
    let schedule = pb::RefreshSchedule {
        name: format!("{}/refreshSchedule", acme()),
        active: true,
        cadence: pb::refresh_schedule::Cadence::Daily.into(),
        times: vec!["00:00".to_owned()],
        ..Default::default()
    };
    let request = pb::UpdateRefreshScheduleRequest { refresh_schedule: Some(schedule), ..Default::default() };
    let schedule = client.refresh.update_refresh_schedule(request).await.unwrap().into_inner().refresh_schedule;
    let refresh = schedule.unwrap().next_time.unwrap().seconds;
    assert_eq!(due(&mut client).await, [Some(refresh), None, Some(own), Some(refresh)]);
    let names = ["zulu", "whisky"].map(|id| format!("{}/exports/{id}", acme())).to_vec();
    let detach = pb::BatchDetachExportsRequest { parent: acme(), names, ..Default::default() };
    client.exports.batch_detach_exports(detach).await.unwrap();
    assert_eq!(due(&mut client).await, [None, None, None, Some(refresh)], "what is detached is never due");
}
