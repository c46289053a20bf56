//! Where log lines go: to standard error, for people or as JSON; and the two streams, each to a file of its own.

use crate::streams::{self, StreamArgs};
use std::io::IsTerminal;
use std::panic::{Location, PanicHookInfo};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::{FmtSpan, Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `filter` is a list like `info,ferry_engine=debug`.
pub(crate) fn start(format: LogFormat, filter: &str, streams: &StreamArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("`{filter}` is no log filter ({error}); write one like info,ferry_engine=debug")
    })?;
    // Without this a span shows with the events in it alone.
    let at_trace = filter.max_level_hint() == Some(LevelFilter::TRACE);
    let spans = if at_trace { FmtSpan::CLOSE } else { FmtSpan::NONE };
    let colours = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_ansi(colours).with_writer(std::io::stderr).with_span_events(spans);
    let layer = match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.event_format(Traced(fmt::format().json())).fmt_fields(JsonFields::new()).boxed(),
    };
    // What goes to a stream is not said twice.
    let ordinary = filter.and(filter_fn(|event| !streams::is_stream(event.target())));
    // All in one list: an empty list of its own would tell the registry that nobody listens, and silence the log.
    let mut layers = streams.layers()?;
    layers.push(layer.with_filter(ordinary).boxed());
    tracing_subscriber::registry().with(layers).try_init()?;
    std::panic::set_hook(Box::new(report_panic));
    Ok(())
}

/// JSON lines with the trace and the span that they belong to, if they belong to one.
struct Traced(Format<Json>);

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let Some((trace, span)) = ferry_telemetry::current_ids() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => writeln!(writer, "{open},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}"),
            None => writer.write_str(&line),
        }
    }
}

/// Reports a panic to the log, where a filter and a format hold for it as for everything else.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(Location::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(place, thread, words = words(panic.payload()), "Ferry panicked, which is a fault of its own");
}

/// What of a panic may be logged. A text that was put together may hold a row or a key: a slice that misses a
/// character's border, for one, quotes the whole string. Only words that stand in the source are told.
fn words(payload: &dyn std::any::Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(not told, for it may hold personal data)")
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn s8_a_panic_tells_words_of_the_source_and_no_data() {
        let canary = "kän-canary".to_owned();
        let payload = std::panic::catch_unwind(|| canary[..2].len()).expect_err("no character begins there");
        let quoted = payload.downcast_ref::<String>().expect("a text that was put together");
        assert!(quoted.contains("canary") && !words(&*payload).contains("canary"));
        let payload = std::panic::catch_unwind(|| panic!("no lane")).expect_err("it panics");
        assert_eq!(words(&*payload), "no lane");
    }
}
