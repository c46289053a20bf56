use super::support::{CANARY, DEADLINE, OK, Reply, authority, plain, request, serve_as};
use crate::{Cause, Egress, EgressConfig, OperatorOrigin, OriginError, Request, SendError};
use http::{HeaderName, HeaderValue, Method};
use secrecy::SecretString;
use tokio::net::TcpListener;

fn egress() -> Egress {
    Egress::new(EgressConfig::default()).unwrap()
}

#[test]
fn an_origin_is_https_or_loopback_and_nothing_else() {
    for text in [
        "https://vault.example.com",
        "https://vault.example.com:8200",
        "https://vault.example.com:8200/",
        "https://10.0.0.7:8200",
        "https://[fd00::7]:8200",
        "https://vault",
        "http://127.0.0.1:8200",
        "http://[::1]:8200",
    ] {
        let origin = OperatorOrigin::parse(text).unwrap();
        assert_eq!(origin.to_string(), text.trim_end_matches('/'));
    }
    for (text, error) in [
        ("", OriginError::NotHttps),
        ("vault.example.com", OriginError::NotHttps),
        ("ftp://127.0.0.1", OriginError::NotHttps),
        ("file:///etc/passwd", OriginError::NotHttps),
        ("http://vault.example.com", OriginError::Plain),
        ("http://10.0.0.7:8200", OriginError::Plain),
        ("http://localhost:8200", OriginError::Plain),
        ("http://127.0.0.1.example.com", OriginError::Plain),
        ("http://[::ffff:127.0.0.1]:8200", OriginError::Plain),
        ("http://127.0.0.1@vault.example.com", OriginError::Plain),
        ("https://user@vault.example.com", OriginError::UserInfo),
        ("https://user:password@vault.example.com", OriginError::UserInfo),
        ("https://vault.example.com/v1", OriginError::NotAlone),
        ("https://vault.example.com/?x", OriginError::NotAlone),
        ("https://vault.example.com/#", OriginError::NotAlone),
    ] {
        assert_eq!(OperatorOrigin::parse(text), Err(error), "{text:?}");
    }
}

#[tokio::test]
async fn an_operators_server_gets_its_headers_and_no_redirect_takes_them_further() {
    let (target, target_seen) = plain(OK).await;
    let location = format!("HTTP/1.1 307 T\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
    let (addr, seen) = plain(location.leak().as_bytes()).await;
    let client = egress().operator(&OperatorOrigin::parse(&format!("http://{addr}")).unwrap(), None).unwrap();
    let request = Request::new(Method::GET, "/v1/x", DEADLINE)
        .secret_header(HeaderName::from_static("x-vault-token"), SecretString::from(CANARY))
        .header(HeaderName::from_static("x-vault-namespace"), HeaderValue::from_static("team"));
    assert_eq!(client.send(request).await.unwrap().status.as_u16(), 307);
    let text = String::from_utf8_lossy(&seen.lock().unwrap().bytes).into_owned();
    assert!(text.starts_with("GET /v1/x HTTP/1.1\r\n"));
    assert!(text.contains(&format!("x-vault-token: {CANARY}\r\n")) && text.contains("x-vault-namespace: team\r\n"));
    assert_eq!(target_seen.lock().unwrap().connections, 0);
}

#[tokio::test]
async fn an_operators_own_authority_is_the_only_one_that_is_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = serve_as("127.0.0.1", listener, Reply::Whole(OK.to_vec()));
    let origin = OperatorOrigin::parse(&format!("https://{}", ours.addr)).unwrap();
    let other = authority().pem();
    let send = async |ca_pem| {
        let client = egress().operator(&origin, ca_pem).unwrap();
        client.send(request()).await.map(|answer| answer.status.as_u16())
    };
    let refused = Err(SendError::NotSent(Cause::Unreachable));
    assert_eq!(send(None).await, refused);
    assert_eq!(send(Some(other.as_str())).await, refused);
    assert!(ours.text().is_empty());
    assert_eq!(send(Some(ours.ca_pem.as_str())).await, Ok(200));
    assert!(ours.text().contains(CANARY));
}

#[tokio::test]
async fn a_document_is_read_up_to_its_limit_and_with_status_200_alone() {
    let egress = egress();
    let get = async |answer, limit| {
        let (addr, _) = plain(answer).await;
        egress.operator_get(&format!("http://{addr}/keys?x=1"), limit, DEADLINE).await
    };
    let whole: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nkeys";
    assert_eq!(get(whole, 4).await.unwrap(), "keys");
    assert_eq!(get(whole, 3).await.err(), Some(SendError::Unknown(Cause::TooLarge)));
    let missing: &[u8] = b"HTTP/1.1 404 N\r\ncontent-length: 4\r\n\r\nkeys";
    assert_eq!(get(missing, 4).await.err(), Some(SendError::Unknown(Cause::Broken)));
    for url in ["http://keys.example.com/", "https://a@127.0.0.1/", "keys"] {
        let result = egress.operator_get(url, 4, DEADLINE).await;
        assert_eq!(result.err(), Some(SendError::NotSent(Cause::Invalid)), "{url}");
    }
}
