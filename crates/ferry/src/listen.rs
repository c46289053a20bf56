//! Where `ferry serve` listens, with which TLS, and how much callers may use.

use anyhow::bail;
use clap::{Args, ValueEnum};
use ferry_server::{Bounds, ClientCertificates, Limits, RequestRate, Tls, TlsFiles};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ListenArgs {
    /// Where callers connect. Without TLS only loopback is taken.
    #[arg(long, env = "FERRY_LISTEN", default_value = "127.0.0.1:50051")]
    pub(crate) listen: SocketAddr,
    /// The certificate shown to callers, and after it those up to its authority, in PEM form. Read again when it changes.
    #[arg(long, env = "FERRY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM form. Read again when it changes.
    #[arg(long, env = "FERRY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The authorities of callers' certificates, in PEM form. Callers need a token all the same.
    #[arg(long, env = "FERRY_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Whether callers must show a certificate; with --tls-client-ca they must unless told otherwise.
    #[arg(long, env = "FERRY_TLS_CLIENT", value_enum, value_name = "MODE", requires = "tls_client_ca")]
    pub(crate) tls_client: Option<ClientMode>,
    /// Serve without TLS on an address that is not loopback. Only where a proxy in front of it ends TLS and nobody else
    /// can reach the port: between the two, tokens travel in the clear. The limits of a peer are then the proxy's.
    #[arg(long, env = "FERRY_PLAINTEXT_BEHIND_PROXY", conflicts_with = "tls_cert")]
    pub(crate) plaintext_behind_proxy: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ClientMode {
    /// No connection without one.
    Required,
    /// One that is shown must be good.
    Optional,
}

impl ListenArgs {
    /// Plain connections, for loopback.
    pub(crate) fn plain(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            tls_client: None,
            plaintext_behind_proxy: false,
        }
    }

    /// TLS, or nothing where plain connections are taken. Anything else is refused.
    pub(crate) async fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let (Some(cert), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) else {
            if self.listen.ip().is_loopback() || self.plaintext_behind_proxy {
                return Ok(None);
            }
            bail!(
                "{} is not loopback, and without TLS tokens would travel in the clear: give --tls-cert and --tls-key, \
                 or listen on loopback, or set --plaintext-behind-proxy where a proxy in front ends TLS",
                self.listen
            );
        };
        let clients = match (self.tls_client_ca.clone(), self.tls_client) {
            (None, _) => ClientCertificates::None,
            (Some(path), Some(ClientMode::Optional)) => ClientCertificates::Optional(path),
            (Some(path), Some(ClientMode::Required) | None) => ClientCertificates::Required(path),
        };
        Ok(Some(Tls::open(TlsFiles { cert, key, clients }).await?))
    }
}

/// A number that is not zero.
fn some() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Open connections; more are closed at once.
    #[arg(long, env = "FERRY_MAX_CONNECTIONS", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.connections.total)]
    max_connections: u32,
    /// Open connections of one peer: an IPv4 address or an IPv6 /64. Raise it where a proxy stands in front.
    #[arg(long, env = "FERRY_MAX_CONNECTIONS_PER_PEER", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.connections.each)]
    max_connections_per_peer: u32,
    /// Requests at work; more are refused as RESOURCE_EXHAUSTED.
    #[arg(long, env = "FERRY_MAX_REQUESTS", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.requests.total)]
    max_requests: u32,
    /// Requests at work of one caller.
    #[arg(long, env = "FERRY_MAX_REQUESTS_PER_CALLER", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.requests.each)]
    max_requests_per_caller: u32,
    /// Open streams; more are refused as RESOURCE_EXHAUSTED.
    #[arg(long, env = "FERRY_MAX_STREAMS", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.streams.total)]
    max_streams: u32,
    /// Open streams of one caller, and of one peer where no token is needed.
    #[arg(long, env = "FERRY_MAX_STREAMS_PER_CALLER", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.streams.each)]
    max_streams_per_caller: u32,
    /// Open streams of one caller that watch runs.
    #[arg(long, env = "FERRY_MAX_WATCHERS_PER_CALLER", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.watchers_of_caller)]
    max_watchers_per_caller: u32,
    /// Open streams that watch the runs of one tenant.
    #[arg(long, env = "FERRY_MAX_WATCHERS_PER_TENANT", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.watchers_of_tenant)]
    max_watchers_per_tenant: u32,
    /// Requests a second of one tenant in the long run; more are refused as RESOURCE_EXHAUSTED with the time to wait.
    #[arg(long, env = "FERRY_TENANT_RATE", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.rate.per_second)]
    tenant_rate: u32,
    /// Requests of one tenant that may come at once after a pause.
    #[arg(long, env = "FERRY_TENANT_BURST", value_name = "COUNT", value_parser = some(),
        default_value_t = Limits::DEFAULT.rate.burst)]
    tenant_burst: u32,
}

impl From<Limits> for LimitArgs {
    fn from(limits: Limits) -> Self {
        Self {
            max_connections: limits.connections.total,
            max_connections_per_peer: limits.connections.each,
            max_requests: limits.requests.total,
            max_requests_per_caller: limits.requests.each,
            max_streams: limits.streams.total,
            max_streams_per_caller: limits.streams.each,
            max_watchers_per_caller: limits.watchers_of_caller,
            max_watchers_per_tenant: limits.watchers_of_tenant,
            tenant_rate: limits.rate.per_second,
            tenant_burst: limits.rate.burst,
        }
    }
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections: Bounds { total: self.max_connections, each: self.max_connections_per_peer },
            requests: Bounds { total: self.max_requests, each: self.max_requests_per_caller },
            streams: Bounds { total: self.max_streams, each: self.max_streams_per_caller },
            watchers_of_caller: self.max_watchers_per_caller,
            watchers_of_tenant: self.max_watchers_per_tenant,
            rate: RequestRate { per_second: self.tenant_rate, burst: self.tenant_burst },
        }
    }
}
