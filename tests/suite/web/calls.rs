//! Calls over gRPC-Web: the same API, with the same walls.

use super::{Answer, GRPC_WEB, LISTEN, SOON, asking, at, browser, frame, list, reason, with_export};
use ferry_proto::v1 as pb;
use ferry_testkit::{Client, Stage, TENANT, eventually};
use hyper::body::{Bytes, Frame};
use reqwest::StatusCode;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn a_call_is_answered_as_natively_on_the_same_port() {
    let (stage, export) = with_export().await;
    let mut client = stage.client("contributor").await;
    let request = pb::GetExportRequest { name: export };
    let native = client.exports.get_export(request.clone()).await.unwrap().into_inner();
    for kind in [GRPC_WEB, "application/grpc-web"] {
        let call = asking(&stage, "ExportService/GetExport", &request).bearer_auth(stage.token("contributor"));
        // The last of two is meant.
        let mut call = call.build().unwrap();
        call.headers_mut().insert("content-type", kind.parse().unwrap());
        let call = reqwest::RequestBuilder::from_parts(browser(), call).header("x-request-id", "from-a-page");
        let answer = Answer::of(call).await;
        assert_eq!(answer.only::<pb::GetExportResponse>(), native);
        assert!(answer.trailers.is_some(), "the status of an answer with a message comes last");
        assert_eq!(answer.head["x-request-id"], "from-a-page");
        assert!(answer.head.keys().all(|name| !name.as_str().starts_with("access-control-")));
    }
    // Over HTTP/2 too, as a browser does once there is TLS.
    let http2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let call = asking(&stage, "ExportService/GetExport", &request).bearer_auth(stage.token("contributor"));
    let answer = Answer::of(reqwest::RequestBuilder::from_parts(http2, call.build().unwrap())).await;
    assert_eq!(answer.only::<pb::GetExportResponse>(), native);
}

#[tokio::test]
async fn an_error_comes_with_its_details_whoever_asks() {
    let (stage, export) = with_export().await;
    let missing = pb::GetExportRequest { name: format!("{export}-not") };
    let ask = |message: &pb::GetExportRequest| asking(&stage, "ExportService/GetExport", message);
    for (call, code, expected) in [
        (ask(&missing).bearer_auth(stage.token("viewer")), Code::NotFound, "RESOURCE_NOT_FOUND"),
        (ask(&missing), Code::Unauthenticated, "TOKEN_INVALID"),
        (ask(&missing).bearer_auth("e30.e30.e30"), Code::Unauthenticated, "TOKEN_INVALID"),
        (ask(&missing).bearer_auth(stage.token_in("globex", "administrator")), Code::PermissionDenied, "ROLE_TOO_LOW"),
    ] {
        let answer = Answer::of(call).await;
        assert!(answer.messages.is_empty());
        let status = answer.status();
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected));
        assert_eq!(answer.head["grpc-status"], (code as i32).to_string(), "the head says all there is to say");
    }
    let missing = Answer::of(ask(&missing).bearer_auth(stage.token("viewer"))).await.status();
    assert_eq!(missing.get_details_resource_info().unwrap().resource_name, format!("{export}-not"));
}

/// The refusal of a caller from elsewhere is on record, as it is natively.
#[tokio::test]
async fn who_is_refused_is_on_record() {
    let (stage, export) = with_export().await;
    let request = pb::RunExportRequest { name: export.clone(), ..Default::default() };
    let call = asking(&stage, "ExportService/RunExport", &request).bearer_auth(stage.token("viewer"));
    assert_eq!(Answer::of(call).await.code(), Code::PermissionDenied);
    let mut client = stage.client("administrator").await;
    let denied = pb::ListAuditEntriesRequest {
        parent: format!("tenants/{TENANT}"),
        filter: r#"kind = "CALL_DENIED" AND actor = "viewer""#.to_owned(),
        ..Default::default()
    };
    let denied = client.audit.list_audit_entries(denied).await.unwrap().into_inner().audit_entries;
    assert_eq!(denied.iter().map(|entry| entry.object.as_str()).collect::<Vec<_>>(), [export]);
    assert!(client.runs.list_runs(list(TENANT)).await.unwrap().into_inner().runs.is_empty(), "nothing ran");
}

#[tokio::test]
async fn what_is_unknown_or_not_built_is_said_in_grpcs_words() {
    let stage = Stage::new().await;
    let ask = |method: &str| asking(&stage, method, &list(TENANT));
    for method in ["RunService/NoSuchMethod", "NoSuchService/ListRuns"] {
        assert_eq!(Answer::of(ask(method)).await.code(), Code::Unauthenticated, "nobody learns by trying: {method}");
        let known = Answer::of(ask(method).bearer_auth(stage.token("viewer"))).await;
        assert_eq!(known.code(), Code::Unimplemented, "{method}");
        let (path, bearer) = (format!("/ferry.v1.{method}"), [format!("Bearer {}", stage.token("viewer"))]);
        let native = crate::raw::ask(stage.addr(), &path, &bearer, &[], &list(TENANT)).await;
        assert_eq!(native.code(), Code::Unimplemented, "{method} natively");
    }
    let open = browser().post(at(&stage, "/grpc.health.v1.Health/Check")).header("content-type", GRPC_WEB);
    assert_eq!(Answer::of(open.body(vec![0; 5])).await.code(), Code::Ok, "health needs no token");
}

