use super::support::{DEADLINE, OK, client, plain, request, server};
use crate::{Egress, EgressConfig};
use std::env;
use std::net::SocketAddr;

const TARGET: &str = "FERRY_EGRESS_TEST_TARGET";
const AUTHORITY: &str = "FERRY_EGRESS_TEST_AUTHORITY";
const DOCUMENT: &str = "FERRY_EGRESS_TEST_DOCUMENT";

/// The environment of this process stays as it is, so the test runs itself again in one that names a proxy.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_asked() {
    if let Ok(target) = env::var(TARGET) {
        return as_child(&target).await;
    }
    let (proxy, proxy_seen) = plain(b"HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n").await;
    let (document, document_seen) = plain(OK).await;
    let target = server(OK).await;
    let mut child = tokio::process::Command::new(env::current_exe().unwrap());
    child.args(["--exact", "tests::proxy::a_proxy_of_the_environment_is_not_asked"]).kill_on_drop(true);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, format!("http://{proxy}"));
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    child.env(TARGET, target.addr.to_string()).env(AUTHORITY, &target.ca_pem).env(DOCUMENT, document.to_string());
    let output = child.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((target.connections(), document_seen.lock().unwrap().connections), (1, 1));
    assert_eq!(proxy_seen.lock().unwrap().connections, 0);
}

async fn as_child(target: &str) {
    let target: SocketAddr = target.parse().unwrap();
    client(target, &env::var(AUTHORITY).unwrap()).send(request()).await.unwrap();
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let url = format!("http://{}/keys", env::var(DOCUMENT).unwrap());
    egress.operator_get(&url, 1024, DEADLINE).await.unwrap();
}
