//! A client of the service: where it is, with which token, and how long an answer is waited for.

mod address;
mod problem;

pub(crate) use address::Address;
pub(crate) use problem::{Problem, plain, reason};

use clap::Args;
use ferry_proto::v1::audit_service_client::AuditServiceClient;
use ferry_proto::v1::connection_service_client::ConnectionServiceClient;
use ferry_proto::v1::export_service_client::ExportServiceClient;
use ferry_proto::v1::refresh_service_client::RefreshServiceClient;
use ferry_proto::v1::run_service_client::RunServiceClient;
use ferry_proto::v1::tenant_service_client::TenantServiceClient;
use std::path::PathBuf;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status};

/// A host that is there answers within this.
const CONNECT: Duration = Duration::from_secs(10);
/// The service answers a call within 30 s, or says that it took too long.
pub(crate) const ANSWER: Duration = Duration::from_secs(35);
/// Where a token is when no file has it. It is no flag: others of the machine see the flags of a process.
const TOKEN: &str = "FERRY_TOKEN";

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
    pub(crate) refresh: RefreshServiceClient<Authorized>,
}

impl Client {
    /// Connects to `http://ADDRESS`.
    pub(crate) async fn connect(addr: std::net::SocketAddr, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{addr}"))?.connect().await?;
        Ok(Self::over(&channel, bearer(token)?))
    }

    fn over(channel: &Channel, bearer: Bearer) -> Self {
        Self {
            tenants: TenantServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            connections: ConnectionServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            exports: ExportServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            runs: RunServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            audit: AuditServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            refresh: RefreshServiceClient::with_interceptor(channel.clone(), bearer),
        }
    }
}

fn bearer(token: &str) -> Result<Bearer, tonic::metadata::errors::InvalidMetadataValue> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
    value.set_sensitive(true);
    Ok(Bearer(value))
}

/// Which service is asked, and by whom. Every command that is a client takes these.
#[derive(Args, Clone)]
pub(crate) struct ConnectArgs {
    /// Where the service is: HOST:PORT, by TLS unless it is loopback; or a URL.
    #[arg(long, env = "FERRY_ADDR", help_heading = "Service", value_name = "HOST:PORT", default_value = "127.0.0.1:50051", value_parser = Address::parse)]
    addr: Address,
    /// A file that holds an access token; read anew for each connection. Without it the variable FERRY_TOKEN holds one.
    #[arg(long, env = "FERRY_TOKEN_FILE", help_heading = "Service", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority of the service's certificate, in PEM form; those that the system trusts unless given.
    #[arg(long, env = "FERRY_CA", help_heading = "Service", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl ConnectArgs {
    /// Connects, with the token as it is now.
    pub(crate) async fn connect(&self) -> Result<Client, Problem> {
        let bearer = bearer(&self.token()?).map_err(|_| {
            let todo = "it is one line of visible characters, as the identity provider or `ferry token` gave it";
            Problem::new(format!("what {} holds is no token", self.token_place())).todo(todo)
        })?;
        let endpoint = self.endpoint()?.connect_timeout(CONNECT);
        let connected = endpoint.connect().await;
        Ok(Client::over(&connected.map_err(|error| self.unreachable(&error))?, bearer))
    }

    fn endpoint(&self) -> Result<Endpoint, Problem> {
        let odd = |error: &dyn std::error::Error| Problem::new(format!("{} cannot be used: {error}", self.addr));
        let endpoint = Endpoint::from_shared(self.addr.url().to_owned()).map_err(|error| odd(&error))?;
        if !self.addr.is_tls() {
            return Ok(endpoint);
        }
        let tls = match &self.ca {
            None => ClientTlsConfig::new().with_enabled_roots(),
            Some(path) => {
                let pem = std::fs::read(path)
                    .map_err(|error| Problem::new(format!("--ca {} cannot be read: {error}", path.display())))?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
            }
        };
        endpoint.tls_config(tls).map_err(|error| odd(&error))
    }

    /// What a call answers, or what went wrong.
    pub(crate) async fn ask<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Problem> {
        match tokio::time::timeout(ANSWER, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.explain(&status)),
            Err(_) => Err(self.silent(ANSWER)),
        }
    }

    /// The token as it is now. It goes into a header and nowhere else.
    pub(crate) fn token(&self) -> Result<String, Problem> {
        let token = match &self.token_file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Problem::new(format!("no token can be read from {}: {error}", path.display())))?,
            None => std::env::var(TOKEN).map_err(|_| {
                Problem::usage("there is no access token".to_owned())
                    .todo("name a file that holds one by --token-file or FERRY_TOKEN_FILE, or put one into FERRY_TOKEN")
            })?,
        };
        let token = token.trim();
        if token.is_empty() {
            return Err(Problem::new(format!("{} holds no token, it is empty", self.token_place())));
        }
        Ok(token.to_owned())
    }

    fn token_place(&self) -> String {
        self.token_file.as_ref().map_or_else(|| TOKEN.to_owned(), |path| path.display().to_string())
    }
}
