#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::page::FILES;
use super::*;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn an_origin_is_what_browsers_write_and_nothing_else() {
    for good in
        ["https://portal.example.com", "http://localhost:5173", "https://[::1]:8443", "https://xn--bcher-kva.test"]
    {
        assert_eq!(good.parse::<Origin>().unwrap().as_str(), good);
    }
    for every in ["*", "https://*.example.com", "https://*"] {
        assert_eq!(every.parse::<Origin>(), Err(OriginError::Every), "{every}");
    }
    for none in
        ["", "null", "portal.example.com", "file:///x", "data:,x", "ftp://a.test", "https://u:p@a.test", "https://a;b"]
    {
        assert_eq!(none.parse::<Origin>(), Err(OriginError::NoOrigin), "{none}");
    }
    for (other, meant) in [
        ("https://portal.example.com/", "https://portal.example.com"),
        ("https://Portal.example.com", "https://portal.example.com"),
        ("https://portal.example.com:443", "https://portal.example.com"),
        ("https://portal.example.com/app?x#y", "https://portal.example.com"),
        ("https://bücher.test", "https://xn--bcher-kva.test"),
    ] {
        assert_eq!(other.parse::<Origin>(), Err(OriginError::Written(meant.to_owned())), "{other}");
    }
}

/// Whose page a request of this origin to this host comes from, without and with TLS here.
fn standings(origin: &str, host: &str) -> [Standing; 2] {
    let allowed: Vec<Origin> = vec!["https://portal.example.com".parse().unwrap()];
    let request = Request::post("/x").header("origin", origin).header("host", host).body(()).unwrap();
    [false, true].map(|tls| Origins::new(allowed.clone(), tls).of(&request))
}

#[test]
fn a_page_is_known_by_its_whole_origin() {
    use Standing::{Allowed, Foreign, Same};
    for (origin, host, expected) in [
        ("http://ferry.test", "ferry.test", [Same, Foreign]),
        ("https://ferry.test", "ferry.test", [Same, Same]),
        ("https://ferry.test", "ferry.test:443", [Same, Same]),
        ("http://ferry.test:50051", "ferry.test:50051", [Same, Foreign]),
        ("https://FERRY.test", "ferry.test", [Same, Same]),
        ("https://ferry.test", "ferry.test:50051", [Foreign, Foreign]),
        ("https://ferry.test.evil.test", "ferry.test", [Foreign, Foreign]),
        ("https://portal.example.com", "ferry.test", [Allowed, Allowed]),
        ("http://portal.example.com", "ferry.test", [Foreign, Foreign]),
        ("https://portal.example.com:8443", "ferry.test", [Foreign, Foreign]),
        ("https://portal.example.com.evil.test", "ferry.test", [Foreign, Foreign]),
        ("https://evil.test", "ferry.test", [Foreign, Foreign]),
        ("null", "ferry.test", [Foreign, Foreign]),
        ("", "ferry.test", [Foreign, Foreign]),
        ("*", "ferry.test", [Foreign, Foreign]),
    ] {
        assert_eq!(standings(origin, host), expected, "{origin} at {host}");
    }
    let request = Request::post("/x").header("host", "ferry.test").body(()).unwrap();
    assert_eq!(Origins::new(Vec::new(), false).of(&request), Standing::None);
    let twice = ["https://ferry.test", "https://portal.example.com"];
    let request = twice.iter().fold(Request::post("/x"), |request, origin| request.header("origin", *origin));
    let request = request.header("host", "ferry.test").body(()).unwrap();
    assert_eq!(Origins::new(vec![twice[1].parse().unwrap()], false).of(&request), Standing::Foreign, "two are none");
}

#[test]
fn every_file_that_is_built_is_served() {
    fn files(folder: &Path, under: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{under}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path(), &name, found)
            } else {
                found.insert(name);
            }
        }
    }
    let mut built = BTreeSet::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard/dist"), "", &mut built);
    let served: BTreeSet<String> = FILES.iter().map(|(path, _, _)| (*path).to_owned()).collect();
    assert_eq!(built, served);
}

#[test]
fn the_page_talks_to_this_server_and_its_issuer_alone() {
    let mut config = WebConfig { page: true, origins: Vec::new(), oidc: None, time_scale: 1.0 };
    assert_eq!(config.told(), r#"{"oidc":null}"#);
    assert!(config.policy().contains("connect-src 'self'; "), "{}", config.policy());
    let mut oidc = OidcClient::new("https://login.example.com/realms/a", "ferry-dashboard", "openid").unwrap();
    oidc.audience = Some("ferry".to_owned());
    oidc.token_origin = Some("https://tokens.example.com".parse().unwrap());
    (config.oidc, config.time_scale) = (Some(oidc), 10.0);
    let told: serde_json::Value = serde_json::from_str(&config.told()).unwrap();
    let expected = serde_json::json!({
        "oidc": {
            "issuer": "https://login.example.com/realms/a", "clientId": "ferry-dashboard", "scope": "openid",
            "audience": "ferry",
        },
        "developmentTimeScale": 10.0,
    });
    assert_eq!(told, expected);
    let connect = "connect-src 'self' https://login.example.com https://tokens.example.com; ";
    assert!(config.policy().contains(connect), "{}", config.policy());
    for no_place in
        ["http://login.example.com", "login.example.com", "https://a;script-src", "https://u:p@a.test", "x:y"]
    {
        assert!(OidcClient::new(no_place, "c", "openid").is_none(), "{no_place}");
    }
    assert!(OidcClient::new("http://127.0.0.1:9000", "c", "openid").is_some(), "an issuer on this machine");
}

#[test]
fn a_call_has_the_form_of_one() {
    assert!(is_rpc("/ferry.v1.RunService/GetRun"));
    for path in ["/", "/index.html", "/assets/app.js", "/a.b/", "/a.b/c/d", "a.b/c"] {
        assert!(!is_rpc(path), "{path}");
    }
}
