//! The dashboard's files.

use super::{LISTEN, at, browser};
use ferry_testkit::{Stage, binary};
use reqwest::{Method, Response, StatusCode};

const FILES: [(&str, &str, &str); 7] = [
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/index.html", "index.html", "text/html; charset=utf-8"),
    ("/assets/app.js", "assets/app.js", "text/javascript; charset=utf-8"),
    ("/assets/app.css", "assets/app.css", "text/css; charset=utf-8"),
    ("/theme.js", "theme.js", "text/javascript; charset=utf-8"),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
    ("/licenses.txt", "licenses.txt", "text/plain; charset=utf-8"),
];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn is_guarded(answer: &Response, policy: &str) {
    for (name, value) in
        [("content-security-policy", policy), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
    {
        let found = answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(found, Some(value), "{} {}: {name}", answer.status(), answer.url());
    }
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "{answer:?}");
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

async fn get(stage: &Stage, path: &str) -> Response {
    browser().get(at(stage, path)).send().await.unwrap()
}

#[tokio::test]
async fn every_file_comes_whole_and_guarded_and_once_it_is_known_it_does_not_come_again() {
    let stage = Stage::new().await;
    for (path, file, kind) in FILES {
        let answer = get(&stage, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        is_guarded(&answer, POLICY);
        assert_eq!((header(&answer, "content-type"), header(&answer, "cache-control")), (kind, "no-cache"));
        let etag = header(&answer, "etag").to_owned();
        let bytes = answer.bytes().await.unwrap();
        let built = std::fs::read(format!("../crates/ferry-server/dashboard/dist/{file}")).unwrap();
        assert!(bytes == built, "{path}");
        let head = browser().head(at(&stage, path)).send().await.unwrap();
        is_guarded(&head, POLICY);
        assert_eq!(head.headers()["content-length"], built.len().to_string());
        assert!(head.bytes().await.unwrap().is_empty());
        for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let again = browser().get(at(&stage, path)).header("if-none-match", &known).send().await.unwrap();
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} {known}");
            is_guarded(&again, POLICY);
            assert_eq!((header(&again, "etag"), header(&again, "cache-control")), (etag.as_str(), "no-cache"));
            assert!(again.bytes().await.unwrap().is_empty());
        }
        let other = browser().get(at(&stage, path)).header("if-none-match", "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn there_is_nothing_else_and_nothing_can_be_changed() {
    let stage = Stage::new().await;
    for path in [
        "/x",
        "/index.htm",
        "/assets/",
        "/assets/../index.html/",
        "//index.html",
        "/.git/config",
        "/dist/index.html",
        "/%69ndex.html",
        "/metrics",
        "/ferry.v1.RunService/ListRuns",
        "/assets/app.js/",
        "/INDEX.HTML",
    ] {
        let answer = get(&stage, path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        is_guarded(&answer, POLICY);
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
        let answer = browser().request(method, at(&stage, "/index.html")).send().await.unwrap();
        assert_eq!((answer.status(), header(&answer, "allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
        is_guarded(&answer, POLICY);
    }
    let answer = browser().post(at(&stage, "/index.html")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    is_guarded(&answer, POLICY);
}

#[tokio::test]
async fn the_page_is_told_how_to_sign_in_and_may_talk_to_the_issuer_then() {
    let mut stage = Stage::new().await;
    let answer = get(&stage, "/config.json").await;
    is_guarded(&answer, POLICY);
    assert_eq!((header(&answer, "content-type"), header(&answer, "cache-control")), ("application/json", "no-store"));
    assert!(!answer.headers().contains_key("etag"));
    assert_eq!(answer.text().await.unwrap(), r#"{"developmentTimeScale":100.0,"oidc":null}"#);
    stage
        .restart_with(&[
            LISTEN,
            "--dashboard-client-id=ferry-dashboard",
            "--dashboard-scope=openid ferry",
            "--dashboard-audience=ferry",
            "--dashboard-token-origin=https://tokens.ferry.test",
        ])
        .await;
    let policy =
        POLICY.replace("connect-src 'self'", "connect-src 'self' https://issuer.ferry.test https://tokens.ferry.test");
    for path in ["/", "/config.json", "/x"] {
        is_guarded(&get(&stage, path).await, &policy);
    }
    let told: serde_json::Value =
        serde_json::from_str(&get(&stage, "/config.json").await.text().await.unwrap()).unwrap();
    let oidc = serde_json::json!({
        "issuer": "https://issuer.ferry.test", "clientId": "ferry-dashboard", "scope": "openid ferry", "audience": "ferry",
    });
    assert_eq!(told["oidc"], oidc);
    stage.restart_with(&[LISTEN, "--no-dashboard"]).await;
    for path in ["/", "/assets/app.js", "/config.json"] {
        assert_eq!(get(&stage, path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let client = stage.client("viewer").await;
    assert!(client.clone().runs.list_runs(super::list("acme")).await.is_ok(), "the API goes on");
    let call = super::asking(&stage, "RunService/ListRuns", &super::list("acme")).bearer_auth(stage.token("viewer"));
    assert_eq!(super::Answer::of(call).await.code(), tonic::Code::Ok, "over gRPC-Web too");
}

#[test]
fn what_is_no_setting_for_browsers_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let base = ["--audience=ferry", "--jwks=none", "--data-dir=d", "--keys-dir=k", "--segments-dir=s"];
    for (args, expected) in [
        (&["--allow-origin=*"][..], "every page of the world would be allowed; name each origin"),
        (&["--allow-origin=null"], "an origin is https:// or http://, a host and perhaps a port"),
        (&["--allow-origin=https://a.test/"], "browsers write this origin as https://a.test; give it so"),
        (&["--allow-origin=https://a.test,portal"], "invalid value 'portal'"),
        (&["--dashboard-audience=x"], "--dashboard-client-id"),
        (&["--dashboard-client-id=x"], "nobody can be sent to the issuer `not-an-address` to sign in"),
        (&["--dashboard-client-id= "], "must not be empty"),
    ] {
        let mut command = std::process::Command::new(binary("ferry"));
        command.current_dir(folder.path()).arg("serve").args(base).arg("--issuer=not-an-address").args(args);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(expected), "{args:?}: {text}");
    }
}
