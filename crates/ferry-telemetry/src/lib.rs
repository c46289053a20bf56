//! What Ferry tells of itself: metrics and traces. No other crate knows OpenTelemetry, and none names a metric, a label,
//! a span or a field of one: [`names`] is the whole list, and `tests/golden/telemetry.txt` shows it.
//!
//! A [`Telemetry`] is handed to whoever has something to tell. One that is off costs a look at a boolean. Nothing is
//! told of a profile: what is counted by profiles is counted once a batch or once a run.
//!
//! Nothing that is told holds personal data: every value is a number or a word of the source, except the id of a run
//! and, where the operator asked for it, that of a tenant.

mod exchange;
mod ids;
mod metrics;
pub mod names;
mod rpc;
mod run;
mod scrape;
mod set_up;
mod trace_file;
mod words;

pub use exchange::{Asks, Exchange, answered, begun, no_answer, not_sent, trace_headers};
pub use metrics::{Account, Load, Removals, StreamOpen};
pub use rpc::{Rpc, started_run};
pub use run::{PhaseTrace, RunTrace};
pub use set_up::{Running, SetUpError, TelemetryConfig};
pub use words::{Committed, Delivered, Outcome, Phase, RequestClass, Step};

use metrics::Instruments;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use std::sync::Arc;

/// Where to tell things. Clones share it; the default one is off.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<Parts>>);

struct Parts {
    instruments: Option<Instruments>,
    tracer: Option<SdkTracer>,
    tenant_label: bool,
    propagate: bool,
}

impl Telemetry {
    fn new(parts: Parts) -> Self {
        Self(Some(Arc::new(parts)))
    }

    /// Whether anybody reads metrics, so that what is only measured for them need not be.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.instruments().is_some()
    }

    fn instruments(&self) -> Option<&Instruments> {
        self.0.as_ref()?.instruments.as_ref()
    }

    fn tracer(&self) -> Option<&SdkTracer> {
        self.0.as_ref()?.tracer.as_ref()
    }

    fn propagates(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.propagate)
    }

    /// The tenant as a label or a field, if the operator wants it told.
    fn tenant(&self, tenant: Option<&str>) -> Option<KeyValue> {
        let wanted = self.0.as_ref().is_some_and(|parts| parts.tenant_label);
        tenant.filter(|_| wanted).map(|tenant| KeyValue::new(names::TENANT, tenant.to_owned()))
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (counts, traces) = (self.counts(), self.tracer().is_some());
        f.debug_struct("Telemetry").field("counts", &counts).field("traces", &traces).finish()
    }
}

/// The trace and the span that this task works for, in hexadecimal, for a line of the log.
#[must_use]
pub fn current_ids() -> Option<(String, String)> {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
    })
}

/// Work that another task goes on with, for the same span.
pub fn inherited<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work.with_current_context()
}
