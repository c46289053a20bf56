//! Tenants with something in them.

use super::ask::Names;
use super::calls;
use super::cells::{Claim, Owner, Sharing};
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::Access;
use ferry_testkit::{Client, Stage, canary, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// The `sub` of every caller of the matrix.
pub(super) const CALLER: &str = "caller";
/// The `sub` of whoever else makes something.
pub(super) const SOMEBODY: &str = "somebody";
const SOON: Duration = Duration::from_secs(60);

/// A subject's token with one role in one tenant.
pub(super) fn token(stage: &Stage, subject: &str, tenant: &str, role: &str) -> String {
    stage.sign(subject, &[("tenants", json!({ tenant: role }))])
}

/// The token of a claim, for a role in this tenant; empty for none.
pub(super) fn token_of(stage: &Stage, claim: Claim, tenant: Option<&str>) -> String {
    let role = match claim {
        Claim::NoToken => return String::new(),
        Claim::NoRole | Claim::Operator => Value::Null,
        Claim::Viewer => json!("viewer"),
        Claim::Contributor => json!("contributor"),
        Claim::Administrator | Claim::OperatorAndAdministrator => json!("administrator"),
        Claim::UnknownWord => json!("owner"),
        Claim::TwoRoles => json!(["viewer", "administrator"]),
        Claim::EmptyList => json!([]),
    };
    let mut claims = Vec::new();
    match tenant {
        Some(tenant) if !role.is_null() => claims.push(("tenants", json!({ tenant: role }))),
        Some(_) => claims.push(("tenants", json!({}))),
        None => {}
    }
    if matches!(claim, Claim::Operator | Claim::OperatorAndAdministrator) {
        claims.push(("operator", json!(true)));
    }
    stage.sign(CALLER, &claims)
}

/// An administrator of a tenant.
pub(super) async fn administrator(stage: &Stage, subject: &str, tenant: &str) -> Client {
    Client::connect(stage.addr(), &token(stage, subject, tenant, "administrator")).await
}

/// Makes a tenant with segments `people` and `again`.
pub(super) async fn make_tenant(stage: &Stage, id: &str, row: &str) {
    let tenant = pb::Tenant { display_name: format!("Tenant {id}"), ..Default::default() };
    let request = pb::CreateTenantRequest { tenant_id: id.to_owned(), tenant: Some(tenant), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    make_segments(stage, id, row);
}

/// Puts the segments and their catalogue into a tenant's folder.
pub(super) fn make_segments(stage: &Stage, id: &str, row: &str) {
    let folder = stage.path("segments").join(id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("people"), canary::csv([row.to_owned()])).unwrap();
    let entry = |id: &str| {
        format!("[[segment]]\nid = \"{id}\"\ndisplay_name = \"{id}\"\nformat = \"csv\"\npath = \"people\"\n")
    };
    std::fs::write(folder.join("catalogue.toml"), entry("people") + &entry("again")).unwrap();
}

/// Makes a tenant and removes it.
pub(super) async fn remove_tenant(stage: &Stage, id: &str) {
    make_tenant(stage, id, &canary::row("person")).await;
    let request = pb::DeleteTenantRequest { name: format!("tenants/{id}"), ..Default::default() };
    stage.operator().await.tenants.delete_tenant(request).await.unwrap();
}

/// Stores a connection that could send.
pub(super) async fn make_connection(stage: &Stage, client: &mut Client, tenant: &str, id: &str) -> pb::Connection {
    let request = pb::CreateConnectionRequest {
        parent: format!("tenants/{tenant}"),
        connection_id: id.to_owned(),
        connection: Some(stage.connection()),
        skip_verification: true,
        ..Default::default()
    };
    client.connections.create_connection(request).await.unwrap().into_inner().connection.unwrap()
}

/// Shares a connection with contributors, or no longer.
pub(super) async fn share(client: &mut Client, name: &str, access: Access) {
    change(client, name, "access", |connection| connection.access = access.into()).await;
}

/// Changes one path of a connection.
pub(super) async fn change(client: &mut Client, name: &str, path: &str, set: impl FnOnce(&mut pb::Connection)) {
    let read = pb::GetConnectionRequest { name: name.to_owned() };
    let mut connection = client.connections.get_connection(read).await.unwrap().into_inner().connection.unwrap();
    set(&mut connection);
    let request = pb::UpdateConnectionRequest {
        connection: Some(connection),
        update_mask: Some(prost_types::FieldMask { paths: vec![path.to_owned()] }),
        ..Default::default()
    };
    client.connections.update_connection(request).await.unwrap();
}

/// Gives a connection another display name.
pub(super) async fn rename(client: &mut Client, name: &str, display_name: &str) {
    change(client, name, "display_name", |connection| display_name.clone_into(&mut connection.display_name)).await;
}

/// Stores a webhook, whose receiver is the simulator: it answers that there is no such place.
pub(super) async fn make_webhook(client: &mut Client, tenant: &str, display_name: &str) {
    make_webhook_named(client, tenant, "hook", display_name).await;
}

/// The same, under another id.
pub(super) async fn make_webhook_named(client: &mut Client, tenant: &str, id: &str, display_name: &str) {
    let webhook = pb::Webhook {
        display_name: display_name.to_owned(),
        url: format!("https://{}/hook", ferry_testkit::HOST),
        ..Default::default()
    };
    let request = pb::CreateWebhookRequest {
        parent: format!("tenants/{tenant}"),
        webhook_id: id.to_owned(),
        webhook: Some(webhook),
        ..Default::default()
    };
    client.notifications.create_webhook(request).await.unwrap();
}

/// Stores an export of `people`.
pub(super) async fn make_export(client: &mut Client, tenant: &str, id: &str, connection: &str) -> pb::Export {
    let export = pb::Export {
        connection: connection.to_owned(),
        segments: vec![format!("tenants/{tenant}/segments/people")],
        ..calls::export()
    };
    let request = pb::CreateExportRequest {
        parent: format!("tenants/{tenant}"),
        export_id: id.to_owned(),
        export: Some(export),
        ..Default::default()
    };
    client.exports.create_export(request).await.unwrap().into_inner().export.unwrap()
}

/// Runs an export to its end, and gives the run's name.
pub(super) async fn run_to_the_end(client: &mut Client, export: &str) -> String {
    let request = pb::RunExportRequest { name: export.to_owned(), ..Default::default() };
    let run = client.exports.run_export(request).await.unwrap().into_inner().run.unwrap();
    eventually(SOON, || {
        let (mut client, name) = (client.clone(), run.name.clone());
        async move {
            let run = client.runs.get_run(pb::GetRunRequest { name }).await.unwrap().into_inner().run.unwrap();
            if run.end_time.is_some() { Ok(()) } else { Err(run.state()) }
        }
    })
    .await;
    run.name
}

/// Names in a tenant, whether anything of them is there or not.
pub(super) fn names(tenant: &str, connection: &str, export: &str, run: &str) -> Names {
    let parent = format!("tenants/{tenant}");
    Names {
        connection: format!("{parent}/connections/{connection}"),
        export: format!("{parent}/exports/{export}"),
        run: format!("{parent}/exports/{export}/runs/{run}"),
        segment: format!("{parent}/segments/people"),
        webhook: format!("{parent}/webhooks/hook"),
        schedule: format!("{parent}/refreshSchedule"),
        tenant: parent,
        plan: String::new(),
        watched: String::new(),
    }
}

/// The id of no run.
pub(super) const NO_RUN: &str = "00000000-0000-7000-8000-000000000000";

/// What a cell names: in a tenant of its own for each state of sharing.
pub(super) struct Place {
    pub(super) sharing: Sharing,
    /// By owner.
    names: [Names; 2],
}

impl Place {
    /// Makes the tenant and brings its connections into the state.
    pub(super) async fn make(stage: &Stage, sharing: Sharing) -> Self {
        let tenant = Self::tenant(sharing);
        make_tenant(stage, &tenant, &canary::row("person")).await;
        let mut made = Vec::new();
        make_webhook(&mut administrator(stage, SOMEBODY, &tenant).await, &tenant, "Hook").await;
        for (subject, id) in [(CALLER, "mine"), (SOMEBODY, "theirs")] {
            if sharing == Sharing::Removed {
                made.push(names(&tenant, id, id, NO_RUN));
                continue;
            }
            let mut client = administrator(stage, subject, &tenant).await;
            let connection = make_connection(stage, &mut client, &tenant, id).await.name;
            let export = make_export(&mut client, &tenant, id, &connection).await.name;
            let run = run_to_the_end(&mut client, &export).await;
            let run = run.rsplit('/').next().unwrap();
            made.push(names(&tenant, id, id, run));
            if matches!(sharing, Sharing::Shared | Sharing::Withdrawn) {
                share(&mut client, &connection, Access::AdministratorsAndContributors).await;
            }
            if sharing == Sharing::Withdrawn {
                share(&mut client, &connection, Access::Administrators).await;
            }
        }
        if sharing == Sharing::AnotherShared {
            let mut client = administrator(stage, SOMEBODY, &tenant).await;
            let another = make_connection(stage, &mut client, &tenant, "another").await.name;
            share(&mut client, &another, Access::AdministratorsAndContributors).await;
        }
        let names = made.try_into().unwrap();
        Self { sharing, names }
    }

    /// The id of its tenant.
    pub(super) fn tenant(sharing: Sharing) -> String {
        format!("{sharing:?}").to_lowercase()
    }

    pub(super) fn names(&self, owner: Owner) -> &Names {
        &self.names[usize::from(owner == Owner::SomebodyElse)]
    }
}
