use std::sync::Arc;

use ferry_sim::{AccountConfig, Certificate, Protocol, Sim, SimConfig, start};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{Bench, HOST, KEY, exchange};

async fn ask(sim: &Sim, host: &'static str) -> std::io::Result<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sim.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(sim.addr()).await?;
    let name = ServerName::try_from(host).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let headers = format!("Host: {host}\r\nApi-Token: {KEY}\r\n");
    Ok(exchange(&mut stream, "GET", "/api/3/users/me", &headers, b"").await?.status)
}

async fn with(certificate: Certificate) -> (Bench, std::io::Result<u16>) {
    let bench = Bench::with(|config| {
        config.options.protocol = Protocol::Tls;
        config.options.certificate = certificate;
    })
    .await;
    let answer = ask(&bench.sim, HOST).await;
    (bench, answer)
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served() {
    let (bench, answer) = with(Certificate::Valid).await;
    assert_eq!(answer.unwrap(), 200);
    assert!(ask(&bench.sim, "other.api-us1.com").await.is_err());
}

#[tokio::test]
async fn wrong_certificates_are_told_apart_from_right_ones() {
    for certificate in [Certificate::Expired, Certificate::OtherHost, Certificate::OtherCa] {
        assert!(with(certificate).await.1.is_err(), "{certificate:?}");
    }
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = SimConfig::new(AccountConfig::new(HOST, KEY), dir.path().join("journal"));
    config.listen = "0.0.0.0:0".parse().unwrap();
    assert!(start(config).await.is_err());
}
