//! `ferry runs` and `ferry exports`: what people on call do with the service.

mod exports;
mod list;
mod names;
mod phrases;
mod runs;
mod table;
mod watch;

pub(crate) use exports::ExportsArgs;
pub(crate) use runs::RunsArgs;

pub(crate) use exports::run as run_exports;
pub(crate) use runs::run as run_runs;

use clap::ValueEnum;
use ferry_proto::json::{self, Named};
use ferry_proto::v1 as pb;
use std::io::Write;

/// How what was found is written to standard output.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people; may change at any time.
    Text,
    /// For programs: one JSON object a line, a message of the API as proto3 JSON (`proto/README.md`, `Fields`).
    Json,
}

/// What an exit code means, in each help text.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done; where runs were watched to their end, they succeeded
    1  the service refused, or could not be reached
    2  the command line cannot be understood
    3  a watched run failed or timed out
    4  a watched run was cancelled or skipped
  130  ended by Ctrl-C
  141  nobody reads the output any more";

/// Writes one line at once, so that whoever reads along sees it.
pub(crate) fn write_line(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Writes a message as a line of JSON.
fn write_json<M: Named>(message: &M) -> anyhow::Result<()> {
    Ok(write_line(&json::line(message)?)?)
}

/// A run as it may be shown: without people, and without what this version cannot write.
fn shown(mut run: pb::Run) -> pb::Run {
    if let Some(summary) = &mut run.plan_summary {
        summary.samples.clear();
    }
    if let Some(status) = run.error.as_mut().and_then(|error| error.status.as_mut()) {
        status.details.retain(|detail| json::is_known(&detail.type_url));
    }
    run
}
