//! Calls: a span and a duration each.

use crate::{Telemetry, ids, names};
use http::HeaderMap;
use opentelemetry::context::FutureExt;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::time::Instant;

/// A call on its way. When it is dropped without an end, its caller has gone.
pub struct Rpc {
    telemetry: Telemetry,
    method: &'static str,
    begun: Instant,
    context: Option<Context>,
    tenant: Option<String>,
    ended: bool,
}

impl Telemetry {
    /// A call begins. Its span belongs to the trace that its caller names, if it names one.
    #[must_use]
    pub fn rpc(&self, method: &'static str, headers: &HeaderMap) -> Rpc {
        let context = self.tracer().map(|tracer| {
            let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(headers));
            let builder = tracer
                .span_builder(format!("ferry.v1.{method}"))
                .with_kind(SpanKind::Server)
                .with_attributes([KeyValue::new(names::METHOD, method)]);
            parent.with_span(builder.start_with_context(tracer, &parent))
        });
        Rpc { telemetry: self.clone(), method, begun: Instant::now(), context, tenant: None, ended: false }
    }
}

impl Rpc {
    /// What is done for it.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        match &self.context {
            Some(context) => work.with_context(context.clone()).await,
            None => work.await,
        }
    }

    /// The tenant that it is about, once it is known that its caller may know of it.
    pub fn about(&mut self, tenant: &str) {
        self.tenant = Some(tenant.to_owned());
    }

    /// It has its answer, or a stream its last word.
    pub fn ended(mut self, code: &'static str) {
        self.end(code);
    }

    fn end(&mut self, code: &'static str) {
        self.ended = true;
        self.telemetry.count_rpc(self.method, code, self.tenant.as_deref(), self.begun.elapsed());
        let Some(context) = &self.context else { return };
        let span = context.span();
        span.set_attribute(KeyValue::new(names::CODE, code));
        if let Some(tenant) = self.telemetry.tenant(self.tenant.as_deref()) {
            span.set_attribute(tenant);
        }
        if matches!(code, "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "UNAVAILABLE" | "DEADLINE_EXCEEDED") {
            span.set_status(Status::error(code));
        }
        span.end();
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        if !self.ended {
            self.end("CANCELLED");
        }
    }
}

/// The call that is being served has queued this run: its span leads on to the run's trace.
pub fn started_run(run: &str) {
    Context::map_current(|context| {
        if let Some(first) = ids::first_span(run).filter(|_| context.has_active_span()) {
            let span = context.span();
            span.set_attribute(KeyValue::new(names::RUN, run.to_owned()));
            span.add_link(first, Vec::new());
        }
    });
}

/// Of what a caller may say of its trace only the ids are taken: its state is a text of anybody's.
struct Parent<'a>(&'a HeaderMap);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then(|| self.0.get(key)?.to_str().ok()).flatten()
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
