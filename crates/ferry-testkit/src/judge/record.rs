//! What Ferry says of a run: its rows, straight from the database file, and the rows that it streams as turned down.

use super::chain::Chain;
use crate::Stage;
use ferry_proto::v1 as pb;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, QueryResult, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A request that Ferry has on record.
pub(super) struct Attempt {
    pub(super) id: String,
    pub(super) seq: u32,
    /// Of the request's body, in hex.
    pub(super) digest: String,
    /// What came of it; nothing while that is not known.
    pub(super) outcome: Option<String>,
    pub(super) remote_id: Option<String>,
}

/// A batch that Ferry has on record.
pub(super) struct Batch {
    pub(super) parent: Option<u32>,
    /// Whether it takes people off who left.
    pub(super) removes: bool,
    pub(super) state: String,
    pub(super) may_have_arrived: bool,
    /// Offsets of the rows in its requests, in their order.
    pub(super) kept: Vec<u32>,
    pub(super) refused: BTreeSet<u32>,
}

/// See the module.
pub(super) struct Record {
    pub(super) run: pb::Run,
    pub(super) batches: BTreeMap<u32, Batch>,
    /// Of this run, in the order of their intents.
    pub(super) attempts: Vec<Attempt>,
    /// The ids of all runs' attempts.
    pub(super) all_attempts: BTreeSet<String>,
    /// Rows that the destination refused: their addresses, and whether each has a reason.
    pub(super) refused: Vec<(String, bool)>,
    /// Rows that Ferry turned down.
    pub(super) rejected: u64,
    /// The run's own chain of entries.
    pub(super) chain: Chain,
}

/// The outcome of each attempt on record, none for one that is open.
pub async fn attempts_on_record(stage: &Stage) -> Vec<Option<String>> {
    let rows = all(&open(stage).await, "SELECT outcome FROM attempts ORDER BY id").await;
    rows.iter().map(|row| text(row, "outcome")).collect()
}

/// Attempts on record without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The simulator has decided them.
    pub decided: usize,
    /// It has not.
    pub undecided: usize,
}

/// What is open at this moment, by both records.
pub async fn open_attempts(stage: &Stage) -> Open {
    let rows = all(&open(stage).await, "SELECT id FROM attempts WHERE outcome IS NULL").await;
    let history = ferry_sim::read_history(&stage.journal()).unwrap();
    let seen: BTreeSet<&String> = history.requests.iter().filter_map(|request| request.attempt.as_ref()).collect();
    let decided = rows.iter().filter_map(|row| text(row, "id")).filter(|id| seen.contains(id)).count();
    Open { decided, undecided: rows.len() - decided }
}

/// One number that a statement on Ferry's database answers with.
pub async fn number_on_record(stage: &Stage, statement: &str) -> i64 {
    let rows = all(&open(stage).await, statement).await;
    rows.first().map_or(0, |row| row.try_get_by_index::<Option<i64>>(0).unwrap().unwrap_or(0))
}

