//! TLS for callers. Certificate, key and authorities are read again when their files change; connections that are open
//! keep what they began with.

use crate::listener::Speaks;
use aws_lc_rs::digest;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

/// How often the files are looked at. Their content is compared, since a mounted secret is changed by moving a link.
const LOOK: Duration = Duration::from_secs(2);
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The files of TLS, all in PEM form.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and after it those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whether callers show certificates too.
    pub clients: ClientCertificates,
}

/// What is asked of callers beside their token. A certificate opens no right.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    /// Nothing.
    None,
    /// A certificate of one of these authorities, or none.
    Optional(PathBuf),
    /// A certificate of one of these authorities.
    Required(PathBuf),
}

/// Why files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        cause: std::io::ErrorKind,
    },
    /// A file has not what is looked for.
    #[error("{} holds no {what} in PEM form", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Two files that do not belong together.
    #[error("the key in {} is not the key of the first certificate in {}", .key.display(), .cert.display())]
    OtherKey {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        cert: PathBuf,
    },
    /// TLS refuses it.
    #[error("{} cannot be used: {cause}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

/// TLS with what its files last held that could be used.
pub struct Tls {
    files: TlsFiles,
    current: watch::Sender<InForce>,
}

struct InForce {
    config: Arc<ServerConfig>,
    /// Of the files that it was made from.
    digest: Vec<u8>,
}

impl Tls {
    /// Reads the files. A start with files that cannot be used fails.
    pub async fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files).await?;
        let current = InForce { config: contents.config(&files)?, digest: contents.digest() };
        Ok(Self { files, current: watch::Sender::new(current) })
    }

    /// Follows the files for ever.
    pub(crate) async fn follow(&self) {
        let mut told = None;
        loop {
            tokio::time::sleep(LOOK).await;
            match self.look().await {
                Ok(true) => tracing::info!("the TLS certificate was read anew"),
                Ok(false) => {}
                Err(error) => {
                    // Once for each failure, not every two seconds.
                    if told.as_ref() != Some(&error) {
                        tracing::error!(cause = %error, "the TLS files cannot be used; the ones before stay in force");
                    }
                    told = Some(error);
                    continue;
                }
            }
            told = None;
        }
    }

    /// Takes the files if they have changed and can be used, all of them or none.
    async fn look(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files).await?;
        let digest = contents.digest();
        if self.current.borrow().digest == digest {
            return Ok(false);
        }
        self.current.send_replace(InForce { config: contents.config(&self.files)?, digest });
        Ok(true)
    }
}

/// A handshake with what is in force now. Returns the protocol that both have agreed on as well. The error names no byte
/// of the peer.
pub(crate) async fn handshake(tls: &Tls, stream: TcpStream) -> Result<(TlsStream<TcpStream>, Speaks), &'static str> {
    let config = Arc::clone(&tls.current.borrow().config);
    let stream = TlsAcceptor::from(config).accept(stream).await.map_err(|_| "its TLS handshake failed")?;
    // A caller that does not say HTTP in its handshake may mean something else by the same bytes.
    match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Ok((stream, Speaks::Http2)),
        Some(HTTP1) => Ok((stream, Speaks::Http1)),
        _ => Err("it asks for no HTTP"),
    }
}

/// What the files hold. The key is wiped from memory when this goes.
struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    authorities: Option<Vec<u8>>,
}

impl Contents {
    async fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(&files.cert).await?,
            key: Zeroizing::new(read(&files.key).await?),
            authorities: match &files.clients {
                ClientCertificates::None => None,
                ClientCertificates::Optional(path) | ClientCertificates::Required(path) => Some(read(path).await?),
            },
        })
    }

    /// Each part with its length, so that no two contents run together.
    fn digest(&self) -> Vec<u8> {
        let mut context = digest::Context::new(&digest::SHA256);
        let authorities = self.authorities.as_deref().unwrap_or_default();
        for part in [&self.cert, self.key.as_slice(), authorities] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.finish().as_ref().to_vec()
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(default_provider());
        let chain = certificates(&files.cert, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| TlsError::Empty { path: files.key.clone(), what: "private key" })?;
        let clients = self.clients(files, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&files.cert, error))?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    TlsError::OtherKey { key: files.key.clone(), cert: files.cert.clone() }
                }
                other => unusable(&files.key, other),
            })?;
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Arc::new(config))
    }

    fn clients(
        &self,
        files: &TlsFiles,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (path, optional) = match &files.clients {
            ClientCertificates::None => return Ok(WebPkiClientVerifier::no_client_auth()),
            ClientCertificates::Optional(path) => (path, true),
            ClientCertificates::Required(path) => (path, false),
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates(path, self.authorities.as_deref().unwrap_or_default())? {
            roots.add(authority).map_err(|error| unusable(path, error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
        verifier.build().map_err(|error| unusable(path, error))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error: std::io::Error| TlsError::Unreadable { path: path.to_owned(), cause: error.kind() };
    tokio::fs::read(path).await.map_err(failed)
}

/// All of them: a file that breaks off in the middle of one is not taken for a shorter one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| TlsError::Empty { path: path.to_owned(), what: "certificate" })
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable { path: path.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