#[tokio::test]
async fn only_grpc_web_is_taken_and_only_by_post() {
    let stage = Stage::new().await;
    let path = at(&stage, "/ferry.v1.RunService/ListRuns");
    let token = stage.token("viewer");
    for kind in [
        "application/grpc",
        "application/grpc-web-text",
        "application/grpc-web+json",
        "application/json",
        "text/plain",
        "Application/grpc-web",
    ] {
        let call = browser().post(&path).bearer_auth(&token).header("content-type", kind).body(frame(&list(TENANT)));
        assert_eq!(call.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
    for method in [reqwest::Method::GET, reqwest::Method::PUT] {
        let call = browser().request(method, &path).bearer_auth(&token).header("content-type", GRPC_WEB);
        assert_eq!(call.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    }
    for body in [vec![], vec![0, 0, 0], vec![0, 0, 0, 0, 9, 1], vec![0x80, 0, 0, 0, 0], vec![7; 100]] {
        let call = browser().post(&path).bearer_auth(&token).header("content-type", GRPC_WEB).body(body.clone());
        let code = Answer::of(call).await.code();
        assert!(![Code::Ok, Code::Unavailable].contains(&code), "{body:?}: {code:?}");
    }
    let long = pb::GetRunRequest { name: "x".repeat(64 * 1024) };
    let call = asking(&stage, "RunService/GetRun", &long).bearer_auth(&token);
    assert_eq!(Answer::of(call).await.code(), Code::OutOfRange, "over the limit of its method");
}

/// A message that never comes.
fn never() -> reqwest::Body {
    let nothing = tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>();
    reqwest::Body::wrap(http_body_util::StreamBody::new(nothing))
}

#[tokio::test]
async fn a_deadline_is_kept_over_grpc_web() {
    let stage = Stage::new().await;
    let call = |timeout: &str| {
        let call = asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth(stage.token("viewer"));
        call.header("grpc-timeout", timeout)
    };
    assert_eq!(Answer::of(call("0S")).await.code(), Code::DeadlineExceeded);
    assert_eq!(Answer::of(call("1 s")).await.code(), Code::InvalidArgument);
    assert_eq!(Answer::of(call("10S")).await.code(), Code::Ok);
    let begun = Instant::now();
    assert_eq!(Answer::of(call("200m").body(never())).await.code(), Code::DeadlineExceeded);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn callers_are_counted_and_pay_together_however_they_call() {
    let mut stage = Stage::new().await;
    stage.restart_with(&[LISTEN, "--tenant-rate=1", "--tenant-burst=10", "--max-requests-per-caller=1"]).await;
    let token = stage.token("viewer");
    let ask = || asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth(&token);
    let call = ask();
    let hanging = tokio::spawn(async move {
        // It is refused, and comes again, where the other one has the place.
        while call.try_clone().unwrap().body(never()).send().await.is_ok() {}
    });
    let native = Client::connect(stage.addr(), &token).await;
    let full = eventually(SOON, || async {
        let refused = native.clone().runs.list_runs(list(TENANT)).await.err();
        refused.filter(|status| status.message().contains("requests at work")).ok_or("not at work yet")
    })
    .await;
    assert_eq!(full.code(), Code::ResourceExhausted);
    let web = Answer::of(ask()).await.status();
    assert_eq!((web.code(), web.message().contains("work")), (Code::ResourceExhausted, true), "{web:?}");
    hanging.abort();
    let over = eventually(SOON, || async {
        let status = Answer::of(ask()).await.status();
        if status.code() == Code::ResourceExhausted && status.message().contains("second") {
            Ok(status)
        } else {
            Err(status)
        }
    })
    .await;
    assert!(over.get_details_retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test]
async fn a_call_from_a_browser_is_in_the_metrics() {
    let mut stage = Stage::new().await;
    let out = stage.path("metrics-addr").display().to_string();
    stage.restart_and(&["--metrics-addr=127.0.0.1:0".to_owned(), format!("--metrics-addr-out={out}")], &[]).await;
    let ask = || asking(&stage, "RunService/ListRuns", &list(TENANT));
    assert_eq!(Answer::of(ask()).await.code(), Code::Unauthenticated);
    assert_eq!(Answer::of(ask().bearer_auth(stage.token("viewer"))).await.code(), Code::Ok);
    // Whatever its path was, it is one of those that there are not.
    let unknown = asking(&stage, "NoSuchService/ListRuns", &list(TENANT)).bearer_auth(stage.token("viewer"));
    assert_eq!(Answer::of(unknown).await.code(), Code::Unimplemented);
    let metrics = std::fs::read_to_string(&out).unwrap();
    let text = browser().get(format!("http://{metrics}/metrics")).send().await.unwrap().text().await.unwrap();
    let counted = |method: &str, code: &str| {
        let fits = |line: &&str| line.contains(method) && line.contains(code) && line.contains("_count");
        text.lines().filter(fits).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let calls = [
        ("RunService/ListRuns", "\"OK\""),
        ("RunService/ListRuns", "\"UNAUTHENTICATED\""),
        ("\"none\"", "\"UNIMPLEMENTED\""),
    ];
    for (method, code) in calls {
        assert_eq!(counted(method, code), ["1"], "{method} {code}: {text}");
    }
}
