//! `ferry runs`, `ferry exports` and `ferry completions` as people and scripts call them: the built binary as a child.

mod errors;
mod gate;
mod lists;
mod reconnect;
mod terminal;
mod watched;

use ferry_proto::v1 as pb;
use ferry_testkit::{Stage, TENANT, binary, canary};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// No command of a test takes longer.
const LONGEST: Duration = Duration::from_secs(120);

/// What a command has said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Its lines as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn has_failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is missing: {self:?}");
        }
        for word in ["Status {", "MetadataMap", "Error("] {
            assert!(!self.err.contains(word), "not for people: {self:?}");
        }
    }
}

/// The binary with a token for the stage's tenant.
pub(crate) fn ferry(stage: &Stage, role: &str, words: &[&str]) -> Command {
    ferry_at(stage.addr(), &stage.token(role), words)
}

pub(crate) fn ferry_at(addr: SocketAddr, token: &str, words: &[&str]) -> Command {
    let mut command = Command::new(binary("ferry"));
    command
        .args(words)
        .env_remove("FERRY_TOKEN_FILE")
        .env("FERRY_ADDR", addr.to_string())
        .env("FERRY_TENANT", TENANT)
        .env("FERRY_TOKEN", token)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end. Neither a token nor a person may be on the screen.
pub(crate) async fn said(mut command: Command) -> Said {
    let ended = tokio::time::timeout(LONGEST, command.output()).await.expect("a command ends").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let said = Said { code: ended.status.code(), out: text(ended.stdout), err: text(ended.stderr) };
    clean(&said.out);
    clean(&said.err);
    said
}

fn clean(text: &str) {
    let person = canary::email("");
    let person = person.split('.').next().unwrap();
    for secret in ["eyJ", canary::API_KEY, person] {
        assert!(!text.contains(secret), "`{secret}` is on the screen: {text}");
    }
}

/// The states of a run in the lines of `--output json`, as the log of the changes has them: none may come twice.
fn states(lines: &[Value]) -> Vec<String> {
    let mut states: Vec<String> = Vec::new();
    for run in lines.iter().map(|line| &line["run"]).filter(|run| run.is_object()) {
        let text = |name: &str| run[name].as_str().unwrap_or_default();
        let state = pb::run::State::from_str_name(text("state")).unwrap();
        let phase = pb::run::Phase::from_str_name(text("phase")).unwrap_or_default();
        let batches = run["batchesTotal"].as_str().unwrap_or("0");
        let warnings = run["warnings"].as_array().map_or(0, Vec::len);
        let seen = format!("{} {} {batches} {warnings} {}", state as i32, phase as i32, run["endTime"].is_string());
        if states.last() != Some(&seen) {
            assert!(!states.contains(&seen), "`{seen}` comes a second time after {states:?}");
            states.push(seen);
        }
    }
    states
}

fn snapshots(lines: &[Value]) -> usize {
    lines.iter().filter(|line| line["snapshotComplete"] == Value::Bool(true)).count()
}
