//! Requests to destinations. Whoever sends one has an [`Exchange`]; what becomes of it is noted by the client, far below,
//! through the task's context: so the answer's status needs no way back up through all that lies between.

use crate::run::RunTrace;
use crate::words::{RequestClass, status_class};
use crate::{Telemetry, names};
use http::{HeaderMap, HeaderValue};
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

const UNASKED: u16 = 0;
const ASKED: u16 = 1;
const NOT_SENT: u16 = 2;
const NO_ANSWER: u16 = 3;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asks {
    /// The type of the destination.
    pub destination: &'static str,
    /// What it counts as.
    pub class: RequestClass,
    /// Which time it is, from 1.
    pub attempt: u32,
    /// Of the batch that it is about, if it is about one.
    pub batch: Option<u32>,
    /// How long it waited for its turn.
    pub waited: Duration,
}

/// A request on its way. It is told of when this is dropped.
#[derive(Debug)]
pub struct Exchange {
    telemetry: Telemetry,
    asks: Asks,
    begun: Instant,
    /// With the span, and with what the client notes.
    context: Option<Context>,
    note: Arc<AtomicU16>,
}

/// What the client finds in its task's context.
#[derive(Debug)]
struct Note {
    status: Arc<AtomicU16>,
    propagate: bool,
}

impl RunTrace {
    /// A request of the run.
    #[must_use]
    pub fn request(&self, asks: Asks) -> Exchange {
        Exchange::begin(&self.telemetry, self.context.as_ref(), asks)
    }
}

impl Telemetry {
    /// A request of the call that is being served.
    #[must_use]
    pub fn request(&self, asks: Asks) -> Exchange {
        Exchange::begin(self, Some(&Context::current()), asks)
    }
}

impl Exchange {
    fn begin(telemetry: &Telemetry, parent: Option<&Context>, asks: Asks) -> Self {
        let note = Arc::new(AtomicU16::new(UNASKED));
        let is_on = telemetry.tracer().is_some() || telemetry.counts();
        let context = is_on.then(|| {
            let parent = parent.cloned().unwrap_or_default();
            let traced = match telemetry.tracer() {
                Some(tracer) => {
                    let builder = tracer.span_builder(names::REQUEST.name).with_kind(SpanKind::Client);
                    let span = builder.with_attributes(fields(asks)).start_with_context(tracer, &parent);
                    parent.with_span(span)
                }
                None => parent,
            };
            traced.with_value(Note { status: Arc::clone(&note), propagate: telemetry.propagates() })
        });
        Self { telemetry: telemetry.clone(), asks, begun: Instant::now(), context, note }
    }

    /// What sends it and reads the answer.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        match &self.context {
            Some(context) => work.with_context(context.clone()).await,
            None => work.await,
        }
    }
}

fn fields(asks: Asks) -> impl Iterator<Item = KeyValue> {
    let wait = i64::try_from(asks.waited.as_millis()).unwrap_or(i64::MAX);
    let fields = [
        KeyValue::new(names::DESTINATION, asks.destination),
        KeyValue::new(names::CLASS, asks.class.word()),
        KeyValue::new(names::ATTEMPT, i64::from(asks.attempt)),
        KeyValue::new(names::WAIT_MS, wait),
    ];
    fields.into_iter().chain(asks.batch.map(|batch| KeyValue::new(names::BATCH, i64::from(batch))))
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(context) = &self.context else { return };
        let noted = self.note.load(Ordering::Relaxed);
        let status = match noted {
            UNASKED | NOT_SENT => "not_sent",
            ASKED | NO_ANSWER => "no_answer",
            status => status_class(status),
        };
        self.telemetry.count_request(self.asks.destination, self.asks.class, status, self.begun.elapsed());
        let span = context.span();
        span.set_attribute(KeyValue::new(names::STATUS, status));
        if noted > NO_ANSWER {
            span.set_attribute(KeyValue::new(names::HTTP_STATUS, i64::from(noted)));
        }
        if status != "2xx" {
            span.set_status(Status::error(status));
        }
        span.end();
    }
}

fn note(status: u16) {
    Context::map_current(|context| {
        if let Some(note) = context.get::<Note>() {
            note.status.store(status, Ordering::Relaxed);
        }
    });
}

/// A request is being sent.
pub fn begun() {
    note(ASKED);
}

/// It has an answer.
pub fn answered(status: u16) {
    note(status);
}

/// Certainly nothing of it arrived.
pub fn not_sent() {
    note(NOT_SENT);
}

/// It has no usable answer.
pub fn no_answer() {
    note(NO_ANSWER);
}

/// Tells the destination of the trace, where the operator asked for that.
pub fn trace_headers(headers: &mut HeaderMap) {
    Context::map_current(|context| {
        if !context.get::<Note>().is_some_and(|note| note.propagate) {
            return;
        }
        let span = context.span();
        let ids = span.span_context();
        if !ids.is_valid() {
            return;
        }
        let flags = u8::from(ids.is_sampled());
        let parent = format!("00-{}-{}-{flags:02x}", ids.trace_id(), ids.span_id());
        if let Ok(value) = HeaderValue::from_str(&parent) {
            headers.insert("traceparent", value);
        }
    });
}
