//! Against real sockets: what leaves, and what is certain when it fails.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use http::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use secrecy::SecretString;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const HOST: &str = "demo.sim.test";
const DEADLINE: Duration = Duration::from_secs(5);

/// A TLS server that answers each connection's first request with fixed bytes, then closes.
struct Server {
    addr: SocketAddr,
    ca_pem: String,
    received: Arc<Mutex<Vec<u8>>>,
}

async fn server(answer: Vec<u8>) -> Server {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, ca_pem) = (listener.local_addr().unwrap(), authority.pem());
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut buffer = vec![0; 16 * 1024];
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            log.lock().unwrap().extend_from_slice(&buffer[..length]);
            let _gone = stream.write_all(&answer).await;
            let _gone = stream.shutdown().await;
        }
    });
    Server { addr, ca_pem, received }
}

fn client(addr: SocketAddr, ca_pem: &str) -> DestinationClient {
    let host = HostName::parse(HOST).unwrap();
    let development = vec![DevelopmentDestination { host: host.clone(), addr, ca_pem: ca_pem.to_owned() }];
    Egress::new(EgressConfig { development, ..EgressConfig::default() }).unwrap().destination(&host).unwrap()
}

fn request() -> Request {
    let name = http::HeaderName::from_static("api-token");
    Request::new(Method::POST, "/api/3/x", DEADLINE).secret_header(name, SecretString::from("canary"))
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let server = server(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok".to_vec()).await;
    let answer = client(server.addr, &server.ca_pem).send(request()).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (202, &b"ok"[..]));
    assert!(String::from_utf8_lossy(&server.received.lock().unwrap()).contains("api-token: canary"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let location = format!("https://{HOST}:{}/elsewhere", target.addr.port());
    let answer = format!("HTTP/1.1 307 T\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let server = server(answer.into_bytes()).await;
    let answer = client(server.addr, &server.ca_pem).send(request()).await.unwrap();
    assert_eq!(answer.status.as_u16(), 307);
    assert!(target.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_key_is_sent_to_nobody_whose_certificate_is_not_right() {
    let honest = server(Vec::new()).await;
    let other = server(Vec::new()).await;
    let result = client(other.addr, &honest.ca_pem).send(request()).await;
    assert_eq!(result.err(), Some(SendError::NotSent(Cause::Unreachable)));
    assert!(other.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_closed_port_is_certain_and_a_broken_connection_is_not() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = server(Vec::new()).await;
    let refused = client(closed, &silent.ca_pem).send(request()).await;
    assert_eq!(refused.err(), Some(SendError::NotSent(Cause::Unreachable)));
    let broken = client(silent.addr, &silent.ca_pem).send(request()).await;
    assert_eq!(broken.err(), Some(SendError::Unknown(Cause::Broken)));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(3 * 1024 * 1024, b'x');
    let server = server(answer).await;
    let result = client(server.addr, &server.ca_pem).send(request()).await;
    assert_eq!(result.err(), Some(SendError::Unknown(Cause::TooLarge)));
}

#[test]
fn only_listed_hosts_are_destinations() {
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let allowed = |name: &str| egress.destination(&HostName::parse(name).unwrap()).is_ok();
    assert!(allowed("acme.api-us1.com"));
    assert!(!allowed("acme.example.com"));
    assert!(!allowed("evilapi-us1.com"));
    assert!(!allowed("api-us1.com.evil.test"));
}

#[test]
fn a_development_destination_must_be_on_this_machine() {
    let host = HostName::parse(HOST).unwrap();
    let addr = "192.0.2.1:443".parse().unwrap();
    let development = vec![DevelopmentDestination { host, addr, ca_pem: String::new() }];
    assert!(Egress::new(EgressConfig { development, ..EgressConfig::default() }).is_err());
}
