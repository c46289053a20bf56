//! A destination that only counts: the least that an account of ActiveCampaign answers, and no more work than that. It
//! runs on one thread, so that it takes little from the service it measures.

use anyhow::Context;
use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where the counts are read.
const COUNTS: &str = "/counts";
/// What a read takes in at least; an import fits.
const READ: usize = 128 * 1024;
const HEADERS: usize = 32;

/// What arrived.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) imports: u64,
    pub(crate) polls: u64,
    pub(crate) others: u64,
    /// Of the bodies of imports.
    pub(crate) bytes: u64,
    /// Contacts of each account, by its host.
    pub(crate) contacts: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) fn all_contacts(&self) -> u64 {
        self.contacts.values().sum()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.imports + self.polls + self.others
    }
}

struct Head {
    path: String,
    host: String,
    /// Of the head itself.
    length: usize,
    body: usize,
}

/// Serves until the process is ended.
pub(crate) async fn serve(addr_out: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let half = addr_out.with_extension("new");
    std::fs::write(&half, listener.local_addr()?.to_string())?;
    std::fs::rename(half, addr_out)?;
    let counts = Arc::new(Mutex::new(Counts::default()));
    loop {
        let (socket, _) = listener.accept().await?;
        let counts = Arc::clone(&counts);
        tokio::spawn(async move { converse(socket, &counts).await });
    }
}

/// Reads the counts of a sink.
pub(crate) fn counts(addr: SocketAddr) -> anyhow::Result<Counts> {
    let mut socket = std::net::TcpStream::connect(addr)?;
    write!(socket, "GET {COUNTS} HTTP/1.1\r\nhost: sink\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("the sink did not answer")?;
    Ok(serde_json::from_str(body)?)
}

async fn converse(mut socket: TcpStream, counts: &Mutex<Counts>) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut input = BytesMut::new();
    loop {
        let Some(head) = head(&input)? else {
            if receive(&mut socket, &mut input).await? {
                continue;
            }
            return Ok(());
        };
        while input.len() < head.length + head.body {
            anyhow::ensure!(receive(&mut socket, &mut input).await?, "a request was cut");
        }
        let request = &input[..head.length + head.body];
        let answer = answer(&head, &request[head.length..], counts)?;
        input.advance(head.length + head.body);
        socket.write_all(&answer).await?;
        if head.path == COUNTS {
            return Ok(());
        }
    }
}

async fn receive(socket: &mut TcpStream, input: &mut BytesMut) -> anyhow::Result<bool> {
    input.reserve(READ);
    Ok(socket.read_buf(input).await? > 0)
}

/// The head of a request; nothing before all of it is here.
fn head(input: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(input)? else { return Ok(None) };
    let value = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let host = value("host").unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host).to_owned();
    let body = value("content-length").unwrap_or("0").parse()?;
    Ok(Some(Head { path: request.path.unwrap_or_default().to_owned(), host, length, body }))
}

fn answer(head: &Head, body: &[u8], counts: &Mutex<Counts>) -> anyhow::Result<Bytes> {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let path = head.path.split('?').next().unwrap_or_default();
    match path {
        "/api/3/import/bulk_import" => counts.imports += 1,
        "/api/3/import/info" => counts.polls += 1,
        _ => counts.others += 1,
    }
    let text = match path {
        "/api/3/import/bulk_import" => {
            let contacts = memchr::memmem::find_iter(body, b"{\"email\":").count() as u64;
            counts.bytes += body.len() as u64;
            *counts.contacts.entry(head.host.clone()).or_default() += contacts;
            let batch = counts.imports;
            format!("{{\"success\":1,\"queued_contacts\":{contacts},\"batchId\":\"b-{batch}\"}}")
        }
        "/api/3/import/info" => "{\"status\":\"completed\",\"success\":[],\"failure\":[]}".to_owned(),
        "/api/3/fields" => "{\"fields\":[{\"id\":\"1\",\"title\":\"Level\"}]}".to_owned(),
        "/api/3/users/me" => "{\"user\":{\"id\":\"1\"}}".to_owned(),
        path if path.starts_with("/api/3/lists/") => "{\"list\":{\"id\":\"3\",\"name\":\"Newsletter\"}}".to_owned(),
        COUNTS => {
            counts.others -= 1;
            serde_json::to_string(&*counts)?
        }
        _ => return Ok(Bytes::from_static(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")),
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", text.len());
    Ok(Bytes::from(head + &text))
}
