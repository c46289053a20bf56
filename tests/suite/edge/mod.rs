//! The edge: what is refused before a handler is asked, and how connections begin and end.

mod budget;
mod deadline;
mod drain;
mod places;
mod size;
mod tls;

use ferry_proto::v1 as pb;
use ferry_testkit::{Client, TENANT};
use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

const LISTEN: &str = "--listen=127.0.0.1:0";
/// How long a condition is waited for.
const SOON: Duration = Duration::from_secs(60);

async fn channel(addr: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap()
}

async fn healthy(channel: Channel) -> Result<(), Status> {
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.map(|_| ())
}

/// A cheap request about a tenant.
async fn ask(client: &Client, tenant: &str) -> Result<(), Status> {
    let request = pb::ListRunsRequest { parent: format!("tenants/{tenant}/exports/-"), ..Default::default() };
    client.clone().runs.list_runs(request).await.map(Response::into_inner).map(|_| ())
}

async fn ask_acme(client: &Client) -> Result<(), Status> {
    ask(client, TENANT).await
}

/// The wait that a refusal tells.
fn retry_delay(status: &Status) -> Duration {
    status.get_details_retry_info().unwrap().retry_delay.unwrap()
}
