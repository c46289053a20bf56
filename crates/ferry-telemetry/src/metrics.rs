//! The instruments, and what is counted with them.

use crate::Telemetry;
use crate::names::{self, Metric};
use crate::words::{Committed, Delivered, Outcome, RequestClass, Step};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use std::time::Duration;

/// Seconds of what takes from under a millisecond to half a minute: calls, commits, answers.
const SHORT: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds of what takes up to hours: waits that a destination asks for, batches under way.
const LONG: [f64; 12] = [0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];

/// One for each metric of the list.
pub(crate) struct Instruments {
    rpc_duration: Histogram<f64>,
    rpc_streams: UpDownCounter<i64>,
    runs: Gauge<u64>,
    queue_age: Gauge<f64>,
    runs_ended: Counter<u64>,
    profiles: Counter<u64>,
    removals: Counter<u64>,
    progress: Counter<u64>,
    requests: Counter<u64>,
    request_duration: Histogram<f64>,
    request_wait: Histogram<f64>,
    ceiling_use: Gauge<f64>,
    settling_lag: Histogram<f64>,
    commit_duration: Histogram<f64>,
    deliveries: Counter<u64>,
    checkpoint_age: Gauge<f64>,
    checkpoint_due: Gauge<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter = |of: Metric| meter.u64_counter(of.name).with_unit(of.unit).with_description(of.text).build();
        let gauge = |of: Metric| meter.f64_gauge(of.name).with_unit(of.unit).with_description(of.text).build();
        let whole = |of: Metric| meter.u64_gauge(of.name).with_unit(of.unit).with_description(of.text).build();
        let histogram = |of: Metric, bounds: &[f64]| {
            let builder = meter.f64_histogram(of.name).with_unit(of.unit).with_description(of.text);
            builder.with_boundaries(bounds.to_vec()).build()
        };
        let streams = names::RPC_STREAMS;
        let up_down = meter.i64_up_down_counter(streams.name).with_unit(streams.unit).with_description(streams.text);
        Self {
            rpc_duration: histogram(names::RPC_DURATION, &SHORT),
            rpc_streams: up_down.build(),
            runs: whole(names::RUNS),
            queue_age: gauge(names::QUEUE_AGE),
            runs_ended: counter(names::RUNS_ENDED),
            profiles: counter(names::PROFILES),
            removals: counter(names::REMOVALS),
            progress: counter(names::PROGRESS),
            requests: counter(names::REQUESTS),
            request_duration: histogram(names::REQUEST_DURATION, &SHORT),
            request_wait: histogram(names::REQUEST_WAIT, &LONG),
            ceiling_use: gauge(names::CEILING_USE),
            settling_lag: histogram(names::SETTLING_LAG, &LONG),
            commit_duration: histogram(names::COMMIT_DURATION, &SHORT),
            deliveries: counter(names::DELIVERIES),
            checkpoint_age: gauge(names::CHECKPOINT_AGE),
            checkpoint_due: whole(names::CHECKPOINT_DUE),
        }
    }
}

/// What a run that has ended comes to.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Its state.
    pub state: &'static str,
    /// Whose it is.
    pub tenant: &'a str,
    /// Its members; nothing for a dry run.
    pub members: &'a [(Outcome, u64)],
    /// Its removals; nothing for a dry run.
    pub removals: Removals,
}

/// Removals by outcome.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "the buckets of an account")]
pub struct Removals {
    pub confirmed: u64,
    pub refused: u64,
    pub unknown: u64,
    pub not_sent: u64,
}

/// How the service stands, as a look finds it.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// Runs that have not ended, for each state that is no end.
    pub runs: &'a [(&'static str, u64)],
    /// The age of the oldest queued run.
    pub queue_age: Duration,
    /// The type of a destination, and how much of its limit the busiest account uses.
    pub ceiling_use: (&'static str, f64),
    /// The age of the last signed checkpoint, if there is one.
    pub checkpoint_age: Option<Duration>,
    /// Whether there may be entries that it does not cover.
    pub checkpoint_due: bool,
}

impl Telemetry {
    pub(crate) fn count_rpc(&self, method: &'static str, code: &'static str, tenant: Option<&str>, took: Duration) {
        let Some(instruments) = self.instruments() else { return };
        let labels = [KeyValue::new(names::METHOD, method), KeyValue::new(names::CODE, code)];
        instruments.rpc_duration.record(took.as_secs_f64(), &self.by_tenant(labels, tenant));
    }

    /// A stream is open until what this returns is dropped.
    pub fn stream_open(&self, method: &'static str) -> StreamOpen {
        self.count_stream(method, 1);
        StreamOpen { telemetry: self.clone(), method }
    }

