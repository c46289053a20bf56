//! Who may use a connection, through the whole service: the rows of the feature table, the export user, tenants that
//! go, secrets by reference. The simulator's journal tells what was sent, and when.

mod database;
mod export_user;
#[allow(dead_code, reason = "the tests of ferry-secrets need more of it than these")]
#[path = "../../../crates/ferry-secrets/src/tests/kv_server.rs"]
mod kv_server;
mod probes;
mod references;
mod removals;
mod rows;
mod rows_secret;
mod shredded;
mod tenants;
mod tenants_removed;

use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::{Access, State};
use ferry_proto::v1::connection_settings::Settings;
use ferry_testkit::{Client, Stage, TENANT, adds_up, canary, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};
use tonic::Status;
use tonic_types::StatusExt;

/// How long a condition is waited for.
const SOON: Duration = Duration::from_secs(90);

pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| format!("{status:?}"), |info| info.reason)
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request();
    details.into_iter().flat_map(|found| found.field_violations).map(|violation| violation.field).collect()
}

/// What a run may be told to its end: the reason of its error.
fn cause(run: &pb::Run) -> &str {
    run.error.as_ref().map_or("", |error| &error.reason)
}

fn counts(run: &pb::Run) -> pb::RunCounts {
    let counts = run.counts.unwrap();
    assert!(adds_up(&counts), "{counts:?}");
    counts
}

fn people(count: usize, domain: &str) -> String {
    canary::csv((0..count).map(|number| format!("person.{number}@{domain},Person {number}\n")))
}

/// Somebody with one role in one tenant.
pub(crate) async fn caller_in(stage: &Stage, tenant: &str, subject: &str, role: &str) -> Client {
    let token = stage.sign(subject, &[("tenants", json!({ tenant: role }))]);
    Client::connect(stage.addr(), &token).await
}

/// Somebody with one role in the stage's tenant.
async fn caller(stage: &Stage, subject: &str, role: &str) -> Client {
    caller_in(stage, TENANT, subject, role).await
}

/// A connection to an account of the simulator, as a request would make it.
pub(crate) fn to_host(stage: &Stage, host: &str) -> pb::Connection {
    with(stage.connection(), |settings| host.clone_into(&mut settings.host))
}

fn with(mut connection: pb::Connection, set: impl FnOnce(&mut pb::ActiveCampaignConnection)) -> pb::Connection {
    let settings = connection.settings.as_mut().and_then(|settings| settings.settings.as_mut());
    let Some(Settings::Activecampaign(settings)) = settings else { unreachable!("every connection has them") };
    set(settings);
    connection
}

/// A connection that names its key instead of holding it.
fn by_reference(stage: &Stage, reference: &str) -> pb::Connection {
    with(stage.connection(), |settings| {
        settings.api_key.clear();
        reference.clone_into(&mut settings.secret_reference);
    })
}

fn shared(connection: pb::Connection) -> pb::Connection {
    pb::Connection { access: Access::AdministratorsAndContributors.into(), ..connection }
}

pub(crate) async fn create_in(
    client: &mut Client,
    tenant: &str,
    connection: pb::Connection,
    skip_verification: bool,
) -> Result<pb::Connection, Status> {
    let request = pb::CreateConnectionRequest {
        parent: format!("tenants/{tenant}"),
        connection_id: "newsletter".to_owned(),
        connection: Some(connection),
        skip_verification,
        ..Default::default()
    };
    Ok(client.connections.create_connection(request).await?.into_inner().connection.unwrap())
}

/// Makes `newsletter`, after the destination took its key.
async fn create(client: &mut Client, connection: pb::Connection) -> Result<pb::Connection, Status> {
    create_in(client, TENANT, connection, false).await
}

async fn read(client: &mut Client, name: &str) -> pb::Connection {
    let request = pb::GetConnectionRequest { name: name.to_owned() };
    client.connections.get_connection(request).await.unwrap().into_inner().connection.unwrap()
}

async fn list(client: &mut Client) -> Vec<pb::Connection> {
    let request = pb::ListConnectionsRequest { parent: format!("tenants/{TENANT}"), ..Default::default() };
    client.connections.list_connections(request).await.unwrap().into_inner().connections
}

/// Changes these paths of a connection.
async fn change(client: &mut Client, to: pb::Connection, paths: &[&str]) -> Result<pb::Connection, Status> {
    let request = pb::UpdateConnectionRequest {
        connection: Some(to),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    };
    Ok(client.connections.update_connection(request).await?.into_inner().connection.unwrap())
}

/// Gives a connection another typed key.
async fn set_key(client: &mut Client, name: &str, key: &str) -> Result<pb::Connection, Status> {
    let to = with(read(client, name).await, |settings| key.clone_into(&mut settings.api_key));
    change(client, to, &["settings.activecampaign.api_key"]).await
}

