//! What pages of other origins may do.

use super::{Answer, GRPC_WEB, LISTEN, PORTAL, asking, at, browser, list, with_export};
use ferry_proto::v1 as pb;
use ferry_testkit::{Stage, TENANT};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode};
use tonic::Code;

const EVIL: [&str; 7] = [
    "https://evil.test",
    "http://portal.example.com",
    "https://portal.example.com:8443",
    "https://portal.example.com.evil.test",
    "https://PORTAL.example.com/",
    "null",
    "*",
];

async fn preflight(stage: &Stage, origin: &str) -> Response {
    let path = at(stage, "/ferry.v1.RunService/ListRuns");
    let asked = browser().request(Method::OPTIONS, path).header("origin", origin);
    let asked = asked.header("access-control-request-method", "POST");
    asked.header("access-control-request-headers", "authorization,content-type,x-grpc-web").send().await.unwrap()
}

fn cors(head: &HeaderMap) -> Vec<&str> {
    let names = head.keys().map(reqwest::header::HeaderName::as_str);
    names.filter(|name| name.starts_with("access-control-")).collect()
}

async fn with_portal() -> (Stage, String) {
    let (mut stage, export) = with_export().await;
    stage.restart_with(&[LISTEN, "--allow-origin=https://other.example.com", "--allow-origin", PORTAL]).await;
    (stage, export)
}

#[tokio::test]
async fn a_page_that_is_allowed_may_call_and_read_the_answer() {
    let (stage, _) = with_portal().await;
    let told = preflight(&stage, PORTAL).await;
    assert_eq!(told.status(), StatusCode::NO_CONTENT);
    for (name, value) in [
        ("access-control-allow-origin", PORTAL),
        ("access-control-allow-methods", "POST,OPTIONS"),
        ("access-control-allow-headers", "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent"),
        ("access-control-max-age", "7200"),
        ("vary", "origin"),
    ] {
        assert_eq!(told.headers()[name], value, "{name}");
    }
    assert!(!told.headers().contains_key("access-control-allow-credentials"), "a token is no cookie");
    for (token, code) in [(stage.token("viewer"), Code::Ok), ("none".to_owned(), Code::Unauthenticated)] {
        let call = asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth(token).header("origin", PORTAL);
        let answer = Answer::of(call).await;
        assert_eq!(answer.code(), code);
        assert_eq!(answer.head["access-control-allow-origin"], PORTAL);
        let exposed = "grpc-status,grpc-message,grpc-status-details-bin,x-request-id";
        assert_eq!(answer.head["access-control-expose-headers"], exposed);
        assert_eq!(answer.head["vary"], "origin");
    }
}

#[tokio::test]
async fn the_dashboards_own_page_may_call_without_being_on_a_list() {
    let (stage, _) = with_portal().await;
    let own = at(&stage, "");
    let call = asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth(stage.token("viewer"));
    let answer = Answer::of(call.header("origin", &own)).await;
    assert_eq!((answer.code(), cors(&answer.head)), (Code::Ok, vec![]));
    assert_eq!(answer.head["vary"], "origin");
    // Behind a proxy that ends TLS and keeps the name that was asked for.
    let call = asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth(stage.token("viewer"));
    let call = call.header("host", "ferry.example.com").header("origin", "https://ferry.example.com");
    assert_eq!(Answer::of(call).await.code(), Code::Ok);
}

#[tokio::test]
async fn attack_any_other_page_is_told_nothing_and_its_call_does_not_run() {
    let (stage, export) = with_portal().await;
    let before = stage.client("administrator").await.runs.list_runs(list(TENANT)).await.unwrap().into_inner().runs;
    for origin in EVIL {
        let told = preflight(&stage, origin).await;
        assert_eq!((told.status(), cors(told.headers())), (StatusCode::FORBIDDEN, vec![]), "{origin}");
        assert_eq!(told.headers()["vary"], "origin");
        // Whatever it sends, as the best of all callers.
        let run = pb::RunExportRequest { name: export.clone(), ..Default::default() };
        let token = stage.token("administrator");
        let call = asking(&stage, "ExportService/RunExport", &run).bearer_auth(&token).header("origin", origin);
        let answer = call.send().await.unwrap();
        assert_eq!((answer.status(), cors(answer.headers())), (StatusCode::FORBIDDEN, vec![]), "{origin}");
        assert!(!answer.headers().contains_key("grpc-status"));
        // A page of another origin may read the files, as anybody; a browser does not show them to it.
        let file = browser().get(at(&stage, "/config.json")).header("origin", origin).send().await.unwrap();
        assert_eq!((file.status(), cors(file.headers())), (StatusCode::OK, vec![]), "{origin}");
    }
    // Natively too: whoever has an origin is a browser, whatever it speaks.
    let bearer = [format!("Bearer {}", stage.token("administrator"))];
    let stream = tokio::net::TcpStream::connect(stage.addr()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    );
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::post(at(&stage, "/ferry.v1.ExportService/RunExport"))
        .header("content-type", "application/grpc")
        .header("authorization", &bearer[0])
        .header("origin", EVIL[0])
        .body(http_body_util::Empty::<hyper::body::Bytes>::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 403);
    connection.abort();
    let after = stage.client("administrator").await.runs.list_runs(list(TENANT)).await.unwrap().into_inner().runs;
    assert_eq!(before, after, "nothing ran");
}

#[tokio::test]
async fn without_a_list_only_the_own_page_may_call() {
    let stage = Stage::new().await;
    for origin in [PORTAL, "http://localhost:5173", "http://127.0.0.1", "https://127.0.0.1"] {
        assert_eq!(preflight(&stage, origin).await.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    let twice = asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth(stage.token("viewer"));
    let twice = twice.header("origin", at(&stage, "")).header("origin", PORTAL);
    assert_eq!(twice.send().await.unwrap().status(), StatusCode::FORBIDDEN, "two origins are none");
    let nobody = browser().request(Method::OPTIONS, at(&stage, "/")).header("content-type", GRPC_WEB);
    let answer = nobody.send().await.unwrap();
    assert_eq!((answer.status(), cors(answer.headers())), (StatusCode::NOT_FOUND, vec![]));
}
