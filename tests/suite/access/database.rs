//! What the database says of somebody, whichever table says it.

use ferry_testkit::Stage;
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement};
use std::collections::BTreeSet;

async fn words(database: &DatabaseConnection, query: String) -> Vec<String> {
    let rows = database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Tables in which a text stands in any column. Opens the file read-only, beside the service or without it.
pub(super) async fn tables_that_name(stage: &Stage, text: &str) -> BTreeSet<String> {
    let path = stage.path("data/ferry.db").display().to_string();
    let database = Database::connect(format!("sqlite://{path}?mode=ro")).await.unwrap();
    let mut naming = BTreeSet::new();
    for table in words(&database, "SELECT name FROM sqlite_master WHERE type = 'table'".to_owned()).await {
        let columns = words(&database, format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let any: Vec<String> =
            columns.iter().map(|column| format!("instr(CAST(\"{column}\" AS TEXT), '{text}') > 0")).collect();
        let query = format!("SELECT '{table}' FROM \"{table}\" WHERE {} LIMIT 1", any.join(" OR "));
        naming.extend(words(&database, query).await);
    }
    database.close().await.unwrap();
    naming
}