/// The outcome, and the connection afterwards.
async fn verify(client: &mut Client, name: &str) -> (String, pb::Connection) {
    let request = pb::VerifyConnectionRequest { name: name.to_owned() };
    let verified = client.connections.verify_connection(request).await.unwrap().into_inner();
    (verified.outcome, verified.connection.unwrap())
}

async fn bind(client: &mut Client, name: &str) -> pb::Connection {
    let request = pb::BindExportUserRequest { name: name.to_owned(), ..Default::default() };
    client.connections.bind_export_user(request).await.unwrap().into_inner().connection.unwrap()
}

async fn revoke(client: &mut Client, subject: &str) {
    let request = pb::RevokePrincipalRequest {
        name: format!("tenants/{TENANT}"),
        subject: subject.to_owned(),
        ..Default::default()
    };
    client.tenants.revoke_principal(request).await.unwrap();
}

async fn export(client: &mut Client, name: &str) -> pb::Export {
    let request = pb::GetExportRequest { name: name.to_owned() };
    client.exports.get_export(request).await.unwrap().into_inner().export.unwrap()
}

pub(crate) async fn start(client: &mut Client, export: &str) -> Result<pb::Run, Status> {
    let request = pb::RunExportRequest { name: export.to_owned(), ..Default::default() };
    Ok(client.exports.run_export(request).await?.into_inner().run.unwrap())
}

pub(crate) async fn ended(client: &Client, run: &str) -> pb::Run {
    eventually(SOON, || {
        let (mut client, name) = (client.clone(), run.to_owned());
        async move {
            let run = client.runs.get_run(pb::GetRunRequest { name }).await.unwrap().into_inner().run.unwrap();
            if run.end_time.is_some() { Ok(run) } else { Err(run.state()) }
        }
    })
    .await
}

/// Runs an export to its end.
async fn run(client: &mut Client, export: &str) -> pb::Run {
    let begun = start(client, export).await.unwrap();
    ended(client, &begun.name).await
}

fn needs_attention(connection: &pb::Connection, why: &str) {
    assert_eq!((connection.state(), connection.state_reason.as_str()), (State::NeedsAttention, why));
}

/// Nothing runs on the connection of an export, and nobody asks the destination for it.
async fn must_not_run(stage: &Stage, client: &mut Client, export: &str) {
    let before = journal(stage).len();
    let refused = start(client, export).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::FailedPrecondition, "CONNECTION_NOT_READY"));
    assert_eq!(journal(stage).len(), before, "the destination was asked");
}

/// Makes a tenant with the segment `people`.
pub(crate) async fn make_tenant(stage: &Stage, id: &str, csv: &str) {
    let tenant = pb::Tenant { display_name: format!("Tenant {id}"), ..Default::default() };
    let request = pb::CreateTenantRequest { tenant_id: id.to_owned(), tenant: Some(tenant), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    let folder = stage.path("segments").join(id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("people"), csv).unwrap();
    let catalogue = "[[segment]]\nid = \"people\"\ndisplay_name = \"People\"\nformat = \"csv\"\npath = \"people\"\n";
    std::fs::write(folder.join("catalogue.toml"), catalogue).unwrap();
}

/// Stores the export `weekly` of `people`.
pub(crate) async fn make_export(stage: &Stage, client: &mut Client, tenant: &str) -> pb::Export {
    let export = pb::Export {
        connection: format!("tenants/{tenant}/connections/newsletter"),
        segments: vec![format!("tenants/{tenant}/segments/people")],
        ..stage.export("newsletter", "people")
    };
    let request = pb::CreateExportRequest {
        parent: format!("tenants/{tenant}"),
        export_id: "weekly".to_owned(),
        export: Some(export),
        ..Default::default()
    };
    client.exports.create_export(request).await.unwrap().into_inner().export.unwrap()
}

/// A request that the simulator decided.
#[derive(Debug)]
struct Asked {
    /// When its head had been read, in milliseconds since 1970.
    at: f64,
    account: String,
    is_import: bool,
}

/// Every request of the stage's simulator so far.
fn journal(stage: &Stage) -> Vec<Asked> {
    let text = std::fs::read_to_string(stage.path("journal.jsonl")).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let records: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begin = records.iter().find_map(|record| record.get("start")).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let (zero, scale, from) = (number(&begin["unix_ms"]), number(&begin["time_scale"]), number(&begin["at"]));
    let asked = |request: &Value| Asked {
        at: zero + (number(&request["at"]) - from) / scale / 1_000.0,
        account: request["account"].as_str().unwrap_or_default().to_owned(),
        is_import: request["class"].as_str().unwrap().starts_with("import"),
    };
    records.iter().filter_map(|record| record.get("request")).map(asked).collect()
}

/// Now, as the journal counts.
fn clock() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() * 1_000.0
}

/// The names of all wrapped keys.
fn keys(stage: &Stage) -> BTreeSet<String> {
    let entries = std::fs::read_dir(stage.path("keys").join("store")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
