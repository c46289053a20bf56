//! A server on loopback that answers as the documentation of Vault's KV version 2 says.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(super) const TOKEN: &str = "hvs.canary-token";

/// What it does instead of answering.
#[derive(Clone)]
pub(super) enum Fault {
    Status(u16),
    Redirect(SocketAddr),
    Raw(String),
    /// The answer never ends, and comes at once or by the byte.
    Endless,
    Silent,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) fault: Option<Fault>,
    pub(super) namespace: Option<String>,
    /// Path below `/v1/` to the data of its newest version; none if that was deleted.
    pub(super) secrets: HashMap<String, Option<String>>,
    /// Heads of the requests.
    pub(super) requests: Vec<String>,
}

#[derive(Clone)]
pub(super) struct KvServer {
    pub(super) addr: SocketAddr,
    pub(super) ca_pem: Option<String>,
    pub(super) state: Arc<Mutex<State>>,
}

impl KvServer {
    pub(super) async fn start(tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (acceptor, ca_pem) = tls.then(acceptor).unzip();
        let server = Self { addr: listener.local_addr().unwrap(), ca_pem, state: Arc::default() };
        let state = Arc::clone(&server.state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (state, acceptor) = (Arc::clone(&state), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(socket, &state).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(socket).await {
                                serve(stream, &state).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(super) fn address(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    pub(super) fn put(&self, path: &str, data: Option<&str>) {
        self.state.lock().unwrap().secrets.insert(path.to_owned(), data.map(str::to_owned));
    }

    pub(super) fn fault(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().fault = fault;
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn acceptor() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let fault = {
        let mut state = state.lock().unwrap();
        state.requests.push(head.clone());
        state.fault.clone()
    };
    let text = match fault {
        None => answer(&head, &state.lock().unwrap()),
        Some(Fault::Raw(body)) => response(200, &body),
        Some(Fault::Status(status)) => response(status, r#"{"errors":["inside of the store"]}"#),
        Some(Fault::Redirect(to)) => {
            format!("HTTP/1.1 307 Temporary\r\nlocation: http://{to}/v1/x\r\ncontent-length: 0\r\n\r\n")
        }
        Some(Fault::Silent) => return std::future::pending().await,
        Some(Fault::Endless) => {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b' '; 4096]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            return;
        }
    };
    let _gone = stream.write_all(text.as_bytes()).await;
    let _gone = stream.shutdown().await;
}

fn answer(head: &str, state: &State) -> String {
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    if header("x-vault-token") != Some(TOKEN) || header("x-vault-namespace") != state.namespace.as_deref() {
        return response(403, r#"{"errors":["permission denied"]}"#);
    }
    let path = head.strip_prefix("GET /v1/").and_then(|rest| rest.split(' ').next()).unwrap();
    let metadata = r#""metadata":{"created_time":"2018-03-22T02:24:06.945319214Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}"#;
    match state.secrets.get(path) {
        None => response(404, r#"{"errors":[]}"#),
        Some(None) => response(404, &format!(r#"{{"data":{{"data":null,{metadata}}}}}"#)),
        Some(Some(data)) => response(200, &format!(r#"{{"request_id":"x","data":{{"data":{data},{metadata}}}}}"#)),
    }
}

fn response(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} S\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
