//! A watch goes on when its connection is cut and when the service is another one: no gap, and nothing twice.

use super::gate::Gate;
use super::{LONGEST, clean, ferry, ferry_at, said, snapshots, states};
use crate::watch::{on_record, stage};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A command that is read line by line.
struct Reading {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    read: Vec<Value>,
}

impl Reading {
    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, read: Vec::new() }
    }

    /// Reads until a line is as wanted; false if the output ends before.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> bool {
        loop {
            let next = tokio::time::timeout(LONGEST, self.lines.next_line()).await.expect("a line comes");
            let Some(line) = next.unwrap() else { return false };
            clean(&line);
            self.read.push(serde_json::from_str(&line).unwrap());
            if self.read.last().is_some_and(&wanted) {
                return true;
            }
        }
    }

    /// All lines, the exit code and what it said of itself.
    async fn end(mut self) -> (Vec<Value>, Option<i32>, String) {
        self.until(|_| false).await;
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
        clean(&err);
        (self.read, self.child.wait().await.unwrap().code(), err)
    }
}

fn is_sending(line: &Value) -> bool {
    line["run"]["phase"] == "PHASE_SENDING"
}

#[tokio::test]
async fn a_watch_goes_on_after_the_service_was_killed_and_started_again() {
    let (mut stage, export) = stage().await;
    // The same port at each start.
    let listen = format!("--listen={}", stage.addr());
    stage.restart_with(&[&listen, "--tenant-rate=100000", "--tenant-burst=100000"]).await;
    let run = stage.run(&export).await;
    let words = ["runs", "watch", "--run", &run.name, "--output", "json"];
    let mut reading = Reading::of(ferry(&stage, "viewer", &words));
    assert!(reading.until(is_sending).await);
    stage.kill();
    stage.start().await;
    let (lines, code, err) = reading.end().await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(err.matches("connecting again").count(), 1, "said once: {err}");
    assert_eq!(snapshots(&lines), 1, "by its token, not from the beginning");
    let record = on_record(&stage, &run.name).await;
    assert!(record.ends_with(&states(&lines)), "{:?} of {record:?}", states(&lines));
}

#[tokio::test]
async fn what_happened_while_the_connection_was_cut_is_told_afterwards() {
    let (stage, export) = stage().await;
    let gate = Gate::before(stage.addr()).await;
    let run = stage.run(&export).await;
    let words = ["runs", "watch", "--run", &run.name, "--output", "json"];
    let mut reading = Reading::of(ferry_at(gate.addr(), &stage.token("viewer"), &words));
    assert!(reading.until(is_sending).await);
    gate.shut();
    stage.ended(&run.name, LONGEST).await;
    gate.open();
    let (lines, code, err) = reading.end().await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(snapshots(&lines), 1, "by its token, not from the beginning");
    let record = on_record(&stage, &run.name).await;
    let seen = states(&lines);
    assert!(record.ends_with(&seen), "{seen:?} of {record:?}");
    // From being sent on there is more than the end.
    let sending = seen.iter().position(|state| state.starts_with("2 3 ")).unwrap();
    assert!(seen.len() > sending + 2, "the settling is between: {seen:?}");
}

/// A machine that is gone closes no connection.
#[tokio::test]
async fn who_is_silent_for_forty_seconds_is_not_there() {
    if !ferry_testkit::asked() {
        return;
    }
    let (stage, export) = stage().await;
    let run = stage.run(&export).await;
    let words = ["runs", "watch", "--run", &run.name, "--output", "json"];
    let mut reading = Reading::of(ferry(&stage, "viewer", &words));
    assert!(reading.until(is_sending).await);
    stage.service().signal("STOP");
    tokio::time::sleep(Duration::from_secs(45)).await;
    stage.service().signal("CONT");
    let (lines, code, err) = reading.end().await;
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("did not answer within 40 s; connecting again"), "{err}");
    assert_eq!(snapshots(&lines), 1);
}

#[tokio::test]
async fn who_does_not_want_to_wait_is_told_that_the_connection_is_cut() {
    let (stage, export) = stage().await;
    let gate = Gate::before(stage.addr()).await;
    let run = stage.run(&export).await;
    let words = ["runs", "watch", "--run", &run.name, "--output", "json", "--reconnect-for", "0"];
    let mut reading = Reading::of(ferry_at(gate.addr(), &stage.token("viewer"), &words));
    assert!(reading.until(is_sending).await);
    gate.shut();
    let (_, code, err) = reading.end().await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("--reconnect-for"), "{err}");
}

/// A new token in the file is taken up; the old one expires while the stream is open.
#[tokio::test]
async fn a_watch_goes_on_with_a_token_that_was_renewed() {
    let (stage, export) = stage().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Times may differ by 30 s, so it is good for two seconds more.
    let claims =
        [("exp", (now - 28).into()), ("iat", (now - 60).into()), ("tenants", serde_json::json!({"acme": "viewer"}))];
    std::fs::write(&file, stage.sign("viewer", &claims)).unwrap();
    let tenant = ["runs", "watch", "--output", "json"];
    let mut command = ferry(&stage, "viewer", &tenant);
    command.env_remove("FERRY_TOKEN").arg("--token-file").arg(&file);
    let mut reading = Reading::of(command);
    assert!(reading.until(|line| line["snapshotComplete"].is_boolean()).await);
    std::fs::write(&file, stage.token("viewer")).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let run = stage.run(&export).await;
    let ended = |line: &Value| line["run"]["name"] == run.name.as_str() && line["run"]["endTime"].is_string();
    assert!(reading.until(ended).await, "it is watched on");
    assert_eq!(snapshots(&reading.read), 1);
    reading.child.start_kill().unwrap();
    let (_, _, err) = reading.end().await;
    assert_eq!(err.matches("connecting again").count(), 1, "{err}");
}

#[tokio::test]
async fn an_expired_token_ends_a_watch_and_says_so() {
    let (stage, _) = stage().await;
    let claims = [("exp", 1_000_000_000.into()), ("iat", 999_999_000.into())];
    let token = stage.sign("viewer", &claims);
    let said = said(ferry_at(stage.addr(), &token, &["runs", "watch"])).await;
    said.has_failed(1, &["TOKEN_INVALID", "FERRY_TOKEN expired at 2001-09-09T01:46:40.000Z"]);
}