    fn count_stream(&self, method: &'static str, change: i64) {
        if let Some(instruments) = self.instruments() {
            instruments.rpc_streams.add(change, &[KeyValue::new(names::METHOD, method)]);
        }
    }

    /// A run has ended.
    pub fn run_ended(&self, account: Account<'_>) {
        let Some(instruments) = self.instruments() else { return };
        let Account { state, tenant, members, removals } = account;
        let count = |counter: &Counter<u64>, outcome: Outcome, count: u64| {
            if count > 0 {
                counter.add(count, &self.by_tenant([KeyValue::new(names::OUTCOME, outcome.word())], Some(tenant)));
            }
        };
        for (outcome, members) in members {
            count(&instruments.profiles, *outcome, *members);
        }
        count(&instruments.removals, Outcome::Confirmed, removals.confirmed);
        count(&instruments.removals, Outcome::Refused, removals.refused);
        count(&instruments.removals, Outcome::Unknown, removals.unknown);
        count(&instruments.removals, Outcome::NotSent, removals.not_sent);
        // Last, so that whoever sees it finds the account too.
        instruments.runs_ended.add(1, &self.by_tenant([KeyValue::new(names::STATE, state)], Some(tenant)));
    }

    /// A batch came on by so many rows.
    pub fn progress(&self, destination: &'static str, step: Step, rows: u64, tenant: &str) {
        let Some(instruments) = self.instruments().filter(|_| rows > 0) else { return };
        let labels = [KeyValue::new(names::DESTINATION, destination), KeyValue::new(names::STEP, step.word())];
        instruments.progress.add(rows, &self.by_tenant(labels, Some(tenant)));
    }

    pub(crate) fn count_request(
        &self,
        destination: &'static str,
        class: RequestClass,
        status: &'static str,
        took: Duration,
    ) {
        let Some(instruments) = self.instruments() else { return };
        let status = KeyValue::new(names::STATUS, status);
        let [destination, class] = of_request(destination, class);
        instruments.requests.add(1, &[destination.clone(), class.clone(), status]);
        instruments.request_duration.record(took.as_secs_f64(), &[destination, class]);
    }

    /// A request has its turn after such a wait.
    pub fn waited(&self, destination: &'static str, class: RequestClass, wait: Duration) {
        if let Some(instruments) = self.instruments() {
            instruments.request_wait.record(wait.as_secs_f64(), &of_request(destination, class));
        }
    }

    /// Each row of a batch has its outcome, so long after it was queued.
    pub fn settled(&self, destination: &'static str, lag: Duration) {
        if let Some(instruments) = self.instruments() {
            instruments.settling_lag.record(lag.as_secs_f64(), &[KeyValue::new(names::DESTINATION, destination)]);
        }
    }

    /// The database took so long for a group of changes.
    pub fn committed(&self, outcome: Committed, took: Duration) {
        if let Some(instruments) = self.instruments() {
            instruments.commit_duration.record(took.as_secs_f64(), &[KeyValue::new(names::OUTCOME, outcome.word())]);
        }
    }

    /// Attempts to send notifications ended like this. None is told too, so that whoever watches knows the counter.
    pub fn delivered(&self, outcome: Delivered, attempts: u64) {
        if let Some(instruments) = self.instruments() {
            instruments.deliveries.add(attempts, &[KeyValue::new(names::OUTCOME, outcome.word())]);
        }
    }

    /// What a look has found.
    pub fn load(&self, load: &Load<'_>) {
        let Some(instruments) = self.instruments() else { return };
        for (state, count) in load.runs {
            instruments.runs.record(*count, &[KeyValue::new(names::STATE, *state)]);
        }
        let (destination, used) = load.ceiling_use;
        instruments.ceiling_use.record(used, &[KeyValue::new(names::DESTINATION, destination)]);
        instruments.queue_age.record(load.queue_age.as_secs_f64(), &[]);
        instruments.checkpoint_due.record(load.checkpoint_due.into(), &[]);
        if let Some(age) = load.checkpoint_age {
            instruments.checkpoint_age.record(age.as_secs_f64(), &[]);
        }
    }

    fn by_tenant<const N: usize>(&self, labels: [KeyValue; N], tenant: Option<&str>) -> Vec<KeyValue> {
        labels.into_iter().chain(self.tenant(tenant)).collect()
    }
}

fn of_request(destination: &'static str, class: RequestClass) -> [KeyValue; 2] {
    [KeyValue::new(names::DESTINATION, destination), KeyValue::new(names::CLASS, class.word())]
}

/// An open stream.
#[must_use]
pub struct StreamOpen {
    telemetry: Telemetry,
    method: &'static str,
}

impl Drop for StreamOpen {
    fn drop(&mut self) {
        self.telemetry.count_stream(self.method, -1);
    }
}
