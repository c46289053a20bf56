//! Metrics and traces of `ferry serve`: where they go, and the look at the service from time to time.

use crate::serve::now;
use anyhow::bail;
use clap::Args;
use ferry_domain::{Result, RunState, Timestamp};
use ferry_lanes::{DESTINATION, Lanes};
use ferry_store::Store;
use ferry_telemetry::{Load, Running, Telemetry, TelemetryConfig};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the service is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where metrics and traces go. Nowhere, unless something is given.
#[derive(Args, Default)]
#[command(next_help_heading = "Telemetry")]
pub(crate) struct TelemetryArgs {
    /// Traces and metrics go to this collector, by OTLP over gRPC. Headers, intervals and sampling are set by the
    /// OTEL_ variables of OpenTelemetry's specification.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Traces are appended to this file, as OTLP's JSON lines.
    #[arg(long, env = "FERRY_TRACE_FILE", value_name = "FILE")]
    pub(crate) trace_file: Option<PathBuf>,
    /// Tell destinations of the trace, by W3C's header `traceparent`.
    #[arg(long, env = "FERRY_TRACE_PROPAGATE")]
    pub(crate) trace_propagate: bool,
    /// Prometheus finds the metrics here, at /metrics, without TLS and without a token.
    #[arg(long, env = "FERRY_METRICS_ADDR", value_name = "ADDRESS:PORT")]
    pub(crate) metrics_addr: Option<SocketAddr>,
    /// The address of the metrics is written here, once it listens (for port 0).
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_addr_out: Option<PathBuf>,
    /// Tell tenants apart in metrics and traces: a series of each metric for each of them.
    #[arg(long, env = "FERRY_METRICS_TENANT_LABEL")]
    pub(crate) metrics_tenant_label: bool,
}

impl TelemetryArgs {
    fn config(&self) -> TelemetryConfig {
        TelemetryConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            otlp_endpoint: self.otlp_endpoint.clone(),
            trace_file: self.trace_file.clone(),
            metrics_addr: self.metrics_addr,
            tenant_label: self.metrics_tenant_label,
            propagate: self.trace_propagate,
        }
    }

    /// Refuses what would tell a secret on.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.otlp_endpoint.as_ref().is_some_and(|endpoint| endpoint.contains('@')) {
            bail!("--otlp-endpoint holds a name or a password; give them as a header, in OTEL_EXPORTER_OTLP_HEADERS");
        }
        Ok(())
    }

    /// Sets it up.
    pub(crate) async fn start(&self) -> anyhow::Result<Running> {
        self.check()?;
        let running = Running::start(self.config()).await?;
        if let Some(addr) = running.metrics_addr() {
            tracing::info!(address = %addr, "telling metrics");
        }
        if let (Some(path), Some(addr)) = (&self.metrics_addr_out, running.metrics_addr()) {
            crate::serve::write_whole(path, &addr.to_string())?;
        }
        Ok(running)
    }
}

/// Tells how the service stands, until the end.
pub(crate) fn look(telemetry: Telemetry, store: Store, lanes: Arc<Lanes>, stop: CancellationToken) {
    if !telemetry.counts() {
        return;
    }
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        loop {
            if let Err(error) = look_once(&telemetry, &store, &lanes).await {
                tracing::warn!(%error, "the metrics of runs and of the audit log are not up to date");
            }
            tokio::time::sleep(LOOK).await;
        }
    }));
}

async fn look_once(telemetry: &Telemetry, store: &Store, lanes: &Lanes) -> Result<()> {
    let found = store.run_load().await?;
    let runs: Vec<(&'static str, u64)> =
        found.runs.iter().map(|(state, runs)| (RunState::as_str(*state), *runs)).collect();
    let checkpoint = match store.audit_log().await? {
        Some(log) => store.checkpoint_newest(&log.origin).await?,
        None => None,
    };
    let now = now();
    let age = |since: Timestamp| now.since(since);
    telemetry.load(&Load {
        runs: &runs,
        queue_age: found.oldest_queued.map(age).unwrap_or_default(),
        ceiling_use: (DESTINATION, lanes.ceiling_use().await),
        checkpoint_age: checkpoint.map(|checkpoint| age(checkpoint.time)),
        checkpoint_due: store.has_new_entries(),
    });
    Ok(())
}
