//! Ids of traces and spans. The trace of a run has the run's id, so that whoever knows the one has the other, and a run
//! that is taken up again, by whichever process, goes on in its trace.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use std::cell::Cell;

thread_local! {
    /// The ids of the span that this thread begins right now, if they are not to be random.
    static NEXT: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Random ids, except for runs.
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT.get().map_or_else(|| self.0.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.get().map_or_else(|| self.0.new_span_id(), |(_, span)| span)
    }
}

/// Begins one span with these ids.
pub(crate) fn begin_with<T>(ids: (TraceId, SpanId), begin: impl FnOnce() -> T) -> T {
    NEXT.set(Some(ids));
    let begun = begin();
    NEXT.set(None);
    begun
}

/// The ids of a run's first span. A run's id is a UUID; anything else has none.
pub(crate) fn of_run(run: &str) -> Option<(TraceId, SpanId)> {
    let digits: String = run.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 {
        return None;
    }
    let id = u128::from_str_radix(&digits, 16).ok()?;
    // The lower half is random.
    let span = u64::try_from(id & u128::from(u64::MAX)).ok()?;
    Some((TraceId::from(id), SpanId::from(span))).filter(|_| id != 0 && span != 0)
}

/// The first span of a run, to be named from elsewhere.
pub(crate) fn first_span(run: &str) -> Option<SpanContext> {
    let (trace, span) = of_run(run)?;
    Some(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn the_trace_of_a_run_has_its_id() {
        let (trace, span) = of_run("0199c3f0-7c1e-7d3a-9b1c-2f4e6a8b0c1d").unwrap();
        assert_eq!(trace.to_string(), "0199c3f07c1e7d3a9b1c2f4e6a8b0c1d");
        assert_eq!(span.to_string(), "9b1c2f4e6a8b0c1d");
        for other in ["", "run", "00000000-0000-0000-0000-000000000000", "0199c3f0-7c1e-7d3a-9b1c-2f4e6a8b0c1z"] {
            assert_eq!(of_run(other), None, "{other}");
        }
    }
}
