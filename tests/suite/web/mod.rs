//! What browsers get, over HTTP/1.1 as they speak it: the dashboard's files, gRPC-Web, and what other pages may do.

mod attacks;
mod calls;
mod origins;
mod page;
mod streams;
mod tls;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ferry_proto::v1 as pb;
use ferry_testkit::{Stage, TENANT, canary};
use prost::Message;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Response};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// How long a condition is waited for.
const SOON: Duration = Duration::from_secs(60);
const LISTEN: &str = "--listen=127.0.0.1:0";
const PORTAL: &str = "https://portal.example.com";
const GRPC_WEB: &str = "application/grpc-web+proto";
/// A frame with this flag holds trailers.
const TRAILERS: u8 = 0x80;
/// The flag and the length of a frame.
const PREFIX: usize = 5;

fn browser() -> Client {
    Client::builder().http1_only().no_proxy().build().unwrap()
}

fn at(stage: &Stage, path: &str) -> String {
    format!("http://{}{path}", stage.addr())
}

fn frame(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &bytes].concat()
}

/// A call as the dashboard makes it, without a token.
fn asking(stage: &Stage, method: &str, message: &impl Message) -> RequestBuilder {
    let call = browser().post(at(stage, &format!("/ferry.v1.{method}")));
    call.header("content-type", GRPC_WEB).header("x-grpc-web", "1").timeout(SOON).body(frame(message))
}

fn list(tenant: &str) -> pb::ListRunsRequest {
    pb::ListRunsRequest { parent: format!("tenants/{tenant}/exports/-"), ..Default::default() }
}

fn watch() -> pb::WatchRunsRequest {
    pb::WatchRunsRequest { parent: format!("tenants/{TENANT}/exports/-"), ..Default::default() }
}

/// An answer over gRPC-Web.
struct Answer {
    head: HeaderMap,
    messages: Vec<Vec<u8>>,
    /// The last frame; nothing where all is said in the head.
    trailers: Option<BTreeMap<String, String>>,
}

impl Answer {
    async fn of(call: RequestBuilder) -> Self {
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 200, "gRPC's errors are none of HTTP");
        assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
        assert!(response.headers().contains_key("x-request-id"), "every answer has a request id");
        let mut reader = Reader::new(response);
        let (mut messages, mut trailers) = (Vec::new(), None);
        while let Some(frame) = reader.next().await {
            assert!(trailers.is_none(), "trailers are the last");
            match frame {
                Frame::Message(message) => messages.push(message),
                Frame::Trailers(found) => trailers = Some(found),
            }
        }
        Self { head: reader.head, messages, trailers }
    }

    /// The status, wherever it stands.
    fn status(&self) -> Status {
        let head = |name: &str| self.head.get(name).map(|value| value.to_str().unwrap().to_owned());
        let told = |name: &str| match &self.trailers {
            Some(trailers) => trailers.get(name).cloned(),
            None => head(name),
        };
        status(told)
    }

    fn code(&self) -> Code {
        self.status().code()
    }

    fn only<T: Message + Default>(&self) -> T {
        assert_eq!(self.code(), Code::Ok, "{:?}", self.status());
        assert_eq!(self.messages.len(), 1);
        T::decode(&*self.messages[0]).unwrap()
    }
}

fn status(told: impl Fn(&str) -> Option<String>) -> Status {
    let code = Code::from_bytes(told("grpc-status").expect("there is a status").as_bytes());
    let details = told("grpc-status-details-bin").unwrap_or_default();
    let details = STANDARD_NO_PAD.decode(details.trim_end_matches('=')).unwrap();
    Status::with_details(code, told("grpc-message").unwrap_or_default(), details.into())
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap_or_else(|| panic!("{status:?} has no details")).reason
}

enum Frame {
    Message(Vec<u8>),
    Trailers(BTreeMap<String, String>),
}

/// Reads an answer frame by frame.
struct Reader {
    head: HeaderMap,
    body: Response,
    unread: Vec<u8>,
}

impl Reader {
    fn new(body: Response) -> Self {
        Self { head: body.headers().clone(), body, unread: Vec::new() }
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.whole() {
                return Some(frame);
            }
            let chunk = tokio::time::timeout(SOON, self.body.chunk()).await.expect("something comes soon").unwrap();
            match chunk {
                Some(chunk) => self.unread.extend_from_slice(&chunk),
                None => {
                    assert!(self.unread.is_empty(), "it ends within a frame");
                    return None;
                }
            }
        }
    }

    fn whole(&mut self) -> Option<Frame> {
        let length = u32::from_be_bytes(self.unread.get(1..PREFIX)?.try_into().unwrap()) as usize;
        let bytes = self.unread.get(PREFIX..PREFIX + length)?.to_vec();
        let flag = self.unread[0];
        self.unread.drain(..PREFIX + length);
        if flag != TRAILERS {
            assert_eq!(flag, 0, "what was not asked for is not packed");
            return Some(Frame::Message(bytes));
        }
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.split("\r\n").filter(|line| !line.is_empty());
        let pairs = lines.map(|line| line.split_once(':').unwrap_or_else(|| panic!("{line}")));
        Some(Frame::Trailers(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
    }
}

/// A stage with the export `weekly` of some people.
async fn with_export() -> (Stage, String) {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::people(5).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    (stage, export.name)
}
