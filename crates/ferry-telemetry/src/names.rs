//! Every name that Ferry tells metrics and traces by. Dashboards and alerts rest on them: a name that is gone breaks
//! them silently, so `tests/golden/telemetry.txt` holds the list and a change of it is seen.

use std::fmt::Write as _;

/// What an instrument measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    UpDownCounter,
    /// Is what it is now.
    Gauge,
    /// How often, how much in all, and how it is spread.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// As OpenTelemetry has it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// In the words of UCUM.
    pub unit: &'static str,
    /// What it is told apart by; [`TENANT`] comes with those of `by_tenant` where the operator asks for it.
    pub labels: &'static [&'static str],
    /// Whether a tenant may be told.
    pub by_tenant: bool,
    /// For people.
    pub text: &'static str,
}

/// A span.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Its name, or what stands for it.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [&'static str],
    /// For people.
    pub text: &'static str,
}

/// The id of a tenant; told where the operator asks for it alone.
pub const TENANT: &str = "ferry.tenant";
/// `Service/Method`.
pub const METHOD: &str = "rpc.method";
/// Of the answer, as a word.
pub const CODE: &str = "rpc.response.status_code";
/// The type of a destination.
pub const DESTINATION: &str = "ferry.destination";
/// What a request to a destination counts as.
pub const CLASS: &str = "ferry.request.class";
/// The class of its status.
pub const STATUS: &str = "ferry.request.status";
/// Which time it is, from 1.
pub const ATTEMPT: &str = "ferry.request.attempt";
/// How long it waited for the account's limits, in milliseconds.
pub const WAIT_MS: &str = "ferry.request.wait_ms";
/// The number of a batch in its plan.
pub const BATCH: &str = "ferry.batch.seq";
/// Of an HTTP answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The state of a run.
pub const STATE: &str = "ferry.run.state";
/// The id of a run, which is its trace's too.
pub const RUN: &str = "ferry.run.id";
/// How often a run was claimed.
pub const EPOCH: &str = "ferry.run.epoch";
/// What became of something.
pub const OUTCOME: &str = "ferry.outcome";
/// How far a batch came.
pub const STEP: &str = "ferry.step";

const NONE: &[&str] = &[];

/// Calls, by how they ended and how long that took. A stream ends with its last word.
pub const RPC_DURATION: Metric = Metric {
    name: "ferry.rpc.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &[METHOD, CODE],
    by_tenant: true,
    text: "how long calls take; its count is how many there were",
};
/// Open streams.
pub const RPC_STREAMS: Metric = Metric {
    name: "ferry.rpc.streams",
    kind: Kind::UpDownCounter,
    unit: "{stream}",
    labels: &[METHOD],
    by_tenant: false,
    text: "streams that are open",
};
/// Runs that go on.
pub const RUNS: Metric = Metric {
    name: "ferry.runs",
    kind: Kind::Gauge,
    unit: "{run}",
    labels: &[STATE],
    by_tenant: false,
    text: "runs that have not ended, looked at every five seconds",
};
/// The oldest run in the queue.
pub const QUEUE_AGE: Metric = Metric {
    name: "ferry.runs.queue_age",
    kind: Kind::Gauge,
    unit: "s",
    labels: NONE,
    by_tenant: false,
    text: "the age of the oldest queued run; 0 without one",
};
/// Ended runs.
pub const RUNS_ENDED: Metric = Metric {
    name: "ferry.runs.ended",
    kind: Kind::Counter,
    unit: "{run}",
    labels: &[STATE],
    by_tenant: true,
    text: "runs that have ended, dry runs too",
};
/// The accounts of ended runs.
pub const PROFILES: Metric = Metric {
    name: "ferry.profiles",
    kind: Kind::Counter,
    unit: "{profile}",
    labels: &[OUTCOME],
    by_tenant: true,
    text: "members of ended runs by where they ended in the account; dry runs are left out",
};
/// The removals of ended runs.
pub const REMOVALS: Metric = Metric {
    name: "ferry.removals",
    kind: Kind::Counter,
    unit: "{profile}",
    labels: &[OUTCOME],
    by_tenant: true,
    text: "removals of ended runs by where they ended in the account; dry runs are left out",
};
/// What goes on right now.
pub const PROGRESS: Metric = Metric {
    name: "ferry.progress",
    kind: Kind::Counter,
    unit: "{profile}",
    labels: &[DESTINATION, STEP],
    by_tenant: true,
    text: "rows of batches as they come on; one that is sent again is queued again",
};
/// Requests to destinations.
pub const REQUESTS: Metric = Metric {
    name: "ferry.destination.requests",
    kind: Kind::Counter,
    unit: "{request}",
    labels: &[DESTINATION, CLASS, STATUS],
    by_tenant: false,
    text: "requests to destinations",
};
/// How long destinations take.
pub const REQUEST_DURATION: Metric = Metric {
    name: "ferry.destination.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &[DESTINATION, CLASS],
    by_tenant: false,
    text: "how long destinations take to answer",
};
/// How long requests wait for their turn.
pub const REQUEST_WAIT: Metric = Metric {
    name: "ferry.destination.wait",
    kind: Kind::Histogram,
    unit: "s",
    labels: &[DESTINATION, CLASS],
    by_tenant: false,
    text: "how long requests wait for the limits of their account",
};
/// How much of its limit an account uses.
pub const CEILING_USE: Metric = Metric {
    name: "ferry.destination.ceiling_use",
    kind: Kind::Gauge,
    unit: "1",
    labels: &[DESTINATION],
    by_tenant: false,
    text: "the part of its imports a minute that the busiest account uses, from 0 to 1",
};
/// How long batches are under way.
pub const SETTLING_LAG: Metric = Metric {
    name: "ferry.settling.lag",
    kind: Kind::Histogram,
    unit: "s",
    labels: &[DESTINATION],
    by_tenant: false,
    text: "how long it takes from a batch being queued until each of its rows has an outcome",
};
/// How long the database takes.
pub const COMMIT_DURATION: Metric = Metric {
    name: "ferry.store.commit.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &[OUTCOME],
    by_tenant: false,
    text: "how long a group of changes takes, its commit included",
};
/// What became of attempts to send notifications.
pub const DELIVERIES: Metric = Metric {
    name: "ferry.webhooks.attempts",
    kind: Kind::Counter,
    unit: "{attempt}",
    labels: &[OUTCOME],
    by_tenant: false,
    text: "attempts to send a notification to a webhook: taken, failed (repeated later), given_up, gone (webhook disabled)",
};
/// How old the last checkpoint is.
pub const CHECKPOINT_AGE: Metric = Metric {
    name: "ferry.audit.checkpoint.age",
    kind: Kind::Gauge,
    unit: "s",
    labels: NONE,
    by_tenant: false,
    text: "the age of the audit log's last signed checkpoint",
};
/// What no checkpoint covers.
pub const CHECKPOINT_DUE: Metric = Metric {
    name: "ferry.audit.checkpoint.due",
    kind: Kind::Gauge,
    unit: "{log}",
    labels: NONE,
    by_tenant: false,
    text: "1 while there are entries that no checkpoint covers: then the age tells how late it is",
};

