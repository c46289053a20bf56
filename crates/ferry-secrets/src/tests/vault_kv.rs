use super::kv_server::{Fault, KvServer, TOKEN};
use super::{config, egress, resolve};
use crate::{ConfigError, SecretError, SecretStores, SecretStoresConfig, StoreKind, VaultKvConfig};
use ferry_egress::OperatorOrigin;
use std::fs;
use std::path::Path;
use tempfile::NamedTempFile;

const KIND: StoreKind = StoreKind::Vault;
const PATH: &str = "secret/data/ferry/acme/crm/key";
const REFERENCE: &str = "vault:crm/key#value";

fn token_file(token: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), token).unwrap();
    file
}

fn kv_config(server: &KvServer, token_file: &Path) -> VaultKvConfig {
    VaultKvConfig {
        address: OperatorOrigin::parse(&server.address()).unwrap(),
        ca_pem: server.ca_pem.clone(),
        mount: "secret".to_owned(),
        prefix: "ferry".to_owned(),
        namespace: None,
        token_file: token_file.to_owned(),
    }
}

fn stores(vault: VaultKvConfig) -> Result<SecretStores, ConfigError> {
    SecretStores::new(SecretStoresConfig { vault: Some(vault), ..config() }, &egress())
}

/// A server with one secret, its token, and the stores that use both.
async fn started() -> (KvServer, NamedTempFile, SecretStores) {
    let (server, token) = (KvServer::start(false).await, token_file(&format!("{TOKEN}\n")));
    server.put(PATH, Some(r#"{"value":"the-key","other":"another"}"#));
    let stores = stores(kv_config(&server, token.path())).unwrap();
    (server, token, stores)
}

#[tokio::test]
async fn a_field_is_read_below_the_tenants_path_anew_each_time() {
    let (server, _token, stores) = started().await;
    assert_eq!(resolve(&stores, REFERENCE).await.unwrap(), "the-key");
    assert_eq!(resolve(&stores, "vault:crm/key#other").await.unwrap(), "another");
    server.put(PATH, Some(r#"{"value":"new-key"}"#));
    assert_eq!(resolve(&stores, REFERENCE).await.unwrap(), "new-key");
    let requests = server.requests();
    assert!(requests[0].starts_with(&format!("GET /v1/{PATH} HTTP/1.1\r\n")) && requests.len() == 3);
    assert!(!requests[0].contains("x-vault-namespace"));
}

#[tokio::test]
async fn mount_prefix_and_namespace_are_the_operators() {
    let (server, token) = (KvServer::start(false).await, token_file(TOKEN));
    server.state.lock().unwrap().namespace = Some("team/a".to_owned());
    server.put("kv/eu/data/acme/key", Some(r#"{"value":"the-key"}"#));
    let mut config = kv_config(&server, token.path());
    (config.mount, config.prefix, config.namespace) = ("kv/eu".to_owned(), String::new(), Some("team/a".to_owned()));
    assert_eq!(resolve(&stores(config).unwrap(), "vault:key#value").await.unwrap(), "the-key");
    for bad in ["/kv", "kv/", "../sys", "kv?x", "k v", "kv#", "a//b", "kv\r\nx: y"] {
        let mut configs = vec![kv_config(&server, token.path()); 3];
        (configs[0].mount, configs[1].prefix) = (bad.to_owned(), bad.to_owned());
        configs[2].namespace = Some(bad.to_owned());
        for config in configs {
            assert!(matches!(stores(config).err(), Some(ConfigError::VaultPath(_))), "{bad:?}");
        }
    }
}

#[tokio::test]
async fn a_server_with_the_operators_own_authority_is_reached_by_tls() {
    let (server, token) = (KvServer::start(true).await, token_file(TOKEN));
    server.put(PATH, Some(r#"{"value":"the-key"}"#));
    assert_eq!(resolve(&stores(kv_config(&server, token.path())).unwrap(), REFERENCE).await.unwrap(), "the-key");
    let mut config = kv_config(&server, token.path());
    config.ca_pem = KvServer::start(true).await.ca_pem;
    assert_eq!(resolve(&stores(config).unwrap(), REFERENCE).await, Err(SecretError::Unreachable(KIND)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_is_not_there_or_was_deleted_is_missing() {
    let (server, _token, stores) = started().await;
    let missing = Err(SecretError::Missing(KIND));
    for text in ["vault:nothing#value", "vault:crm#value", "vault:crm/key#nothing", "vault:crm/key/below#value"] {
        assert_eq!(resolve(&stores, text).await, missing, "{text}");
    }
    server.put(PATH, None);
    assert_eq!(resolve(&stores, REFERENCE).await, missing);
    for body in [r#"{"data":null}"#, r#"{"data":{"data":null,"metadata":{}}}"#, r#"{"data":{"data":{"value":null}}}"#] {
        server.fault(Some(Fault::Raw(body.to_owned())));
        assert_eq!(resolve(&stores, REFERENCE).await, missing, "{body}");
    }
}

#[tokio::test]
async fn what_is_no_key_is_malformed() {
    let (server, _token, stores) = started().await;
    let long = format!(r#""{}""#, "x".repeat(1025));
    for value in ["1", "true", "[]", "{}", r#"["the-key"]"#, r#""""#, r#""a b""#, r#""a\n""#, r#""ä""#, &long] {
        server.put(PATH, Some(&format!(r#"{{"value":{value}}}"#)));
        assert_eq!(resolve(&stores, REFERENCE).await, Err(SecretError::Malformed(KIND)), "{value}");
    }
}

#[tokio::test]
async fn each_status_is_its_own_error() {
    let (server, _token, stores) = started().await;
    for (status, error, temporary) in [
        (403, SecretError::Denied(KIND), false),
        (404, SecretError::Missing(KIND), false),
        (412, SecretError::Busy(KIND), true),
        (429, SecretError::Busy(KIND), true),
        (473, SecretError::Busy(KIND), true),
        (503, SecretError::Sealed(KIND), true),
        (204, SecretError::Unreachable(KIND), true),
        (400, SecretError::Unreachable(KIND), true),
        (500, SecretError::Unreachable(KIND), true),
        (502, SecretError::Unreachable(KIND), true),
    ] {
        server.fault(Some(Fault::Status(status)));
        assert_eq!(resolve(&stores, REFERENCE).await, Err(error), "{status}");
        assert_eq!(error.is_temporary(), temporary, "{status}");
        assert!(!error.to_string().contains("inside of the store"));
    }
}

#[tokio::test]
async fn a_token_is_read_for_each_request_and_shown_to_nobody() {
    let (server, token, stores) = started().await;
    fs::write(token.path(), "hvs.wrong").unwrap();
    assert_eq!(resolve(&stores, REFERENCE).await, Err(SecretError::Denied(KIND)));
    fs::write(token.path(), TOKEN).unwrap();
    assert_eq!(resolve(&stores, REFERENCE).await.unwrap(), "the-key");
    for content in ["", "\n", "a b", "a\r\nx: y", &"x".repeat(5_000)] {
        fs::write(token.path(), content).unwrap();
        let error = resolve(&stores, REFERENCE).await.unwrap_err();
        assert_eq!(error, SecretError::Unreachable(KIND));
    }
    let path = token.path().to_owned();
    drop(token);
    let error = resolve(&stores, REFERENCE).await.unwrap_err();
    let text = format!("{error} {error:?} {stores:?}");
    let inside = [path.to_str().unwrap(), TOKEN, "127.0.0.1", "ferry/", "acme", "secret/"];
    assert!(inside.iter().all(|part| !text.contains(part)), "{text}");
    assert_eq!(server.requests().len(), 2, "no token, no request");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_no_token_along() {
    let (server, _token, stores) = started().await;
    let target = KvServer::start(false).await;
    server.fault(Some(Fault::Redirect(target.addr)));
    assert_eq!(resolve(&stores, REFERENCE).await, Err(SecretError::Unreachable(KIND)));
    assert_eq!((server.requests().len(), target.requests().len()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_is_none_or_never_ends_is_cut() {
    let (server, _token, stores) = started().await;
    let unreachable = Err(SecretError::Unreachable(KIND));
    let huge = format!(r#"{{"data":{{"data":{{"value":"the-key","x":"{}"}}}}}}"#, "x".repeat(1024 * 1024));
    for body in ["", "<html>the-key</html>", "[]", r#"{"data":"the-key"}"#, r#"{"data":{"data":[]}}"#, &huge] {
        server.fault(Some(Fault::Raw(body.to_owned())));
        assert_eq!(resolve(&stores, REFERENCE).await, unreachable);
    }
    for fault in [Fault::Endless, Fault::Silent] {
        server.fault(Some(fault));
        assert_eq!(resolve(&stores, REFERENCE).await, unreachable);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let (server, token) = (KvServer::start(false).await, token_file(TOKEN));
    let mut config = kv_config(&server, token.path());
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    config.address = OperatorOrigin::parse(&format!("http://{closed}")).unwrap();
    assert_eq!(resolve(&stores(config).unwrap(), REFERENCE).await, Err(SecretError::Unreachable(KIND)));
}
