//! The key leaves only inside of a TLS connection to the host that it is for.

use super::support::{CANARY, HOST, OK, Seen, acceptor, authority, client, plain, request, server};
use crate::{Cause, SendError};
use rcgen::{CertificateParams, date_time_ymd};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const HANDSHAKE: u8 = 22;
/// An alert under TLS 1.3: two bytes, the type and the tag.
const ENCRYPTED_ALERT: usize = 19;

/// A TLS server behind a listener that keeps every byte of the client as it was on the wire.
async fn tapped(acceptor: TlsAcceptor) -> (SocketAddr, Arc<Mutex<Seen>>, Arc<Mutex<Vec<u8>>>) {
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (inner_addr, addr) = (inner.local_addr().unwrap(), outer.local_addr().unwrap());
    let (wire, opened) = (Arc::new(Mutex::new(Seen::default())), Arc::new(Mutex::new(Vec::new())));
    let (wire_log, opened_log) = (Arc::clone(&wire), Arc::clone(&opened));
    tokio::spawn(async move {
        while let Ok((mut near, _)) = outer.accept().await {
            wire_log.lock().unwrap().connections += 1;
            let far = TcpStream::connect(inner_addr).await.unwrap();
            let (mut far_read, mut far_write) = far.into_split();
            let (mut near_read, mut near_write) = near.split();
            let log = Arc::clone(&wire_log);
            let up = async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(length @ 1..) = near_read.read(&mut buffer).await {
                    log.lock().unwrap().bytes.extend_from_slice(&buffer[..length]);
                    far_write.write_all(&buffer[..length]).await.unwrap();
                }
                let _gone = far_write.shutdown().await;
            };
            let down = async move {
                let _gone = tokio::io::copy(&mut far_read, &mut near_write).await;
                let _gone = near_write.shutdown().await;
            };
            tokio::join!(up, down);
        }
    });
    tokio::spawn(async move {
        while let Ok((socket, _)) = inner.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut buffer = vec![0; 16 * 1024];
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            opened_log.lock().unwrap().extend_from_slice(&buffer[..length]);
            let _gone = stream.write_all(OK).await;
            let _gone = stream.shutdown().await;
        }
    });
    (addr, wire, opened)
}

/// Type and length of each TLS record.
fn records(mut bytes: &[u8]) -> Vec<(u8, usize)> {
    let mut records = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        records.push((*kind, length));
        bytes = rest.get(length..).unwrap_or_default();
    }
    records
}

fn contains_key(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

#[tokio::test]
async fn a_right_certificate_gets_the_key_and_the_wire_does_not() {
    let authority = authority();
    let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let (addr, wire, opened) = tapped(acceptor(&params, &authority)).await;
    client(addr, &authority.pem()).send(request()).await.unwrap();
    assert!(contains_key(&opened.lock().unwrap()));
    assert!(!contains_key(&wire.lock().unwrap().bytes));
}

#[tokio::test]
async fn nobody_whose_certificate_is_not_right_gets_more_than_a_greeting() {
    let (ours, theirs) = (authority(), authority());
    let right = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let wrong_name = CertificateParams::new(vec!["other.sim.test".to_owned()]).unwrap();
    let mut expired = right.clone();
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = right.clone();
    (early.not_before, early.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    let wrong = [
        ("another name", acceptor(&wrong_name, &ours)),
        ("no name", acceptor(&CertificateParams::new(Vec::new()).unwrap(), &ours)),
        ("another authority", acceptor(&right, &theirs)),
        ("expired", acceptor(&expired, &ours)),
        ("not valid yet", acceptor(&early, &ours)),
    ];
    for (what, acceptor) in wrong {
        let (addr, wire, opened) = tapped(acceptor).await;
        let result = client(addr, &ours.pem()).send(request()).await;
        assert_eq!(result.err(), Some(SendError::NotSent(Cause::Unreachable)), "{what}");
        let wire = wire.lock().unwrap();
        let records = records(&wire.bytes);
        assert_eq!((wire.connections, records[0].0), (1, HANDSHAKE), "{what}");
        let more = records[1..].iter().any(|(_, length)| *length > ENCRYPTED_ALERT);
        assert!(!more && !contains_key(&wire.bytes) && opened.lock().unwrap().is_empty(), "{what}: {records:?}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_one_greeting() {
    let honest = server(OK).await;
    for answer in [OK, &b"\x15\x03\x01\x00\x02\x02\x28"[..]] {
        let (addr, seen) = plain(answer).await;
        let result = client(addr, &honest.ca_pem).send(request()).await;
        assert_eq!(result.err(), Some(SendError::NotSent(Cause::Unreachable)));
        let seen = seen.lock().unwrap();
        let records = records(&seen.bytes);
        assert_eq!((seen.connections, records[0].0), (1, HANDSHAKE));
        assert!(records[1..].iter().all(|(_, length)| *length <= ENCRYPTED_ALERT) && !contains_key(&seen.bytes));
    }
}
