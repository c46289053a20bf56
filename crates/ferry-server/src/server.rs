//! The server: its services, what surrounds them, and how it ends. One port takes HTTP/2 and HTTP/1.1.

use crate::authn::Verifier;
use crate::http1;
use crate::layer::{EdgeLayer, Gate};
use crate::limits::method::{BySize, Streaming};
use crate::limits::rate::Rates;
use crate::limits::slots::Slots;
use crate::limits::{Calls, Limits, Watchers};
use crate::listener::listen;
use crate::service::{AuditApi, ConnectionApi, ExportApi, NotificationApi, RefreshApi, RunApi, SegmentApi, TenantApi};
use crate::tls::Tls;
use crate::web::{Web, WebConfig, WebLayer};
use ferry_control::Control;
use ferry_proto::v1::audit_service_server::AuditServiceServer;
use ferry_proto::v1::connection_service_server::ConnectionServiceServer;
use ferry_proto::v1::export_service_server::ExportServiceServer;
use ferry_proto::v1::notification_service_server::NotificationServiceServer;
use ferry_proto::v1::refresh_service_server::RefreshServiceServer;
use ferry_proto::v1::run_service_server::RunServiceServer;
use ferry_proto::v1::segment_service_server::SegmentServiceServer;
use ferry_proto::v1::tenant_service_server::TenantServiceServer;
use ferry_telemetry::Telemetry;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Layer;

/// Bytes of an answer: what gRPC clients take unless told otherwise.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a request's headers.
pub(crate) const HEADER_BYTES: u32 = 16 * 1024;
/// Calls at once on one connection; HTTP/2 itself knows no limit.
const STREAMS: u32 = 128;
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// A connection is asked to end after this, and after the grace is cut: also one whose reader has stopped reading.
pub(crate) const AGE: Duration = Duration::from_secs(30 * 60);
pub(crate) const AGE_GRACE: Duration = Duration::from_secs(60);
/// How long requests in flight may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// For answers that are written and not yet sent, once no call is open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The parts a [`Server`] is made of.
pub struct ServerParts {
    /// What it serves.
    pub control: Control,
    /// Who may call.
    pub verifier: Verifier,
    /// TLS, or nothing for plain connections.
    pub tls: Option<Tls>,
    /// How much may be used.
    pub limits: Limits,
    /// Where calls are told of.
    pub telemetry: Telemetry,
    /// What browsers get.
    pub web: WebConfig,
}

/// The gRPC server.
pub struct Server {
    parts: ServerParts,
}

/// A failure to serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors cannot be used.
    #[error("the API's descriptors cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The descriptors cannot be read.
    #[error("the API's descriptors cannot be read: {0}")]
    Descriptors(#[from] prost::DecodeError),
}

/// A service with the sizes of its requests and answers.
macro_rules! sized {
    ($server:expr) => {
        BySize::new($server.max_encoding_message_size(ANSWER_BYTES), |server, bytes| {
            server.max_decoding_message_size(bytes)
        })
    };
}

macro_rules! service {
    ($server:ident, $api:expr) => {
        sized!($server::new($api).accept_compressed(Gzip).send_compressed(Gzip))
    };
}

impl Server {
    /// Takes the parts.
    #[must_use]
    pub fn new(parts: ServerParts) -> Self {
        Self { parts }
    }

    /// Serves until `stop` is cancelled. Then streams end, and requests in flight may end, for a while.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        let ServerParts { control, verifier, tls, limits, telemetry, web } = self.parts;
        let (health, health_service) = tonic_health::server::health_reporter();
        let (calls, ending) = (Calls::new(&limits), CancellationToken::new());
        let gate = Arc::new(Gate {
            verifier,
            control: control.clone(),
            streaming: Streaming::read()?,
            calls: calls.clone(),
            rates: Arc::new(Rates::new(limits.rate)),
            ending: ending.clone(),
            telemetry,
        });
        let routes = Routes::new(sized!(health_service))
            .add_service(sized!(reflection()?.build_v1()?))
            .add_service(sized!(reflection()?.build_v1alpha()?))
            .add_service(service!(ConnectionServiceServer, ConnectionApi::new(control.clone())))
            .add_service(service!(SegmentServiceServer, SegmentApi::new(control.clone())))
            .add_service(service!(ExportServiceServer, ExportApi::new(control.clone())))
            .add_service(service!(RunServiceServer, RunApi::new(control.clone(), Watchers::new(&limits))))
            .add_service(service!(TenantServiceServer, TenantApi::new(control.clone())))
            .add_service(service!(NotificationServiceServer, NotificationApi::new(control.clone())))
            .add_service(service!(RefreshServiceServer, RefreshApi::new(control.clone())))
            .add_service(service!(AuditServiceServer, AuditApi::new(control)))
            .prepare();
        let web = WebLayer(Arc::new(Web::new(&web, tls.is_some())));
        let service = web.layer(EdgeLayer(Arc::clone(&gate)).layer(routes));
        let first = if gate.verifier.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
        tell(&health, first).await;
        let (tls, stopping) = (tls.map(Arc::new), stop.clone());
        let arrivals = listen(listener, tls.clone(), Slots::new(limits.connections));
        let http1 = http1::serve(arrivals.http1, service.clone(), ending.clone());
        let http2 = transport().serve_with_incoming_shutdown(service, arrivals.http2, async move {
            // One task says both, so "serving" is never said after the stop.
            tokio::select! {
                () = stopping.cancelled() => {}
                () = gate.verifier.ready() => {
                    tell(&health, ServingStatus::Serving).await;
                    stopping.cancelled().await;
                }
            }
            tell(&health, ServingStatus::NotServing).await;
            // Only now, so that whoever watches health is told before its stream ends.
            ending.cancel();
        });
        tokio::select! {
            (served, ()) = async { tokio::join!(http2, http1) } => Ok(served?),
            () = drained(&stop, &calls) => Ok(()),
            () = following(tls.as_deref()) => Ok(()),
        }
    }
}

async fn tell(health: &HealthReporter, status: ServingStatus) {
    for name in SERVICES {
        health.set_service_status(name, status).await;
    }
}

fn transport() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .max_connection_age(AGE)
        .max_connection_age_grace(AGE_GRACE)
}

/// The transport waits for every connection, for ever if a client never answers. So the end comes once no call is open,
/// and after a while in any case.
async fn drained(stop: &CancellationToken, calls: &Calls) {
    stop.cancelled().await;
    let _late = tokio::time::timeout(DRAIN, calls.idle()).await;
    tokio::time::sleep(LAST_WORDS).await;
}

/// Never returns.
async fn following(tls: Option<&Tls>) {
    match tls {
        Some(tls) => tls.follow().await,
        None => std::future::pending().await,
    }
}

/// What health is told about; the empty name is the whole server.
const SERVICES: [&str; 9] = [
    "",
    "ferry.v1.ConnectionService",
    "ferry.v1.SegmentService",
    "ferry.v1.ExportService",
    "ferry.v1.RunService",
    "ferry.v1.TenantService",
    "ferry.v1.NotificationService",
    "ferry.v1.RefreshService",
    "ferry.v1.AuditService",
];

fn reflection() -> Result<tonic_reflection::server::Builder<'static>, ServeError> {
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(ferry_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET))
}
