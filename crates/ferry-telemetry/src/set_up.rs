//! From settings to a [`Telemetry`] that goes somewhere, and its end.

use crate::ids::Ids;
use crate::metrics::Instruments;
use crate::trace_file::TraceFile;
use crate::{Parts, Telemetry, scrape};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const NAME: &str = "ferry";
/// An export of what was told takes no longer.
const EXPORT: Duration = Duration::from_secs(3);
/// What was not told by then, at the end, is lost.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// Where things are told. Nothing is, unless something is given.
#[derive(Debug, Clone, Default)]
pub struct TelemetryConfig {
    /// The version of the service.
    pub version: String,
    /// A collector that takes OTLP over gRPC.
    pub otlp_endpoint: Option<String>,
    /// Traces, as JSON lines.
    pub trace_file: Option<PathBuf>,
    /// Where Prometheus asks.
    pub metrics_addr: Option<SocketAddr>,
    /// Whether tenants are told apart.
    pub tenant_label: bool,
    /// Whether destinations are told of the trace.
    pub propagate: bool,
}

/// Telemetry that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The collector's address cannot be used.
    #[error("`{0}` cannot be exported to ({1}); give a collector's address like http://127.0.0.1:4317")]
    Endpoint(String, String),
    /// The file cannot be opened.
    #[error("the trace file {0} cannot be opened: {1}")]
    File(PathBuf, std::io::Error),
    /// The port cannot be listened on.
    #[error("{0} cannot be listened on for metrics ({1}); choose another address")]
    Listen(SocketAddr, std::io::Error),
    /// The library refuses.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(String),
}

/// Telemetry that goes somewhere, until it is stopped.
#[derive(Debug)]
pub struct Running {
    telemetry: Telemetry,
    tracers: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
    scraping: Option<(SocketAddr, JoinHandle<()>)>,
}

impl Running {
    /// Sets it up. To be called where there is a tokio runtime.
    pub async fn start(config: TelemetryConfig) -> Result<Self, SetUpError> {
        let version = opentelemetry::KeyValue::new("service.version", config.version.clone());
        let resource = Resource::builder().with_service_name(NAME).with_attribute(version).build();
        let tracers = tracers(&config, &resource)?;
        let (meters, scraping) = meters(&config, &resource).await?;
        let telemetry = if tracers.is_none() && meters.is_none() {
            Telemetry::default()
        } else {
            Telemetry::new(Parts {
                instruments: meters.as_ref().map(|meters| Instruments::new(&meters.meter(NAME))),
                tracer: tracers.as_ref().map(|tracers| tracers.tracer(NAME)),
                tenant_label: config.tenant_label,
                propagate: config.propagate,
            })
        };
        Ok(Self { telemetry, tracers, meters, scraping })
    }

    /// To be handed to whoever has something to tell.
    #[must_use]
    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
    }

    /// Where Prometheus asks.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.scraping.as_ref().map(|(addr, _)| *addr)
    }

    /// Tells what was not told yet, and ends. Comes after everything that has something to tell.
    pub async fn stop(self) {
        let Self { tracers, meters, scraping, .. } = self;
        // The exporters wait for threads of their own, and a collector that does not answer keeps them waiting: a
        // thread that nobody joins must not keep the process.
        let (done, ended) = tokio::sync::oneshot::channel();
        let telling = std::thread::Builder::new().name("last-words".to_owned()).spawn(move || {
            let traced = tracers.map_or(Ok(()), |tracers| tracers.shutdown_with_timeout(LAST_WORDS));
            let counted = meters.map_or(Ok(()), |meters| meters.shutdown_with_timeout(LAST_WORDS));
            // Nobody waits any more once the time is over.
            let _late = done.send(traced.and(counted));
        });
        if telling.is_ok() {
            match tokio::time::timeout(LAST_WORDS, ended).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, "some telemetry was not exported before the end"),
                Ok(Err(_)) | Err(_) => tracing::warn!("telemetry was not exported in time before the end"),
            }
        }
        if let Some((_, scraping)) = scraping {
            scraping.abort();
        }
    }
}

fn tracers(config: &TelemetryConfig, resource: &Resource) -> Result<Option<SdkTracerProvider>, SetUpError> {
    if config.otlp_endpoint.is_none() && config.trace_file.is_none() {
        return Ok(None);
    }
    let mut builder = SdkTracerProvider::builder().with_resource(resource.clone()).with_id_generator(Ids::default());
    if let Some(endpoint) = &config.otlp_endpoint {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT);
        let exporter = if is_tls(endpoint) { exporter.with_tls_config(system_roots()) } else { exporter };
        builder = builder.with_batch_exporter(exporter.build().map_err(|error| refused(endpoint, &error))?);
    }
    if let Some(path) = &config.trace_file {
        let file = TraceFile::open(path, resource).map_err(|error| SetUpError::File(path.clone(), error))?;
        builder = builder.with_span_processor(file);
    }
    Ok(Some(builder.build()))
}

type Meters = (Option<SdkMeterProvider>, Option<(SocketAddr, JoinHandle<()>)>);

/// One set of instruments, read by the collector's exporter and by Prometheus alike.
async fn meters(config: &TelemetryConfig, resource: &Resource) -> Result<Meters, SetUpError> {
    if config.otlp_endpoint.is_none() && config.metrics_addr.is_none() {
        return Ok((None, None));
    }
    let mut builder = SdkMeterProvider::builder().with_resource(resource.clone());
    if let Some(endpoint) = &config.otlp_endpoint {
        let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT);
        let exporter = if is_tls(endpoint) { exporter.with_tls_config(system_roots()) } else { exporter };
        builder = builder.with_periodic_exporter(exporter.build().map_err(|error| refused(endpoint, &error))?);
    }
    let mut scraping = None;
    if let Some(addr) = config.metrics_addr {
        let registry = prometheus::Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
        builder = builder.with_reader(exporter.build().map_err(|error| SetUpError::Metrics(error.to_string()))?);
        let listener = TcpListener::bind(addr).await.map_err(|error| SetUpError::Listen(addr, error))?;
        let bound = listener.local_addr().map_err(|error| SetUpError::Listen(addr, error))?;
        scraping = Some((bound, tokio::spawn(scrape::serve(listener, registry))));
    }
    Ok((Some(builder.build()), scraping))
}

fn is_tls(endpoint: &str) -> bool {
    endpoint.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// Nobody is believed unless the system's authorities are.
fn system_roots() -> ClientTlsConfig {
    ClientTlsConfig::new().with_enabled_roots()
}

fn refused(endpoint: &str, error: &dyn std::fmt::Display) -> SetUpError {
    SetUpError::Endpoint(endpoint.to_owned(), error.to_string())
}
