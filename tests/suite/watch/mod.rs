//! `WatchRuns` through the whole service: nothing is left out, nothing comes twice, and every stream has an end.

mod crash;
mod ends;
mod limits;
mod resume;
mod slow;
mod snapshot;
mod stop;
mod tokens;

use ferry_proto::v1 as pb;
use ferry_proto::v1::watch_runs_response::Event;
use ferry_testkit::{Client, Stage, StageOptions, TENANT, canary};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

/// How long a condition is waited for.
const SOON: Duration = Duration::from_secs(60);
/// No stream of a test lives longer.
const LONGEST: Duration = Duration::from_secs(240);
/// How soon a stream ends whose reader may not go on.
const FIVE: Duration = Duration::from_secs(5);
/// 20 batches.
const PEOPLE: usize = 5_000;

fn all() -> String {
    format!("tenants/{TENANT}/exports/-")
}

/// A stage with the export `weekly`, whose runs take some seconds.
pub(crate) async fn stage() -> (Stage, String) {
    stage_at(6.0).await
}

/// The same, at so many times the destination's speed.
pub(crate) async fn stage_at(time_scale: f64) -> (Stage, String) {
    let stage = Stage::with(StageOptions { time_scale }).await;
    stage.segment("people", "csv", canary::people(PEOPLE).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    (stage, export.name)
}

/// A stage with the export `weekly` of few people.
pub(crate) async fn small() -> (Stage, String) {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::people(5).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    (stage, export.name)
}

/// What is watched, and where it goes on.
#[derive(Debug, Clone, Default)]
struct Asked {
    parent: String,
    run: String,
    token: String,
}

impl Asked {
    fn all() -> Self {
        Self { parent: all(), ..Self::default() }
    }

    fn one(run: &str) -> Self {
        Self { run: run.to_owned(), ..Self::all() }
    }

    fn from(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }
}

/// One stream.
struct Watch(Streaming<pb::WatchRunsResponse>, Instant);

impl Watch {
    async fn open(client: &Client, asked: &Asked) -> Result<Self, Status> {
        let Asked { parent, run, token } = asked.clone();
        let request = pb::WatchRunsRequest { parent, run, resume_token: token };
        Ok(Self::of(client.clone().runs.watch_runs(request).await?.into_inner()))
    }

    fn of(stream: Streaming<pb::WatchRunsResponse>) -> Self {
        Self(stream, Instant::now())
    }

    /// The next message, or the end.
    async fn next(&mut self) -> Result<Option<pb::WatchRunsResponse>, Status> {
        // Heartbeats alone would go on for ever.
        assert!(self.1.elapsed() < LONGEST, "what is waited for does not come");
        let next = tokio::time::timeout(SOON, self.0.message()).await;
        let next = next.expect("a message comes soon")?;
        assert!(next.as_ref().is_none_or(|message| !message.resume_token.is_empty()), "every message has a token");
        Ok(next)
    }

    async fn must(&mut self) -> pb::WatchRunsResponse {
        self.next().await.unwrap().expect("the stream goes on")
    }

    /// All up to `snapshot_complete`: the runs, and the token.
    async fn snapshot(&mut self) -> (Vec<pb::Run>, String) {
        let mut runs = Vec::new();
        loop {
            let message = self.must().await;
            match message.event.unwrap() {
                Event::Run(run) => runs.push(run),
                Event::SnapshotComplete(complete) => {
                    assert!(complete);
                    return (runs, message.resume_token);
                }
                Event::Heartbeat(_) => panic!("a heartbeat in a snapshot"),
            }
        }
    }

    /// How it ends; what comes before is taken.
    async fn end(&mut self) -> Result<(), Status> {
        while self.next().await?.is_some() {}
        Ok(())
    }
}

fn run_of(message: &pb::WatchRunsResponse) -> Option<&pb::Run> {
    match message.event.as_ref() {
        Some(Event::Run(run)) => Some(run),
        _ => None,
    }
}

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().map_or_else(|| format!("{status:?}"), |info| info.reason))
}

/// The token in the details of an end.
fn last_token(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("{status:?} has no details"));
    info.metadata.get("resume_token").unwrap_or_else(|| panic!("{status:?} has no token")).clone()
}

/// A state as a watcher sees it, without what is only progress.
fn state_of(run: &pb::Run) -> String {
    let end = run.end_time.is_some();
    format!("{} {} {} {} {end}", run.state, run.phase, run.batches_total, run.warnings.len())
}

