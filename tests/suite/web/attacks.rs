//! Attacks on tokens that come over HTTP/1.1 and gRPC-Web as well, and on connections that speak it.

use super::streams::{end, open};
use super::{Answer, GRPC_WEB, SOON, asking, at, browser, frame, list, reason, watch, with_export};
use ferry_testkit::{Stage, TENANT};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

/// All that is answered to these bytes until the connection ends.
async fn heard(stage: &Stage, said: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.addr()).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut heard = Vec::new();
    let _reset = tokio::time::timeout(SOON, stream.read_to_end(&mut heard)).await.expect("it is cut");
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn attack_16_a_token_that_is_too_long_is_refused_before_anything() {
    let stage = Stage::new().await;
    let call = asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth("a".repeat(9 * 1_024));
    assert_eq!(Answer::of(call).await.code(), Code::Unauthenticated);
    for length in [20 * 1_024, 1024 * 1024] {
        let call = asking(&stage, "RunService/ListRuns", &list(TENANT)).bearer_auth("a".repeat(length));
        // Its head is cut off while it still sends.
        if let Ok(answer) = call.send().await {
            assert_eq!(answer.status(), 431, "{length}");
        }
    }
}

#[tokio::test]
async fn attack_40_two_tokens_or_none_of_the_form_are_no_token() {
    let stage = Stage::new().await;
    let token = stage.token("viewer");
    let ask = || asking(&stage, "RunService/ListRuns", &list(TENANT));
    for call in [
        ask().bearer_auth(&token).bearer_auth(&token),
        ask().header("authorization", format!("Bearer\t{token}")),
        ask().header("authorization", format!("Bearer  {token}")),
        ask().header("authorization", &token),
        ask().header("authorization", format!("Basic {token}")),
    ] {
        assert_eq!(Answer::of(call).await.code(), Code::Unauthenticated);
    }
    assert_eq!(Answer::of(ask().bearer_auth(&token)).await.code(), Code::Ok);
}

#[tokio::test]
async fn attack_41_a_token_in_an_address_a_cookie_or_a_message_is_not_looked_at() {
    let stage = Stage::new().await;
    let token = stage.token("administrator");
    let path = |query: &str| at(&stage, &format!("/ferry.v1.RunService/ListRuns{query}"));
    for (query, name, value) in [
        (format!("?access_token={token}"), "x-none", String::new()),
        (format!("?authorization=Bearer%20{token}"), "x-none", String::new()),
        (String::new(), "cookie", format!("authorization=Bearer {token}; access_token={token}")),
        (String::new(), "x-authorization", format!("Bearer {token}")),
    ] {
        let call = browser().post(path(&query)).header("content-type", GRPC_WEB).header(name, value);
        assert_eq!(Answer::of(call.body(frame(&list(TENANT)))).await.code(), Code::Unauthenticated);
    }
    let mut request = list(TENANT);
    request.page_token = token;
    assert_eq!(Answer::of(asking(&stage, "RunService/ListRuns", &request)).await.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn attack_42_a_token_that_expires_ends_the_stream_of_a_page() {
    let (stage, _) = with_export().await;
    let lives = 3;
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + lives;
    let claims = [("tenants", serde_json::json!({ TENANT: "viewer" })), ("exp", serde_json::json!(expiry))];
    let token = stage.sign("short.lived", &claims);
    let begun = Instant::now();
    let mut reader = open(&stage, &token, &watch()).await;
    let status = end(&mut reader).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
    assert!(begun.elapsed() < Duration::from_secs(lives + 5), "{:?}", begun.elapsed());
}

/// Two lengths of one body are how a request is hidden behind another.
#[tokio::test]
async fn a_body_of_two_lengths_is_one_request_or_none() {
    let stage = Stage::new().await;
    let head = "POST /ferry.v1.RunService/ListRuns HTTP/1.1\r\nhost: f\r\ncontent-type: application/grpc-web\r\n";
    let hidden = "GET /config.json HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n";
    for lengths in
        ["content-length: 0\r\ncontent-length: 5\r\n\r\n", "content-length: +5\r\n\r\n", "content-length: 5, 6\r\n\r\n"]
    {
        let answer = heard(&stage, format!("{head}{lengths}{hidden}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("oidc"), "{lengths}: {answer}");
    }
    let both = format!("{head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    let answer = heard(&stage, both.as_bytes()).await;
    // Chunks go before a length (RFC 9112, 6.3), so what follows is a request of its own.
    assert!(answer.starts_with("HTTP/1.1 400") || answer.matches("HTTP/1.1 200").count() <= 2, "{answer}");
    for odd in ["transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"]
    {
        let answer = heard(&stage, format!("{head}{odd}{hidden}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("oidc"), "{odd}: {answer}");
    }
}

#[tokio::test]
async fn what_comes_slowly_or_is_no_http_is_cut() {
    let stage = Stage::new().await;
    let slow = async {
        for said in [&b"GET / HTTP/1.1\r\nhost: f\r\nx: "[..], b"GET"] {
            let answer = heard(&stage, said).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        }
    };
    let others = async {
        for said in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"EHLO ferry.test\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        ] {
            let answer = heard(&stage, said).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
        let long = format!("GET / HTTP/1.1\r\nhost: f\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
        let answer = heard(&stage, long.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        let many = format!("GET / HTTP/1.1\r\nhost: f\r\n{}\r\n", "a: b\r\n".repeat(200));
        assert!(heard(&stage, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    };
    tokio::join!(slow, others);
    assert!(browser().get(at(&stage, "/")).send().await.unwrap().status().is_success());
}
