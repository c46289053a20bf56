//! TLS for callers, by clients that bring their own.

use super::{LISTEN, SOON, channel, healthy};
use ferry_testkit::{Stage, binary, eventually};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["ferry.test".to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A client that trusts it, perhaps with a certificate of an authority.
    fn client(&self, shown: Option<&Self>, alpn: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let (cert, key) = authority.issue();
                let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
                builder.with_client_auth_cert(vec![cert.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

async fn handshake(addr: SocketAddr, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    TlsConnector::from(config).connect("ferry.test".try_into().unwrap(), stream).await
}

/// The certificate that is shown to a new connection.
async fn shown(addr: SocketAddr, config: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let stream = handshake(addr, Arc::clone(config)).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

/// A channel, with the number of connections that it has opened.
async fn secure(addr: SocketAddr, config: &Arc<ClientConfig>) -> Result<(Channel, Arc<AtomicU64>), Status> {
    let opened = Arc::new(AtomicU64::new(0));
    let (count, config) = (Arc::clone(&opened), Arc::clone(config));
    let connector = tower::service_fn(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let config = Arc::clone(&config);
        async move { handshake(addr, config).await.map(TokioIo::new) }
    });
    let connected = Endpoint::from_static("http://ferry.test").connect_with_connector(connector).await;
    Ok((connected.map_err(|error| Status::from_error(error.into()))?, opened))
}

async fn secure_and_healthy(addr: SocketAddr, config: &Arc<ClientConfig>) -> Result<(), Status> {
    healthy(secure(addr, config).await?.0).await
}

/// The files of a stage, and how they are named to the service.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(stage: &Stage) -> Self {
        Self { folder: stage.path("") }
    }

    fn write(&self, name: &str, text: &str) {
        let new = self.folder.join(format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.folder.join(name)).unwrap();
    }

    fn argument(&self, flag: &str, name: &str) -> String {
        format!("{flag}={}", self.folder.join(name).display())
    }

    async fn serve(&self, stage: &mut Stage, more: &[&str]) {
        let pair = [self.argument("--tls-cert", "cert.pem"), self.argument("--tls-key", "key.pem")];
        let args = [&[LISTEN, pair[0].as_str(), pair[1].as_str()], more].concat();
        stage.restart_with(&args).await;
    }
}

#[tokio::test]
async fn callers_speak_tls_with_http2_inside_or_are_cut() {
    let (mut stage, authority) = (Stage::new().await, Authority::new());
    let files = Files::new(&stage);
    let (cert, key) = authority.issue();
    files.write("cert.pem", &cert.pem());
    files.write("key.pem", &key.serialize_pem());
    files.serve(&mut stage, &[]).await;
    secure_and_healthy(stage.addr(), &authority.client(None, b"h2")).await.unwrap();
    assert!(
        secure_and_healthy(stage.addr(), &Authority::new().client(None, b"h2")).await.is_err(),
        "another authority"
    );
    assert!(secure_and_healthy(stage.addr(), &authority.client(None, b"http/1.1")).await.is_err(), "another protocol");
    let plain = Endpoint::from_shared(format!("http://{}", stage.addr())).unwrap().connect().await;
    let answered = match plain {
        Ok(channel) => healthy(channel).await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "nothing is said in the clear");
}

#[tokio::test]
async fn a_certificate_of_a_caller_is_required_or_optional_and_always_checked() {
    let (mut stage, authority, callers) = (Stage::new().await, Authority::new(), Authority::new());
    let files = Files::new(&stage);
    let (cert, key) = authority.issue();
    files.write("cert.pem", &cert.pem());
    files.write("key.pem", &key.serialize_pem());
    files.write("ca.pem", &callers.0.pem());
    let ca = files.argument("--tls-client-ca", "ca.pem");
    for (mode, without) in
        [(None, false), (Some("--tls-client=required"), false), (Some("--tls-client=optional"), true)]
    {
        let args: Vec<&str> = std::iter::once(ca.as_str()).chain(mode).collect();
        files.serve(&mut stage, &args).await;
        let good = authority.client(Some(&callers), b"h2");
        let wrong = authority.client(Some(&authority), b"h2");
        let none = authority.client(None, b"h2");
        secure_and_healthy(stage.addr(), &good).await.unwrap();
        assert!(secure_and_healthy(stage.addr(), &wrong).await.is_err(), "{mode:?}");
        assert_eq!(secure_and_healthy(stage.addr(), &none).await.is_ok(), without, "{mode:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_a_broken_one_for_none() {
    let (mut stage, authority) = (Stage::new().await, Authority::new());
    let files = Files::new(&stage);
    let (old, old_key) = authority.issue();
    let (new, new_key) = authority.issue();
    files.write("cert.pem", &old.pem());
    files.write("key.pem", &old_key.serialize_pem());
    files.serve(&mut stage, &[]).await;
    let client = authority.client(None, b"h2");
    let (open, opened) = secure(stage.addr(), &client).await.unwrap();
    healthy(open.clone()).await.unwrap();
    files.write("cert.pem", &new.pem());
    eventually(SOON, || async {
        let log = std::fs::read_to_string(stage.log()).unwrap();
        let told = log.lines().any(|line| line.contains("ERROR") && line.contains("is not the key of"));
        if told { Ok(()) } else { Err("half of a pair is not told yet") }
    })
    .await;
    assert_eq!(&shown(stage.addr(), &client).await, old.der());
    files.write("key.pem", &new_key.serialize_pem());
    eventually(SOON, || async {
        if &shown(stage.addr(), &client).await == new.der() { Ok(()) } else { Err("the old one is still shown") }
    })
    .await;
    healthy(open).await.unwrap();
    assert_eq!(opened.load(Ordering::Relaxed), 1, "the connection of before goes on");
}

#[test]
fn plain_connections_from_elsewhere_are_refused_at_the_start_with_three_ways_out() {
    let folder = tempfile::tempdir().unwrap();
    let base = ["--issuer=https://issuer.test", "--audience=ferry", "--jwks=none", "--data-dir=d", "--keys-dir=k"];
    let refused = |args: &[&str]| {
        let mut command = std::process::Command::new(binary("ferry"));
        command.current_dir(folder.path()).arg("serve").args(base).arg("--segments-dir=s").args(args);
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for listen in ["--listen=0.0.0.0:0", "--listen=[::]:0"] {
        let text = refused(&[listen]);
        for way in ["--tls-cert", "loopback", "--plaintext-behind-proxy"] {
            assert!(text.contains(way), "{text}");
        }
    }
    for (args, expected) in [
        (&["--tls-cert=c.pem"][..], "--tls-key"),
        (&["--tls-key=k.pem"], "--tls-cert"),
        (&["--tls-client-ca=ca.pem"], "--tls-cert"),
        (&["--tls-cert=c.pem", "--tls-key=k.pem", "--plaintext-behind-proxy"], "cannot be used with"),
        (&["--tls-cert=c.pem", "--tls-key=k.pem"], "c.pem cannot be read"),
        (&["--tenant-rate=0"], "0 is not in 1.."),
        (&["--max-streams=-1"], "-1 is not in 1.."),
    ] {
        let text = refused(args);
        assert!(text.contains(expected), "{args:?}: {text}");
    }
}

#[tokio::test]
async fn behind_a_proxy_plain_connections_are_taken_by_an_explicit_setting() {
    let mut stage = Stage::new().await;
    stage.restart_with(&["--listen=0.0.0.0:0", "--plaintext-behind-proxy"]).await;
    let addr = SocketAddr::from(([127, 0, 0, 1], stage.addr().port()));
    healthy(channel(addr).await).await.unwrap();
}
