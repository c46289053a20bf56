//! Traces in a file: OTLP as JSON lines, as the collector's own file exporter writes them.
//!
//! A span that ends is handed to a thread that writes. Where the disk is slower than the runs, these wait: the file holds
//! every span, or it would be of no use to whoever looks for one. A crash costs what was not written yet, and spans that
//! had not ended.

use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// Spans that may wait for the disk.
const WAITING: usize = 8_192;
/// Spans of one line.
const LINE: usize = 256;

#[derive(Debug)]
enum Said {
    Ended(Box<SpanData>),
    /// Answered once all before it is written.
    Flush(SyncSender<()>),
}

/// Hands spans to the thread that writes them.
#[derive(Debug)]
pub(crate) struct TraceFile(SyncSender<Said>);

impl TraceFile {
    /// Opens the file to append to it.
    pub(crate) fn open(path: &Path, resource: &Resource) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let (said, hears) = sync_channel(WAITING);
        let resource = ResourceAttributesWithSchema::from(resource);
        std::thread::Builder::new().name("trace-file".to_owned()).spawn(move || write_all(&hears, file, &resource))?;
        Ok(Self(said))
    }

    fn flush(&self, most: Duration) -> OTelSdkResult {
        let (done, written) = sync_channel(1);
        self.0.send(Said::Flush(done)).map_err(|_| OTelSdkError::AlreadyShutdown)?;
        written.recv_timeout(most).map_err(|_| OTelSdkError::Timeout(most))
    }
}

impl SpanProcessor for TraceFile {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Without its thread the file is over; that was told.
        let _over = self.0.send(Said::Ended(Box::new(span)));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flush(Duration::from_secs(5))
    }

    fn shutdown_with_timeout(&self, most: Duration) -> OTelSdkResult {
        self.flush(most)
    }
}

fn write_all(hears: &Receiver<Said>, mut file: File, resource: &ResourceAttributesWithSchema) {
    let mut told = false;
    while let Ok(first) = hears.recv() {
        let (mut spans, mut flushes, mut next) = (Vec::new(), Vec::new(), Some(first));
        while let Some(said) = next {
            match said {
                Said::Ended(span) => spans.push(*span),
                Said::Flush(done) => flushes.push(done),
            }
            next = match hears.try_recv() {
                Ok(said) if spans.len() < LINE => Some(said),
                Ok(Said::Ended(span)) => {
                    spans.push(*span);
                    None
                }
                Ok(Said::Flush(done)) => {
                    flushes.push(done);
                    None
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            };
        }
        if let Err(error) = write(&mut file, spans, resource)
            && !told
        {
            told = true;
            tracing::error!(%error, "spans cannot be written to the trace file and are lost, and more may be");
        }
        for done in flushes {
            // Whoever asked may have given up.
            let _gone = done.send(());
        }
    }
}

fn write(file: &mut File, spans: Vec<SpanData>, resource: &ResourceAttributesWithSchema) -> io::Result<()> {
    if spans.is_empty() {
        return Ok(());
    }
    let request = ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans, resource) };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    file.write_all(&line)
}
