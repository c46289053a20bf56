//! Calls by path and bytes, so that all RPCs are called and compared in one way.

use crate::codec::Raw;
use ferry_testkit::Watched;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

const LIMIT: Duration = Duration::from_secs(40);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) details: Vec<u8>,
    /// Sorted, without the request's id and the date.
    pub(super) metadata: Vec<String>,
    /// The response, or the first of a stream.
    pub(super) body: Vec<u8>,
}

/// A connection to the service.
#[derive(Clone)]
pub(super) struct Wire(Watched);

impl Wire {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        Self(Watched::connect(addr).await)
    }

    /// Calls an RPC. A limit of the tenant's rate is waited for as the answer says.
    pub(super) async fn call(&self, rpc: &str, is_stream: bool, token: &str, body: &[u8]) -> Answer {
        let answer = tokio::time::timeout(LIMIT, self.patiently(rpc, is_stream, token, body)).await;
        answer.unwrap_or_else(|_| panic!("{rpc} does not answer within {LIMIT:?}"))
    }

    async fn patiently(&self, rpc: &str, is_stream: bool, token: &str, body: &[u8]) -> Answer {
        loop {
            let status = match self.once(rpc, is_stream, token, body).await {
                Ok(answer) => return answer,
                Err(status) => status,
            };
            let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
            match wait {
                Some(wait) if status.code() == Code::ResourceExhausted => tokio::time::sleep(wait).await,
                _ => return refusal(&status),
            }
        }
    }

    async fn once(&self, rpc: &str, is_stream: bool, token: &str, body: &[u8]) -> Result<Answer, Status> {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        client.ready().await.unwrap();
        let mut request = Request::new(body.to_vec());
        if !token.is_empty() {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let path = format!("/ferry.v1.{rpc}").parse().unwrap();
        let (metadata, body) = if is_stream {
            let response = client.server_streaming(request, path, Raw).await?;
            let metadata = plain(response.metadata());
            (metadata, response.into_inner().message().await?.unwrap_or_default())
        } else {
            let response = client.unary(request, path, Raw).await?;
            (plain(response.metadata()), response.into_inner())
        };
        Ok(Answer { code: Code::Ok, message: String::new(), details: Vec::new(), metadata, body })
    }
}

/// The reason of a refusal.
pub(super) fn reason(answer: &Answer) -> String {
    let details = Status::with_details(answer.code, "", answer.details.clone().into());
    details.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn refusal(status: &Status) -> Answer {
    Answer {
        code: status.code(),
        message: status.message().to_owned(),
        details: status.details().to_vec(),
        metadata: plain(status.metadata()),
        body: Vec::new(),
    }
}

fn plain(metadata: &tonic::metadata::MetadataMap) -> Vec<String> {
    let headers = metadata.clone().into_headers();
    let told = headers.iter().filter(|(name, _)| *name != "x-request-id" && *name != "date");
    let mut lines: Vec<String> = told.map(|(name, value)| format!("{name}: {value:?}")).collect();
    lines.sort();
    lines
}
