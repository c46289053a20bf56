//! A throw-away certificate authority and the server's certificate, made anew at each start.

use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Certificate;

/// What is needed to speak TLS, and the CA that clients must trust.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
}

impl Tls {
    pub(crate) fn new(hosts: &[String], certificate: Certificate) -> anyhow::Result<Self> {
        let shown = authority()?;
        let signer = match certificate {
            Certificate::OtherCa => &authority()?,
            Certificate::Valid | Certificate::Expired | Certificate::OtherHost => &shown,
        };
        let names = match certificate {
            Certificate::OtherHost => vec!["other.example".to_owned()],
            Certificate::Valid | Certificate::Expired | Certificate::OtherCa => hosts.to_vec(),
        };
        let key = KeyPair::generate().context("the server's key cannot be made")?;
        let mut leaf = CertificateParams::new(names).context("a host is no DNS name")?;
        leaf.distinguished_name.push(DnType::CommonName, "ferry-sim");
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        if certificate == Certificate::Expired {
            leaf.not_after = date_time_ymd(2020, 1, 1);
        }
        let leaf = leaf.signed_by(&key, signer).context("the server's certificate cannot be signed")?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .context("the server's certificate cannot be used")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem: shown.pem() })
    }
}

fn authority() -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let key = KeyPair::generate().context("the authority's key cannot be made")?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ferry-sim throw-away authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, key).context("the authority cannot be made")
}
