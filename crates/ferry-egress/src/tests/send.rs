use super::support::{CANARY, DEADLINE, HOST, OK, Reply, client, host, plain, request, serve, server};
use crate::{Cause, DevelopmentDestination, Egress, EgressConfig, HostName, Request, SendError};
use http::Method;
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let server = server(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok").await;
    let answer = client(server.addr, &server.ca_pem).send(request()).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (202, &b"ok"[..]));
    assert!(server.text().contains("api-token: canary"));
}

#[tokio::test]
async fn the_name_in_tls_and_the_name_in_http_are_the_hosts() {
    let server = server(OK).await;
    client(server.addr, &server.ca_pem).send(request()).await.unwrap();
    assert_eq!(server.seen.lock().unwrap().server_names, [Some(HOST.to_owned())]);
    assert!(server.text().contains(&format!("host: {HOST}:{}\r\n", server.addr.port())));
}

#[tokio::test]
async fn a_redirect_of_any_kind_is_an_answer_and_is_not_followed() {
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        let target = server(OK).await;
        let location = format!("https://{HOST}:{}/elsewhere", target.addr.port());
        let answer = format!("HTTP/1.1 {status} T\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = server(answer).await;
        let answer = client(server.addr, &server.ca_pem).send(request()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
        assert!(!answer.status.is_success());
        assert_eq!((server.connections(), target.connections()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn a_closed_port_is_certain_and_a_broken_connection_is_not() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = server(Vec::new()).await;
    let refused = client(closed, &silent.ca_pem).send(request()).await;
    assert_eq!(refused.err(), Some(SendError::NotSent(Cause::Unreachable)));
    let broken = client(silent.addr, &silent.ca_pem).send(request()).await;
    assert_eq!(broken.err(), Some(SendError::Unknown(Cause::Broken)));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(3 * 1024 * 1024, b'x');
    let server = server(answer).await;
    let result = client(server.addr, &server.ca_pem).send(request()).await;
    assert_eq!(result.err(), Some(SendError::Unknown(Cause::TooLarge)));
}

#[tokio::test]
async fn an_endless_header_is_cut() {
    let mut answer = b"HTTP/1.1 200 OK\r\nx-long: ".to_vec();
    answer.resize(3 * 1024 * 1024, b'x');
    let server = server(answer).await;
    let result = client(server.addr, &server.ca_pem).send(request()).await;
    assert_eq!(result.err(), Some(SendError::Unknown(Cause::Broken)));
}

#[tokio::test]
async fn an_answer_that_drips_is_cut_at_the_deadline() {
    for first in ["HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", "HTTP/1.1 200 OK\r\nx-slow: "] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(listener, Reply::Drip(first.as_bytes().to_vec()));
        let request = Request::new(Method::GET, "/", Duration::from_millis(500));
        let result = client(server.addr, &server.ca_pem).send(request).await;
        assert_eq!(result.err(), Some(SendError::Unknown(Cause::Deadline)), "{first:?}");
    }
}

#[tokio::test]
async fn a_path_that_would_lead_elsewhere_is_not_sent() {
    let (server, other) = (server(OK).await, server(OK).await);
    let client = client(server.addr, &server.ca_pem);
    let port = other.addr.port();
    for path in [format!("@{HOST}:{port}/"), format!(":x@{HOST}:{port}/"), format!(".{HOST}:{port}/"), String::new()] {
        let result = client.send(Request::new(Method::GET, path.clone(), DEADLINE)).await;
        assert_eq!(result.err(), Some(SendError::NotSent(Cause::Invalid)), "{path:?}");
    }
    for path in [format!("//{HOST}:{port}/"), format!("/\\{HOST}:{port}/"), format!("/@{HOST}:{port}/")] {
        client.send(Request::new(Method::GET, path, DEADLINE)).await.unwrap();
    }
    assert_eq!((server.connections(), other.connections()), (3, 0));
}

#[tokio::test]
async fn no_debug_text_shows_the_key() {
    let server = server(format!("HTTP/1.1 200 OK\r\nx-echo: {CANARY}\r\ncontent-length: 6\r\n\r\ncanary")).await;
    let client = client(server.addr, &server.ca_pem);
    let request = request().json(CANARY.into());
    let mut texts = vec![format!("{request:?}"), format!("{client:?}"), format!("{:?}", request.headers())];
    let answer = client.send(request).await.unwrap();
    assert!(server.text().contains(CANARY));
    texts.push(format!("{answer:?}"));
    let unusable = Request::new(Method::GET, "/", DEADLINE)
        .secret_header(http::HeaderName::from_static("api-token"), format!("{CANARY}\n").into());
    let error = client.send(unusable).await.unwrap_err();
    texts.push(format!("{error:?} {error}"));
    assert!(texts.iter().all(|text| !text.is_empty() && !text.contains("canary")), "{texts:?}");
}

#[test]
fn only_listed_hosts_are_destinations() {
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let allowed = |name: &str| egress.destination(&HostName::parse(name).unwrap()).is_ok();
    assert!(allowed("acme.api-us1.com"));
    assert!(allowed("acme.activehosted.com"));
    for name in ["acme.example.com", "evilapi-us1.com", "api-us1.com", "api-us1.com.evil.test", "acme.api-us1.com.co"] {
        assert!(!allowed(name), "{name}");
    }
}

#[test]
fn a_suffix_has_one_form() {
    for suffix in
        ["", ".", "api-us1.com", "..com", ".api-us1.com.", ".API-us1.com", ".127", ".com:443", ".com/", "*.com"]
    {
        let config = EgressConfig { allowed_suffixes: vec![suffix.to_owned()], ..EgressConfig::default() };
        assert!(Egress::new(config).is_err(), "{suffix:?}");
    }
}

/// Neither the port nor the address decides: only the development setting that names no authority does.
#[tokio::test]
async fn a_development_destination_without_an_authority_is_spoken_to_in_plain_http() {
    let (addr, seen) = plain(OK).await;
    let development = vec![DevelopmentDestination { host: host(), addr, ca_pem: None }];
    let egress = Egress::new(EgressConfig { development, ..EgressConfig::default() }).unwrap();
    let answer = egress.destination(&host()).unwrap().send(request()).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    let text = String::from_utf8_lossy(&seen.lock().unwrap().bytes).into_owned();
    assert!(text.contains(&format!("host: {HOST}:{}\r\n", addr.port())), "{text}");
}

#[test]
fn a_development_destination_must_be_on_this_machine() {
    for addr in ["192.0.2.1:443", "10.0.0.1:443", "[::ffff:127.0.0.1]:443", "0.0.0.0:443"] {
        let development = vec![DevelopmentDestination { host: host(), addr: addr.parse().unwrap(), ca_pem: None }];
        assert!(Egress::new(EgressConfig { development, ..EgressConfig::default() }).is_err(), "{addr}");
    }
}
