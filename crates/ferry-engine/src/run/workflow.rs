//! What the operational stream and the trace are told of a run: its begin, and each of its parts. Its end is told to the
//! stream by the store, which sees every one.

use super::finish::Ending;
use crate::context::Context;
use ferry_domain::event::{OPERATIONAL, WorkflowEvent};
use ferry_domain::{Run, Trigger};
use ferry_store::Lease;
use ferry_telemetry::{Phase, PhaseTrace};
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
    phase: Phase,
    trace: Option<PhaseTrace>,
    done: bool,
}

impl Task {
    pub(super) fn begin(ending: &Ending, phase: Phase) -> Self {
        let (shared, run) = (Arc::clone(&ending.shared), ending.run.name.to_string());
        let task = Self { shared, run, phase, trace: Some(ending.trace.phase(phase)), done: false };
        task.tell(None);
        task
    }

    /// It came to what it was for.
    pub(super) fn done(mut self) {
        self.done = true;
        if let Some(trace) = self.trace.take() {
            trace.done();
        }
    }

    fn tell(&self, ended: Option<&str>) {
        let task = Some(self.phase.word());
        let event = WorkflowEvent { time: self.shared.now(), run: &self.run, task, ended, more: &[] };
        tracing::info!(target: OPERATIONAL, line = event.line());
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.tell(Some(if self.done { "Successful" } else { "Failure" }));
    }
}
