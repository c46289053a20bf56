//! Copies of committed entries for the audit stream, and the ends of runs for the operational one and for the metrics.
//!
//! What a transaction appends is kept beside it until its commit, and dropped with what is undone. A crash between the
//! commit and the copy loses the copy alone.

use crate::ended_run::EndedRun;
use ferry_domain::Timestamp;
use ferry_domain::event::{AUDIT, AuditEvent, Ended, OPERATIONAL, WorkflowEvent};
use ferry_ledger::{Entry, EntryResult, Hash};
use ferry_telemetry::Telemetry;
use std::cell::RefCell;
use tracing::Level;

tokio::task_local! {
    /// Of the writer's task, which alone appends.
    static COPYING: Copying;
}

struct Copying {
    /// What waits for the commit.
    waiting: RefCell<Vec<Waiting>>,
    telemetry: Telemetry,
}

enum Waiting {
    Entry(Box<Entry>, Hash),
    Ended(EndedRun),
}

/// Runs the writer, so that what it appends can be copied once it is committed.
pub(crate) fn copying<F: Future>(telemetry: Telemetry, writer: F) -> impl Future<Output = F::Output> {
    COPYING.scope(Copying { waiting: RefCell::default(), telemetry }, writer)
}

/// An entry was appended, in the writer's task.
pub(crate) fn appended(entry: Entry, hash: Hash) {
    if tracing::enabled!(target: AUDIT, Level::INFO) || tracing::enabled!(target: OPERATIONAL, Level::INFO) {
        let entry = Waiting::Entry(Box::new(entry), hash);
        let _elsewhere = COPYING.try_with(|copying| copying.waiting.borrow_mut().push(entry));
    }
}

/// A run has ended, in the writer's task.
pub(crate) fn run_ended(run: EndedRun) {
    let _elsewhere = COPYING.try_with(|copying| {
        if copying.telemetry.counts() {
            copying.waiting.borrow_mut().push(Waiting::Ended(run));
        }
    });
}

/// How many wait, to come back to by [`undone`].
pub(crate) fn mark() -> usize {
    COPYING.try_with(|copying| copying.waiting.borrow().len()).unwrap_or(0)
}

/// What was appended since the mark was undone.
pub(crate) fn undone(mark: usize) {
    let _elsewhere = COPYING.try_with(|copying| copying.waiting.borrow_mut().truncate(mark));
}

/// All that waits was committed, or none of it.
pub(crate) fn ended(committed: bool) {
    let _elsewhere = COPYING.try_with(|copying| {
        for waiting in copying.waiting.take().iter().filter(|_| committed) {
            match waiting {
                Waiting::Entry(entry, hash) => tell(entry, hash),
                Waiting::Ended(run) => run.count(&copying.telemetry),
            }
        }
    });
}

fn tell(entry: &Entry, hash: &Hash) {
    let hash = ferry_domain::hex::encode(hash);
    let time = Timestamp::from_millis(entry.time_ms);
    let event = AuditEvent {
        time,
        tenant: &entry.tenant,
        number: entry.number,
        kind: &entry.kind,
        actor: &entry.actor,
        role: &entry.actor_role,
        required: &entry.required_role,
        object: &entry.object,
        ended: match entry.result {
            EntryResult::Ok => Ended::Success,
            EntryResult::Denied => Ended::ClientError,
            EntryResult::Failed => Ended::Failure,
        },
        reason: &entry.reason,
        correlation_id: &entry.correlation_id,
        origin: &entry.origin,
        hash: &hash,
        details: &entry.details,
    };
    tracing::info!(target: AUDIT, line = event.line());
    if entry.kind == "RUN_ENDED" {
        let state = entry.details.get("state").map_or("", String::as_str);
        let result = match state {
            "succeeded" => "Successful",
            "skipped" | "cancelled" => "Skipped",
            _ => "Failure",
        };
        let more = [("runState", state), ("error", entry.reason.as_str())];
        let event = WorkflowEvent { time, run: &entry.object, task: None, ended: Some(result), more: &more };
        tracing::info!(target: OPERATIONAL, line = event.line());
    }
}
