//! The server: its services, what surrounds them, and how it ends.

use crate::authn::Verifier;
use crate::layer::EdgeLayer;
use crate::service::{AuditApi, ConnectionApi, ExportApi, NotificationApi, RefreshApi, RunApi, SegmentApi, TenantApi};
use ferry_control::Control;
use ferry_proto::v1::audit_service_server::AuditServiceServer;
use ferry_proto::v1::connection_service_server::ConnectionServiceServer;
use ferry_proto::v1::export_service_server::ExportServiceServer;
use ferry_proto::v1::notification_service_server::NotificationServiceServer;
use ferry_proto::v1::refresh_service_server::RefreshServiceServer;
use ferry_proto::v1::run_service_server::RunServiceServer;
use ferry_proto::v1::segment_service_server::SegmentServiceServer;
use ferry_proto::v1::tenant_service_server::TenantServiceServer;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding::Gzip;
use tonic_health::ServingStatus;

/// Bytes of a request; small, because protobuf can unfold to many times its size.
const REQUEST_BYTES: usize = 256 * 1024;
const STREAMS: u32 = 128;
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// How long requests in flight may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// The parts a [`Server`] is made of.
pub struct ServerParts {
    /// What it serves.
    pub control: Control,
    /// Who may call.
    pub verifier: Verifier,
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
}

macro_rules! service {
    ($server:ident, $api:expr) => {
        $server::new($api).max_decoding_message_size(REQUEST_BYTES).accept_compressed(Gzip).send_compressed(Gzip)
    };
}

impl Server {
    /// Takes the parts.
    #[must_use]
    pub fn new(parts: ServerParts) -> Self {
        Self { parts }
    }

    /// Serves until `stop` is cancelled, then lets requests in flight end, for a while.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        let control = self.parts.control;
        let router = tonic::transport::Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
            .layer(EdgeLayer::new(Arc::new(self.parts.verifier)))
            .add_service(health_service)
            .add_service(reflection()?.build_v1()?)
            .add_service(reflection()?.build_v1alpha()?)
            .add_service(service!(ConnectionServiceServer, ConnectionApi::new(control.clone())))
            .add_service(service!(SegmentServiceServer, SegmentApi::new(control.clone())))
            .add_service(service!(ExportServiceServer, ExportApi::new(control.clone())))
            .add_service(service!(RunServiceServer, RunApi::new(control.clone())))
            .add_service(service!(TenantServiceServer, TenantApi::new(control)))
            .add_service(service!(NotificationServiceServer, NotificationApi))
            .add_service(service!(RefreshServiceServer, RefreshApi))
            .add_service(service!(AuditServiceServer, AuditApi));
        for name in SERVICES {
            health.set_service_status(name, ServingStatus::Serving).await;
        }
        let stopping = stop.clone();
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = router.serve_with_incoming_shutdown(incoming, async move {
            stopping.cancelled().await;
            for name in SERVICES {
                health.set_service_status(name, ServingStatus::NotServing).await;
            }
        });
        // The transport waits for every connection, for ever if a client never answers: so a hard end after a while.
        let given_up = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = given_up => Ok(()),
        }
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