/// What a reader has seen of runs: it fails where one goes back.
#[derive(Default)]
struct Seen {
    /// By run: its states in order, each once.
    states: HashMap<String, Vec<String>>,
    newest: HashMap<String, pb::Run>,
    /// By run: all versions of it.
    versions: HashMap<String, BTreeSet<i64>>,
    progress: usize,
}

fn version(run: &pb::Run) -> i64 {
    run.etag.trim_matches('"').parse().unwrap_or_else(|_| panic!("an etag that is no version: {}", run.etag))
}

impl Seen {
    fn take(&mut self, run: &pb::Run) {
        self.versions.entry(run.name.clone()).or_default().insert(version(run));
        let before = self.newest.insert(run.name.clone(), run.clone());
        let is_newer = before.as_ref().is_none_or(|before| version(run) > version(before));
        if let Some(before) = before {
            assert!(version(run) >= version(&before), "{} went back:\n{before:?}\n{run:?}", run.name);
            let counters = |run: &pb::Run| {
                let counts = run.counts.unwrap_or_default();
                [counts.confirmed, counts.refused, counts.unknown, run.batches_settled]
            };
            let pairs = counters(&before).into_iter().zip(counters(run));
            assert!(pairs.into_iter().all(|(before, now)| before <= now), "counters went back:\n{before:?}\n{run:?}");
        }
        let state = state_of(run);
        let states = self.states.entry(run.name.clone()).or_default();
        if states.last() == Some(&state) {
            self.progress += 1;
        } else {
            // One that is taken up again may send again after it has settled: in a version of its own.
            assert!(is_newer, "{} is `{state}` in the version of another state, after {states:?}", run.name);
            states.push(state);
        }
    }

    fn of(&self, run: &str) -> &[String] {
        self.states.get(run).map_or(&[], Vec::as_slice)
    }

    fn has_ended(&self, run: &str) -> bool {
        self.newest.get(run).is_some_and(|run| run.end_time.is_some())
    }
}

/// The states of a run in the log, as a watcher sees them.
pub(crate) async fn on_record(stage: &Stage, run: &str) -> Vec<String> {
    let id = run.rsplit('/').next().unwrap();
    let query = format!(
        "SELECT json_extract(body, '$.state') || ' ' || COALESCE(json_extract(body, '$.phase'), '') || ' ' || \
         json_extract(body, '$.batches_total') || ' ' || json_array_length(json_extract(body, '$.warnings')) || ' ' || \
         CASE WHEN json_extract(body, '$.end_time') IS NULL THEN 'false' ELSE 'true' END \
         FROM run_changes WHERE run = '{id}' ORDER BY number"
    );
    let mut states: Vec<String> = column(stage, &query).await.iter().map(|words| in_numbers(words)).collect();
    states.dedup();
    states
}

/// Each change of a run was told as it was, not only what came of it: progress that comes soon after would hide one that
/// was left out.
async fn has_each_change(seen: &Seen, stage: &Stage, run: &str) {
    let id = run.rsplit('/').next().unwrap();
    let query = format!("SELECT CAST(json_extract(body, '$.version') AS TEXT) FROM run_changes WHERE run = '{id}'");
    let changes: BTreeSet<i64> = column(stage, &query).await.iter().map(|version| version.parse().unwrap()).collect();
    let left_out: Vec<_> = changes.difference(&seen.versions[run]).collect();
    assert!(!changes.is_empty() && left_out.is_empty(), "changes to the versions {left_out:?} of {run} were not told");
}

/// The words of the store as the numbers of the API.
fn in_numbers(words: &str) -> String {
    let mut parts: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let states = [
        "",
        "queued",
        "processing",
        "awaiting_approval",
        "paused",
        "cancelling",
        "succeeded",
        "failed",
        "skipped",
        "cancelled",
        "timed_out",
    ];
    let phases = ["", "reading", "planning", "sending", "settling"];
    parts[0] = states.iter().position(|state| *state == parts[0]).unwrap().to_string();
    parts[1] = phases.iter().position(|phase| *phase == parts[1].trim_matches('"')).unwrap().to_string();
    parts.join(" ")
}

async fn column(stage: &Stage, query: &str) -> Vec<String> {
    let path = stage.path("data/ferry.db").display().to_string();
    let database = Database::connect(format!("sqlite://{path}?mode=ro")).await.unwrap();
    let rows = database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap();
    let found = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    database.close().await.unwrap();
    found
}

/// Changes the database of a service that does not run.
async fn alter(stage: &Stage, statement: &str) {
    let path = stage.path("data/ferry.db").display().to_string();
    let database = Database::connect(format!("sqlite://{path}?mode=rw")).await.unwrap();
    database.execute_unprepared(statement).await.unwrap();
    database.close().await.unwrap();
}
