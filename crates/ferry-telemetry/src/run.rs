//! Runs: one trace each, whoever carries it and how often.

use crate::words::Phase;
use crate::{Telemetry, ids, names};
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};

/// The trace of a run, while this process carries it. Its span ends with [`RunTrace::ended`].
#[derive(Debug, Clone)]
pub struct RunTrace {
    pub(crate) telemetry: Telemetry,
    pub(crate) context: Option<Context>,
    tenant: String,
}

/// A part of a run. It ends when this is dropped: as not done unless [`PhaseTrace::done`] was called.
#[derive(Debug)]
pub struct PhaseTrace {
    context: Option<Context>,
    done: bool,
}

impl Telemetry {
    /// A run is carried, for the first time or again.
    #[must_use]
    pub fn run(&self, run: &str, tenant: &str, epoch: i64) -> RunTrace {
        let context = self.tracer().map(|tracer| {
            let fields = [KeyValue::new(names::RUN, run.to_owned()), KeyValue::new(names::EPOCH, epoch)];
            let fields = fields.into_iter().chain(self.tenant(Some(tenant)));
            let builder = tracer.span_builder(names::RUN_SPAN.name).with_attributes(fields);
            let nothing = Context::new();
            let span = match (ids::of_run(run), ids::first_span(run)) {
                (Some(first), _) if epoch <= 1 => {
                    ids::begin_with(first, || builder.start_with_context(tracer, &nothing))
                }
                (_, Some(first)) => builder.start_with_context(tracer, &nothing.with_remote_span_context(first)),
                (_, None) => builder.start_with_context(tracer, &nothing),
            };
            nothing.with_span(span)
        });
        RunTrace { telemetry: self.clone(), context, tenant: tenant.to_owned() }
    }
}

impl RunTrace {
    /// What is done for it.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        match &self.context {
            Some(context) => work.with_context(context.clone()).await,
            None => work.await,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Where to tell more of it.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// A part of it begins.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> PhaseTrace {
        let tracer = self.telemetry.tracer();
        let context = tracer
            .zip(self.context.as_ref())
            .map(|(tracer, run)| run.with_span(tracer.span_builder(phase.word()).start_with_context(tracer, run)));
        PhaseTrace { context, done: false }
    }

    /// It has come to this state, or is left to another time with nothing.
    pub fn ended(&self, state: Option<&'static str>) {
        let Some(context) = &self.context else { return };
        let span = context.span();
        if let Some(state) = state {
            span.set_attribute(KeyValue::new(names::STATE, state));
        }
        if matches!(state, Some("failed" | "timed_out") | None) {
            span.set_status(Status::error(state.unwrap_or("set aside")));
        }
        span.end();
    }
}

impl PhaseTrace {
    /// It came to what it was for.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for PhaseTrace {
    fn drop(&mut self) {
        let Some(context) = &self.context else { return };
        let outcome = if self.done { "done" } else { "not_done" };
        context.span().set_attribute(KeyValue::new(names::OUTCOME, outcome));
        context.span().end();
    }
}