/// Every metric.
pub const METRICS: &[Metric] = &[
    RPC_DURATION,
    RPC_STREAMS,
    RUNS,
    QUEUE_AGE,
    RUNS_ENDED,
    PROFILES,
    REMOVALS,
    PROGRESS,
    REQUESTS,
    REQUEST_DURATION,
    REQUEST_WAIT,
    CEILING_USE,
    SETTLING_LAG,
    COMMIT_DURATION,
    DELIVERIES,
    CHECKPOINT_AGE,
    CHECKPOINT_DUE,
];

/// A call; its name is `ferry.v1.` and the method.
pub const RPC: Span = Span {
    name: "ferry.v1.SERVICE/METHOD",
    fields: &[METHOD, CODE, RUN, TENANT],
    text: "a call, from its head to its answer",
};
/// A run, while one process carries it.
pub const RUN_SPAN: Span = Span {
    name: "run",
    fields: &[RUN, EPOCH, STATE, TENANT],
    text: "a run, from its claim to its end or to where it is set aside; its trace has the run's id",
};
/// A part of a run.
pub const PHASE: Span =
    Span { name: "reading, planning, sending, settling", fields: &[OUTCOME], text: "a part of a run" };
/// A request to a destination.
pub const REQUEST: Span = Span {
    name: "request",
    fields: &[DESTINATION, CLASS, ATTEMPT, WAIT_MS, BATCH, STATUS, HTTP_STATUS],
    text: "a request to a destination, of a run or of a call",
};

/// Every span.
pub const SPANS: &[Span] = &[RPC, RUN_SPAN, PHASE, REQUEST];

/// The whole list, for people and for the golden file.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for metric in METRICS {
        let Metric { name, kind, unit, labels, by_tenant, text: what } = metric;
        // A String takes every text.
        let _always = writeln!(text, "{name} ({kind:?}, {unit}): {what}");
        for label in *labels {
            let _always = writeln!(text, "  {label}");
        }
        if *by_tenant {
            let _always = writeln!(text, "  {TENANT}, if asked for");
        }
    }
    for span in SPANS {
        let _always = writeln!(text, "span {}: {}", span.name, span.text);
        for field in span.fields {
            let asked = if *field == TENANT { ", if asked for" } else { "" };
            let _always = writeln!(text, "  {field}{asked}");
        }
    }
    text
}
