//! A receiver of events on loopback, by https: it keeps what it gets, and answers as it is told.

use super::HOST;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferry_testkit::{Stage, eventually};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What came, as it came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(super) fn event(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered to one request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A status, with headers beside it.
    Status(u16, &'static str),
    /// Nothing, for as long as the other side waits.
    Nothing,
}

#[derive(Default)]
struct Inner {
    got: Vec<Got>,
    replies: VecDeque<Reply>,
    always: Option<Reply>,
}

/// See the module.
pub(super) struct Receiver {
    pub(super) addr: SocketAddr,
    ca_pem: String,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (acceptor, ca_pem) = tls();
        let (addr, inner) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Inner::default())));
        let kept = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else { return };
                    let Some(got) = read(&mut stream).await else { return };
                    let reply = {
                        let mut inner = kept.lock().unwrap();
                        inner.got.push(got);
                        let next = inner.replies.pop_front();
                        next.or(inner.always.clone()).unwrap_or(Reply::Status(204, ""))
                    };
                    let Reply::Status(status, headers) = reply else { return std::future::pending().await };
                    // Nobody has to read this.
                    let body = "x".repeat(100_000);
                    let head = format!("HTTP/1.1 {status} As told\r\n{headers}content-length: {}\r\n\r\n", body.len());
                    let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
                    let _gone = stream.shutdown().await;
                });
            }
        });
        Self { addr, ca_pem, inner }
    }

    /// The argument that lets a service reach it.
    pub(super) fn argument(&self, stage: &Stage) -> String {
        self.argument_as(stage, HOST)
    }

    /// The same, by another host's name.
    pub(super) fn argument_as(&self, stage: &Stage, host: &str) -> String {
        let file = stage.path(&format!("{host}.pem"));
        std::fs::write(&file, &self.ca_pem).unwrap();
        format!("--development-destination={host}={}={}", self.addr, file.display())
    }

    /// Answers the next requests like this, and then with 204.
    pub(super) fn replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.inner.lock().unwrap().replies.extend(replies);
    }

    /// Answers every request like this.
    pub(super) fn always(&self, reply: Option<Reply>) {
        self.inner.lock().unwrap().always = reply;
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.inner.lock().unwrap().got.clone()
    }

    /// Waits until it has got so many.
    pub(super) async fn gets(&self, count: usize) -> Vec<Got> {
        eventually(super::SOON, || async {
            let got = self.got();
            if got.len() >= count { Ok(got) } else { Err(got.len()) }
        })
        .await
    }
}

/// A request with its body; nothing if it breaks off.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Got> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("POST ") && first.ends_with(" HTTP/1.1"), "{first}");
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Got { path, headers, body })
}

/// A certificate for any host of these tests, and the authority that signed it.
fn tls() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec![HOST.to_owned(), super::SLOW_HOST.to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// Has each verified by a secret, by a program that knows the specification and nothing of Ferry.
pub(super) fn verify(secret: &str, all: &[Got]) {
    let mut verifier = Command::new("python3")
        .arg("webhook_verify.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs python3, which cannot be started: {error}"));
    let mut input = verifier.stdin.take().unwrap();
    for got in all {
        let line = serde_json::json!({
            "secret": secret,
            "id": got.id(),
            "timestamp": got.headers["webhook-timestamp"],
            "signature": got.headers["webhook-signature"],
            "body": STANDARD.encode(&got.body),
        });
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    let said = String::from_utf8(verifier.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said, "ok\n".repeat(all.len()));
}

#[test]
fn the_verifier_takes_the_published_vector() {
    let output = Command::new("python3").args(["webhook_verify.py", "--self-test"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "ok\n");
}
