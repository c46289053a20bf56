//! Metrics and traces: all of them, where they are to go, and nothing of anybody in them.

mod list;
mod metrics;
mod otlp;
mod traces;