/// Every row of every table, for comparison.
pub(super) async fn all_rows(stage: &Stage) -> BTreeMap<String, BTreeSet<String>> {
    let database = open(stage).await;
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut found = BTreeMap::new();
    for table in all(&database, tables).await.iter().filter_map(|row| text(row, "name")) {
        let columns = all(&database, &format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let mut line = "''".to_owned();
        for column in columns.iter().filter_map(|row| text(row, "name")) {
            write!(line, " || quote(\"{column}\") || '|'").unwrap();
        }
        let rows = all(&database, &format!("SELECT {line} AS line FROM \"{table}\"")).await;
        found.insert(table, rows.iter().filter_map(|row| text(row, "line")).collect());
    }
    found
}

impl Record {
    pub(super) async fn read(stage: &Stage, name: &str) -> Self {
        let run = stage.get_run(name).await;
        let database = open(stage).await;
        let batches = of_run(&database, "SELECT * FROM batches WHERE run = ?", &run.uid).await;
        let attempts = of_run(&database, "SELECT * FROM attempts WHERE run = ? ORDER BY intent_time, id", &run.uid);
        let attempts = attempts.await.iter().map(attempt).collect();
        let plan = of_run(&database, "SELECT planned FROM plans WHERE run = ?", &run.uid).await;
        let planned = plan.first().map_or(0, |row| row.try_get("", "planned").unwrap());
        let ids = all(&database, "SELECT id FROM attempts").await;
        let (refused, rejected) = turned_down(stage, name).await;
        let chain = Chain::read(&database, name, &run.uid).await;
        Self {
            run,
            batches: batches.iter().map(|row| (number(row, "seq"), batch(row, planned))).collect(),
            attempts,
            all_attempts: ids.iter().filter_map(|row| text(row, "id")).collect(),
            refused,
            rejected,
            chain,
        }
    }
}

/// Changes Ferry's database behind its back.
pub async fn change_database(stage: &Stage, statement: &str) {
    connect(stage, "rw").await.execute_unprepared(statement).await.unwrap();
}

/// Keeps Ferry from writing for a while.
pub async fn held_database(stage: &Stage, time: std::time::Duration) {
    let database = connect(stage, "rw").await;
    database.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    tokio::time::sleep(time).await;
    database.execute_unprepared("ROLLBACK").await.unwrap();
}

pub(super) async fn open(stage: &Stage) -> DatabaseConnection {
    connect(stage, "ro").await
}

async fn connect(stage: &Stage, mode: &str) -> DatabaseConnection {
    let path = stage.path("data").join("ferry.db");
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode={mode}", path.display()));
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

pub(super) async fn all(database: &DatabaseConnection, statement: &str) -> Vec<QueryResult> {
    database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, statement)).await.unwrap()
}

pub(super) async fn of_run(database: &DatabaseConnection, statement: &str, run: &str) -> Vec<QueryResult> {
    let statement = Statement::from_sql_and_values(DatabaseBackend::Sqlite, statement, [run.into()]);
    database.query_all_raw(statement).await.unwrap()
}

fn text(row: &QueryResult, column: &str) -> Option<String> {
    row.try_get("", column).unwrap()
}

fn number(row: &QueryResult, column: &str) -> u32 {
    row.try_get::<i64>("", column).unwrap().try_into().unwrap()
}

pub(super) fn number_of(row: &QueryResult, column: &str) -> u64 {
    row.try_get::<i64>("", column).unwrap().try_into().unwrap()
}

fn attempt(row: &QueryResult) -> Attempt {
    let digest: Vec<u8> = row.try_get("", "body_digest").unwrap();
    Attempt {
        id: row.try_get("", "id").unwrap(),
        seq: number(row, "seq"),
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        outcome: text(row, "outcome"),
        remote_id: text(row, "remote_id"),
    }
}

fn batch(row: &QueryResult, planned: i64) -> Batch {
    let json = |column: &str| -> serde_json::Value { serde_json::from_str(&text(row, column).unwrap()).unwrap() };
    let offset = |value: &serde_json::Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let removed: BTreeSet<u32> = json("removed").as_array().unwrap().iter().map(offset).collect();
    let parent: Option<i64> = row.try_get("", "parent").unwrap();
    Batch {
        parent: parent.map(|parent| parent.try_into().unwrap()),
        removes: row.try_get::<i64>("", "first").unwrap() >= planned,
        state: row.try_get("", "state").unwrap(),
        may_have_arrived: row.try_get("", "may_have_arrived").unwrap(),
        kept: (0..number(row, "rows")).filter(|offset| !removed.contains(offset)).collect(),
        refused: json("refused").as_array().unwrap().iter().map(|row| offset(&row["offset"])).collect(),
    }
}

/// All pages of `ListRejectedProfiles`.
async fn turned_down(stage: &Stage, run: &str) -> (Vec<(String, bool)>, u64) {
    let mut client = stage.client("administrator").await;
    let (mut refused, mut rejected, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let request = pb::ListRejectedProfilesRequest { name: run.to_owned(), page_size: 1_000, page_token };
        let page = client.runs.list_rejected_profiles(request).await.unwrap().into_inner();
        for row in page.rejected_profiles {
            match row.stage() {
                pb::rejected_profile::Stage::Refused => {
                    refused.push((row.email.to_lowercase(), !row.reason.is_empty()));
                }
                pb::rejected_profile::Stage::Rejected => rejected += 1,
                pb::rejected_profile::Stage::Excluded | pb::rejected_profile::Stage::Unspecified => {}
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (refused, rejected);
        }
    }
}
