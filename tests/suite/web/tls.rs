//! Both protocols on one port with TLS.

use super::{GRPC_WEB, LISTEN, frame, list};
use ferry_testkit::{Stage, TENANT};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, ClientBuilder, StatusCode, Version};

/// Serves with a certificate; returns it with those that signed it.
async fn secured(stage: &mut Stage) -> Certificate {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["ferry.test".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let cert = params.signed_by(&key, &authority).unwrap();
    std::fs::write(stage.path("cert.pem"), cert.pem()).unwrap();
    std::fs::write(stage.path("key.pem"), key.serialize_pem()).unwrap();
    let file = |flag: &str, name: &str| format!("{flag}={}", stage.path(name).display());
    let args = [file("--tls-cert", "cert.pem"), file("--tls-key", "key.pem")];
    stage.restart_with(&[LISTEN, &args[0], &args[1]]).await;
    Certificate::from_pem(authority.pem().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_browser_chooses_between_http2_and_http1_in_its_handshake() {
    let mut stage = Stage::new().await;
    let authority = secured(&mut stage).await;
    let port = stage.addr().port();
    let client = |with: fn(ClientBuilder) -> ClientBuilder| {
        let builder = Client::builder().no_proxy().tls_certs_only([authority.clone()]);
        with(builder.resolve("ferry.test", stage.addr())).build().unwrap()
    };
    for (client, version) in
        [(client(|builder| builder), Version::HTTP_2), (client(ClientBuilder::http1_only), Version::HTTP_11)]
    {
        let page = client.get(format!("https://ferry.test:{port}/")).send().await.unwrap();
        assert_eq!((page.status(), page.version()), (StatusCode::OK, version));
        let missing = client.get(format!("https://ferry.test:{port}/x")).send().await.unwrap();
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        assert!(missing.headers().contains_key("content-security-policy"));
        let call = |origin: &str| {
            let call = client.post(format!("https://ferry.test:{port}/ferry.v1.RunService/ListRuns"));
            let call = call.bearer_auth(stage.token("viewer")).header("content-type", GRPC_WEB);
            call.header("origin", origin).body(frame(&list(TENANT))).send()
        };
        let answer = call(&format!("https://ferry.test:{port}")).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, version));
        assert!(answer.bytes().await.unwrap().ends_with(b"grpc-status:0\r\n"));
        // A page that came in the clear is another origin.
        assert_eq!(call(&format!("http://ferry.test:{port}")).await.unwrap().status(), StatusCode::FORBIDDEN);
    }
}
