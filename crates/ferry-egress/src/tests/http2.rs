use super::support::{HOST, OK, authority, client, request};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// So no frame of it (GOAWAY, `REFUSED_STREAM`, RST) can ever meet a request.
#[tokio::test]
async fn http_2_is_not_spoken_even_with_a_server_that_prefers_it() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(socket).await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let mut begin = [0; 5];
        stream.read_exact(&mut begin).await.unwrap();
        stream.write_all(OK).await.unwrap();
        stream.shutdown().await.unwrap();
        (chosen, begin)
    });
    client(addr, &authority.pem()).send(request()).await.unwrap();
    let (chosen, begin) = server.await.unwrap();
    assert_ne!(chosen.as_deref(), Some(&b"h2"[..]));
    assert_eq!(&begin, b"POST ");
}
