//! `ferry apply` and `ferry export-config`: the built binary against the running service.

mod example;
mod files;
mod meanwhile;
mod rights;
mod twice;

use crate::command_line::{Said, ferry, said};
use ferry_proto::v1 as pb;
use ferry_testkit::canary::people;
use ferry_testkit::{Client, HOST, Stage, TENANT};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Where the key of new connections is.
const KEY: &str = "AC_KEY";

fn acme() -> String {
    format!("tenants/{TENANT}")
}

/// A stage with two segments of people.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3).as_bytes());
    stage.segment("others", "csv", people(2).as_bytes());
    stage
}

fn connection(id: &str) -> String {
    format!(
        "  {id}:\n    display_name: Newsletter\n    activecampaign: {{host: {HOST}, api_key_env: {KEY}}}\n    \
         access: administrators_and_contributors\n    consent: 2026-11-01\n"
    )
}

fn export(id: &str, more: &str) -> String {
    format!(
        "  {id}:\n    display_name: Export {id}\n    connection: newsletter\n    segments: [people]\n    \
         activecampaign: {{list_id: 3}}\n    field_mappings: {{email: email, first_name: first_name}}\n{more}"
    )
}

/// A file with the connection `newsletter` and these exports.
fn file(exports: &[String]) -> String {
    format!("version: 1\nconnections:\n{}exports:\n{}", connection("newsletter"), exports.concat())
}

fn written(stage: &Stage, text: &str) -> PathBuf {
    let path = stage.path("tenant.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Applies a text with these words besides.
async fn apply(stage: &Stage, role: &str, text: &str, words: &[&str]) -> Said {
    let path = written(stage, text);
    let mut command = ferry(stage, role, &["apply", "-f", path.to_str().unwrap()]);
    command.args(words).env(KEY, &stage.api_key);
    said(command).await
}

async fn done(stage: &Stage, text: &str) {
    let applied = apply(stage, "administrator", text, &["--yes"]).await;
    assert_eq!((applied.code, applied.err.as_str()), (Some(0), ""), "{applied:?}");
}

async fn exports(client: &mut Client) -> Vec<pb::Export> {
    let request = pb::ListExportsRequest { parent: acme(), page_size: 500, ..Default::default() };
    client.exports.list_exports(request).await.unwrap().into_inner().exports
}

async fn connections(client: &mut Client) -> Vec<pb::Connection> {
    let request = pb::ListConnectionsRequest { parent: acme(), page_size: 500, ..Default::default() };
    client.connections.list_connections(request).await.unwrap().into_inner().connections
}

/// All that a write would change: what is there with its etags and times, and how many entries the record has.
async fn everything(stage: &Stage) -> String {
    let mut client = stage.client("administrator").await;
    let mut text = String::new();
    for export in exports(&mut client).await {
        let _always = writeln!(text, "{} {} {:?} {}", export.name, export.etag, export.update_time, export.updated_by);
    }
    for one in connections(&mut client).await {
        let _always = writeln!(text, "{} {} {:?} {:?}", one.name, one.etag, one.update_time, one.state());
    }
    let request = pb::GetRefreshScheduleRequest { name: format!("{}/refreshSchedule", acme()) };
    let refresh = client.refresh.get_refresh_schedule(request).await.unwrap().into_inner().refresh_schedule.unwrap();
    let _always = writeln!(text, "{} {:?}", refresh.etag, refresh.update_time);
    let mut request = pb::ListAuditEntriesRequest { parent: acme(), page_size: 500, ..Default::default() };
    let mut entries = 0;
    loop {
        let page = client.audit.list_audit_entries(request.clone()).await.unwrap().into_inner();
        entries += page.audit_entries.len();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let _always = writeln!(text, "{entries} entries");
    text
}
