//! Servers on loopback: TLS, plain TCP and DNS.

use crate::{DestinationClient, DevelopmentDestination, Egress, EgressConfig, HostName, Request};
use http::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use secrecy::SecretString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

pub(super) const HOST: &str = "demo.sim.test";
pub(super) const CANARY: &str = "canary-7f3a";
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

pub(super) fn host() -> HostName {
    HostName::parse(HOST).unwrap()
}

pub(super) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Accepts TLS with a certificate of these parameters.
pub(super) fn acceptor(params: &CertificateParams, authority: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What a server saw.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) server_names: Vec<Option<String>>,
}

/// How a server answers the first request of each connection; then it closes.
#[derive(Clone)]
pub(super) enum Reply {
    Whole(Vec<u8>),
    /// The first bytes, then one byte again and again.
    Drip(Vec<u8>),
}

/// A TLS server, and the authority that signed its certificate.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    pub(super) ca_pem: String,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

pub(super) async fn server(answer: impl Into<Vec<u8>>) -> Server {
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), Reply::Whole(answer.into()))
}

pub(super) fn serve(listener: TcpListener, reply: Reply) -> Server {
    serve_as(HOST, listener, reply)
}

pub(super) fn serve_as(name: &str, listener: TcpListener, reply: Reply) -> Server {
    let authority = authority();
    let acceptor = acceptor(&CertificateParams::new(vec![name.to_owned()]).unwrap(), &authority);
    let (addr, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Seen::default())));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            log.lock().unwrap().connections += 1;
            let (acceptor, log, reply) = (acceptor.clone(), Arc::clone(&log), reply.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                log.lock().unwrap().server_names.push(name);
                let mut buffer = vec![0; 16 * 1024];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                log.lock().unwrap().bytes.extend_from_slice(&buffer[..length]);
                answer(&mut stream, reply).await;
            });
        }
    });
    Server { addr, ca_pem: authority.pem(), seen }
}

async fn answer(stream: &mut (impl AsyncWriteExt + Unpin), reply: Reply) {
    let (Reply::Whole(first) | Reply::Drip(first)) = &reply;
    if stream.write_all(first).await.is_err() {
        return;
    }
    if matches!(reply, Reply::Drip(_)) {
        while stream.write_all(b"x").await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let _gone = stream.shutdown().await;
}

/// Listens without TLS, keeps what arrives, and answers each connection with fixed bytes.
pub(super) async fn plain(answer: &'static [u8]) -> (SocketAddr, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Seen::default())));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            log.lock().unwrap().connections += 1;
            let mut buffer = vec![0; 16 * 1024];
            let length = socket.read(&mut buffer).await.unwrap_or(0);
            log.lock().unwrap().bytes.extend_from_slice(&buffer[..length]);
            let _gone = socket.write_all(answer).await;
            while let Ok(length @ 1..) = socket.read(&mut buffer).await {
                log.lock().unwrap().bytes.extend_from_slice(&buffer[..length]);
            }
        }
    });
    (addr, seen)
}

/// The client of a development destination at this address.
pub(super) fn client(addr: SocketAddr, ca_pem: &str) -> DestinationClient {
    let development = vec![DevelopmentDestination { host: host(), addr, ca_pem: Some(ca_pem.to_owned()) }];
    Egress::new(EgressConfig { development, ..EgressConfig::default() }).unwrap().destination(&host()).unwrap()
}

pub(super) fn request() -> Request {
    let name = http::HeaderName::from_static("api-token");
    Request::new(Method::POST, "/api/3/x", DEADLINE).secret_header(name, SecretString::from(CANARY))
}

/// What a name server answers.
#[derive(Clone, Copy)]
pub(super) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    /// The records that follow belong to this name.
    Cname(&'static str),
}

pub(super) const A: u16 = 1;
pub(super) const AAAA: u16 = 28;

/// A name server on UDP whose answers may be kept for no time at all. `answers` is asked with the type of the record
/// and how often that type was asked for before.
pub(super) async fn dns(answers: impl Fn(u16, usize) -> Vec<Record> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        let (mut a, mut aaaa) = (0, 0);
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = question(&buffer[..length]);
            let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
            let count = if kind == A { &mut a } else { &mut aaaa };
            let records = answers(kind, *count);
            *count += 1;
            socket.send_to(&message([buffer[0], buffer[1]], question, &records), from).await.unwrap();
        }
    });
    addr
}

/// Name, type and class.
fn question(query: &[u8]) -> &[u8] {
    let mut end = 12;
    while query[end] != 0 {
        end += 1 + usize::from(query[end]);
    }
    &query[12..end + 5]
}

fn message(id: [u8; 2], question: &[u8], records: &[Record]) -> Vec<u8> {
    let count = u8::try_from(records.len()).unwrap();
    let mut bytes = vec![id[0], id[1], 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
    bytes.extend_from_slice(question);
    let mut owner = question[..question.len() - 4].to_vec();
    for record in records {
        let (kind, data) = match record {
            Record::A(address) => (A, address.octets().to_vec()),
            Record::Aaaa(address) => (AAAA, address.octets().to_vec()),
            Record::Cname(name) => (5, encoded(name)),
        };
        bytes.extend_from_slice(&owner);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&data);
        if let Record::Cname(name) = record {
            owner = encoded(name);
        }
    }
    bytes
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
