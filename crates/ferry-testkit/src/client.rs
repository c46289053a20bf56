//! Clients with a token.

use crate::Watched;
use ferry_proto::v1::audit_service_client::AuditServiceClient;
use ferry_proto::v1::connection_service_client::ConnectionServiceClient;
use ferry_proto::v1::export_service_client::ExportServiceClient;
use ferry_proto::v1::notification_service_client::NotificationServiceClient;
use ferry_proto::v1::refresh_service_client::RefreshServiceClient;
use ferry_proto::v1::run_service_client::RunServiceClient;
use ferry_proto::v1::segment_service_client::SegmentServiceClient;
use ferry_proto::v1::tenant_service_client::TenantServiceClient;
use std::net::SocketAddr;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

/// Adds the token, if there is one.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Authorized = InterceptedService<Watched, Bearer>;

/// Every service that is built, for one caller.
#[derive(Clone)]
#[allow(missing_docs, reason = "a client for each service")]
pub struct Client {
    pub tenants: TenantServiceClient<Authorized>,
    pub connections: ConnectionServiceClient<Authorized>,
    pub segments: SegmentServiceClient<Authorized>,
    pub exports: ExportServiceClient<Authorized>,
    pub runs: RunServiceClient<Authorized>,
    pub audit: AuditServiceClient<Authorized>,
    pub refresh: RefreshServiceClient<Authorized>,
    pub notifications: NotificationServiceClient<Authorized>,
}

impl Client {
    /// Connects. An empty token sends none.
    pub async fn connect(addr: SocketAddr, token: &str) -> Self {
        let channel = Watched::connect(addr).await;
        let value = (!token.is_empty()).then(|| format!("Bearer {token}").parse().expect("a token is ASCII"));
        let bearer = Bearer(value);
        Self {
            tenants: TenantServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            connections: ConnectionServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            segments: SegmentServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            exports: ExportServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            runs: RunServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            audit: AuditServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            refresh: RefreshServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            notifications: NotificationServiceClient::with_interceptor(channel, bearer),
        }
    }
}
