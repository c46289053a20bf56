//! What the operational stream is told of a run: its begin, and each of its parts. Its end is told by the store, which
//! sees every one.

use super::finish::Ending;
use crate::context::Context;
use ferry_domain::event::{OPERATIONAL, WorkflowEvent};
use ferry_domain::{Run, Trigger};
use ferry_store::Lease;
use std::sync::Arc;

/// A run is carried for the first time. A run that is taken up again goes on with what was told of it.
pub(super) fn begun(shared: &Context, lease: &Lease, run: &Run, full_resync: bool) {
    if lease.epoch() > 1 {
        return;
    }
    let kind = if full_resync { "full" } else { "incremental" };
    let by = match run.trigger {
        Trigger::OnDemand => "OnDemand",
        Trigger::Schedule => "Scheduled",
        Trigger::Refresh => "Refresh",
        Trigger::Retraction => "Retraction",
        Trigger::Erasure => "Erasure",
    };
    let more = [("workflowType", kind), ("workflowSubmissionKind", by)];
    let name = run.name.to_string();
    let event = WorkflowEvent { time: shared.now(), run: &name, task: None, ended: None, more: &more };
    tracing::info!(target: OPERATIONAL, line = event.line());
}

/// A part of a run. It ends when this is dropped: as a failure unless [`Task::done`] was called, whatever ended it.
pub(super) struct Task {
    shared: Arc<Context>,
    run: String,
    name: &'static str,
    done: bool,
}

impl Task {
    pub(super) fn begin(ending: &Ending, name: &'static str) -> Self {
        let task = Self { shared: Arc::clone(&ending.shared), run: ending.run.name.to_string(), name, done: false };
        task.tell(None);
        task
    }

    /// It came to what it was for.
    pub(super) fn done(mut self) {
        self.done = true;
    }

    fn tell(&self, ended: Option<&str>) {
        let event = WorkflowEvent { time: self.shared.now(), run: &self.run, task: Some(self.name), ended, more: &[] };
        tracing::info!(target: OPERATIONAL, line = event.line());
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.tell(Some(if self.done { "Successful" } else { "Failure" }));
    }
}
