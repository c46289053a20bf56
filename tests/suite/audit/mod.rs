//! The record through the whole service: what is written down, who may read it, and how it is handed out.

mod canaries;
mod denied;
pub(crate) mod export;
mod list;
mod recipients;
mod retention;
mod revoked;
mod streams;
mod writes;

use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement};
use std::time::Duration;
use tonic::Status;
use tonic_types::StatusExt;

/// How long a condition is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(90);

fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| format!("{status:?}"), |info| info.reason)
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request();
    details.into_iter().flat_map(|found| found.field_violations).map(|violation| violation.field).collect()
}

pub(crate) fn acme() -> String {
    format!("tenants/{TENANT}")
}

/// All entries of a chain, the newest first.
pub(crate) async fn entries(client: &mut Client, parent: &str, filter: &str) -> Vec<pb::AuditEntry> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListAuditEntriesRequest {
            parent: parent.to_owned(),
            page_size: 500,
            page_token,
            filter: filter.to_owned(),
        };
        let page = client.audit.list_audit_entries(request).await.unwrap().into_inner();
        all.extend(page.audit_entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// The service's database, to read and to alter it as nobody may.
pub(crate) async fn database(stage: &Stage) -> DatabaseConnection {
    Database::connect(format!("sqlite://{}?mode=rw", stage.path("data/ferry.db").display())).await.unwrap()
}

async fn alter(stage: &Stage, statement: &str) {
    let database = database(stage).await;
    database.execute_unprepared(statement).await.unwrap();
    database.close().await.unwrap();
}

/// One column of what a query finds, as texts.
pub(crate) async fn column(stage: &Stage, query: &str) -> Vec<String> {
    let database = database(stage).await;
    let rows = database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap();
    let found = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    database.close().await.unwrap();
    found
}
