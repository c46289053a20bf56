//! A walk through the history of a connection that is shared and taken back, against a model of two lines.

use super::world;
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::Access;
use ferry_testkit::{Client, Stage, TENANT, canary};
use std::collections::BTreeMap;
use tonic::Code;

const STEPS: usize = 300;
const ROLES: [&str; 3] = ["viewer", "contributor", "administrator"];

/// What the caller may do with the export. This is the whole model.
fn may(role: &str, is_shared: bool) -> bool {
    role == "administrator" || (role == "contributor" && is_shared)
}

/// Xorshift: the same walk for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn rights_follow_every_step_of_a_history_of_sharing() {
    for seed in [0x00DD_BA11, 0x5EED_0002] {
        walk(Dice(seed)).await;
    }
}

async fn walk(mut dice: Dice) {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::csv([canary::row("person")]).as_bytes());
    let mut administrator = world::administrator(&stage, world::SOMEBODY, TENANT).await;
    let connection = world::make_connection(&stage, &mut administrator, TENANT, "newsletter").await.name;
    let export = world::make_export(&mut administrator, TENANT, "weekly", &connection).await;
    let mut clients = BTreeMap::new();
    for role in ROLES {
        // One person, whose role is whatever the token of the moment says.
        let token = world::token(&stage, world::CALLER, TENANT, role);
        clients.insert(role, Client::connect(stage.addr(), &token).await);
    }
    let (mut role, mut is_shared) = ("viewer", false);
    let mut seen = BTreeMap::new();
    for step in 0..STEPS {
        let roll = dice.roll(5);
        let client = clients.get_mut(role).unwrap();
        let told = match roll {
            0 => {
                is_shared = true;
                world::share(&mut administrator, &connection, Access::AdministratorsAndContributors).await;
                continue;
            }
            1 => {
                is_shared = false;
                world::share(&mut administrator, &connection, Access::Administrators).await;
                continue;
            }
            2 => {
                role = ROLES[usize::try_from(dice.roll(3)).unwrap()];
                continue;
            }
            3 => update(client, &export, &format!("Step {step}")).await,
            _ => run(client, &export.name).await,
        };
        let expected = may(role, is_shared);
        *seen.entry((role, is_shared, roll)).or_insert(0) += 1;
        assert_eq!(told, expected, "step {step}: {role}, shared: {is_shared}, roll {roll}");
        assert_eq!(permissions(client, &export.name).await, [expected; 4], "step {step}: {role}, shared: {is_shared}");
        let reads = read(client, &connection).await;
        let sees = if role == "viewer" {
            Code::PermissionDenied
        } else if expected {
            Code::Ok
        } else {
            Code::NotFound
        };
        assert_eq!(reads, sees, "step {step}: {role}, shared: {is_shared}");
    }
    assert_eq!(seen.len(), 12, "each role, shared or not, has tried both: {seen:?}");
}

async fn update(client: &mut Client, export: &pb::Export, display_name: &str) -> bool {
    let request = pb::UpdateExportRequest {
        export: Some(pb::Export {
            name: export.name.clone(),
            display_name: display_name.to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["display_name".to_owned()] }),
        ..Default::default()
    };
    match client.exports.update_export(request).await {
        Ok(answer) => {
            assert_eq!(answer.into_inner().export.unwrap().display_name, display_name);
            true
        }
        Err(status) => {
            assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
            false
        }
    }
}

async fn run(client: &mut Client, export: &str) -> bool {
    let request = pb::RunExportRequest { name: export.to_owned(), ..Default::default() };
    match client.exports.run_export(request).await {
        Ok(_) => true,
        Err(status) if status.code() == Code::AlreadyExists => true,
        Err(status) => {
            assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
            false
        }
    }
}

async fn permissions(client: &mut Client, export: &str) -> [bool; 4] {
    let request = pb::GetExportRequest { name: export.to_owned() };
    let export = client.exports.get_export(request).await.unwrap().into_inner().export.unwrap();
    let may = export.permissions.unwrap();
    [may.can_update, may.can_delete, may.can_run, may.can_view_rejected]
}

async fn read(client: &mut Client, connection: &str) -> Code {
    let request = pb::GetConnectionRequest { name: connection.to_owned() };
    client.connections.get_connection(request).await.err().map_or(Code::Ok, |status| status.code())
}

/// A request id makes a repeat safe, not allowed: what was withdrawn meanwhile is missed by the repeat as well.
#[tokio::test]
async fn a_repeat_needs_the_rights_that_the_first_call_had() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::csv([canary::row("person")]).as_bytes());
    let mut administrator = world::administrator(&stage, world::SOMEBODY, TENANT).await;
    let connection = world::make_connection(&stage, &mut administrator, TENANT, "newsletter").await.name;
    let export = world::make_export(&mut administrator, TENANT, "weekly", &connection).await;
    world::share(&mut administrator, &connection, Access::AdministratorsAndContributors).await;
    let mut contributor = stage.client("contributor").await;
    let run = pb::RunExportRequest {
        name: export.name.clone(),
        request_id: "0c6d1b52-7a7e-4b37-8f0e-7d1b0a0f9a01".to_owned(),
        ..Default::default()
    };
    let update = pb::UpdateExportRequest {
        export: Some(pb::Export { name: export.name, display_name: "Renamed".to_owned(), ..Default::default() }),
        request_id: "0c6d1b52-7a7e-4b37-8f0e-7d1b0a0f9a02".to_owned(),
        ..Default::default()
    };
    contributor.exports.run_export(run.clone()).await.unwrap();
    contributor.exports.update_export(update.clone()).await.unwrap();
    contributor.exports.run_export(run.clone()).await.unwrap();
    contributor.exports.update_export(update.clone()).await.unwrap();
    world::share(&mut administrator, &connection, Access::Administrators).await;
    assert_eq!(contributor.exports.run_export(run).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(contributor.exports.update_export(update).await.unwrap_err().code(), Code::PermissionDenied);
    let create = pb::CreateConnectionRequest {
        parent: format!("tenants/{TENANT}"),
        connection: Some(stage.connection()),
        skip_verification: true,
        request_id: "0c6d1b52-7a7e-4b37-8f0e-7d1b0a0f9a03".to_owned(),
        ..Default::default()
    };
    administrator.connections.create_connection(create.clone()).await.unwrap();
    assert_eq!(contributor.connections.create_connection(create).await.unwrap_err().code(), Code::PermissionDenied);
}
