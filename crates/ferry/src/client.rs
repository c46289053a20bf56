//! A client of the service, with a token.

use ferry_proto::v1::audit_service_client::AuditServiceClient;
use ferry_proto::v1::connection_service_client::ConnectionServiceClient;
use ferry_proto::v1::export_service_client::ExportServiceClient;
use ferry_proto::v1::run_service_client::RunServiceClient;
use ferry_proto::v1::tenant_service_client::TenantServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Adds the token to each request.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Authorized = InterceptedService<Channel, Bearer>;

/// The services that the command line uses.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) tenants: TenantServiceClient<Authorized>,
    pub(crate) connections: ConnectionServiceClient<Authorized>,
    pub(crate) exports: ExportServiceClient<Authorized>,
    pub(crate) runs: RunServiceClient<Authorized>,
    pub(crate) audit: AuditServiceClient<Authorized>,
}

impl Client {
    /// Connects to `http://ADDRESS`.
    pub(crate) async fn connect(addr: std::net::SocketAddr, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{addr}"))?.connect().await?;
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        value.set_sensitive(true);
        let bearer = Bearer(value);
        Ok(Self {
            tenants: TenantServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            connections: ConnectionServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            exports: ExportServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            runs: RunServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            audit: AuditServiceClient::with_interceptor(channel, bearer),
        })
    }
}
