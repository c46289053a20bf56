//! The audit stream and the operational one: JSON lines, each to a file that something else sends on.
//!
//! A file is opened to append, so it may be rotated by copying and truncating it. A line that cannot be written is lost;
//! the record is the audit log in the database.

use anyhow::Context as _;
use clap::Args;
use ferry_domain::event::{AUDIT, OPERATIONAL};
use std::fmt::Debug;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Where the streams go.
#[derive(Args, Default)]
pub(crate) struct StreamArgs {
    /// A copy of each entry of the audit log, as JSON lines; `-` for standard output.
    #[arg(long, help_heading = "Audit", env = "FERRY_AUDIT_LOG", value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Calls that changed nothing, and what runs are doing, as JSON lines; `-` for standard output.
    #[arg(long, help_heading = "Log", env = "FERRY_OPERATIONAL_LOG", value_name = "FILE")]
    pub(crate) operational_log: Option<PathBuf>,
}

impl StreamArgs {
    /// A layer for each stream that is wanted.
    pub(crate) fn layers<S>(&self) -> anyhow::Result<Vec<Box<dyn Layer<S> + Send + Sync>>>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let mut layers: Vec<Box<dyn Layer<S> + Send + Sync>> = Vec::new();
        for (target, path) in [(AUDIT, &self.audit_log), (OPERATIONAL, &self.operational_log)] {
            if let Some(path) = path {
                let stream = Stream { out: Mutex::new(open(path)?), failed: AtomicBool::new(false) };
                layers.push(stream.with_filter(filter_fn(move |event| event.target() == target)).boxed());
            }
        }
        Ok(layers)
    }
}

/// Whether an event belongs to one of the streams.
pub(crate) fn is_stream(target: &str) -> bool {
    target == AUDIT || target == OPERATIONAL
}

fn open(path: &PathBuf) -> anyhow::Result<Box<dyn Write + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdout()));
    }
    let file = File::options().create(true).append(true).open(path);
    Ok(Box::new(file.with_context(|| format!("{} cannot be opened to append to it", path.display()))?))
}

struct Stream {
    out: Mutex<Box<dyn Write + Send>>,
    failed: AtomicBool,
}

impl<S: Subscriber> Layer<S> for Stream {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        line.0.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let written = out.write_all(line.0.as_bytes()).and_then(|()| out.flush());
        // Said once, and not to the log: this is a part of it.
        if let Err(error) = written
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            eprintln!("ferry: a line of the audit or operational stream is lost, and more may be: {error}");
        }
    }
}

/// The field `line` of an event.
struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "line" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
