//! A raw client and a simulator to talk to.

use std::path::Path;
use std::time::Duration;

use ferry_sim::{AccountConfig, Options, Protocol, Sim, SimConfig, start};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const HOST: &str = "demo.api-us1.com";
pub(crate) const KEY: &str = "key-of-the-demo";

pub(crate) struct Bench {
    pub(crate) sim: Sim,
    pub(crate) dir: TempDir,
    config: SimConfig,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Bench {
    /// Plain HTTP, no limits, and batches that end after 6 simulated seconds, 200 times faster.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut SimConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let account = AccountConfig::new(HOST, KEY).with_list(3, "Newsletter").with_field(1, "Loyalty");
        let mut config = SimConfig::new(account, dir.path().join("journal"));
        config.options = Options { protocol: Protocol::Plain, ..Options::unlimited() };
        config.time_scale = 200.0;
        change(&mut config);
        let sim = start(config.clone()).await.unwrap();
        Self { sim, dir, config }
    }

    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|_| {}).await
    }

    /// Does something to the journal while the simulator is down.
    pub(crate) async fn restart_after(self, meddle: impl FnOnce(&Path)) -> Self {
        let Self { sim, dir, config } = self;
        sim.stop().await;
        meddle(&config.journal);
        let sim = start(config.clone()).await.unwrap();
        Self { sim, dir, config }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, b"").await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body.to_string().as_bytes()).await.unwrap()
    }

    pub(crate) async fn import(&self, emails: &[&str]) -> Reply {
        self.post("/api/3/import/bulk_import", &import_of(emails)).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Reply> {
        let headers = format!("Host: {HOST}\r\nApi-Token: {KEY}\r\n");
        self.send_with(method, path, &headers, body).await
    }

    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(self.sim.addr()).await?;
        exchange(&mut stream, method, path, headers, body).await
    }

    /// The state of a batch once it has ended.
    pub(crate) async fn ended(&self, batch: &str) -> Value {
        let path = format!("/api/3/import/info?batchId={batch}");
        for _ in 0..2_000 {
            let info = self.get(&path).await.json();
            if matches!(info["status"].as_str(), Some("completed" | "failed" | "interrupted")) {
                return info;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the batch does not end");
    }

    /// Imports and answers the batch's final state.
    pub(crate) async fn import_to_the_end(&self, emails: &[&str]) -> Value {
        let batch = batch_of(&self.import(emails).await);
        self.ended(&batch).await
    }
}

pub(crate) fn import_of(emails: &[&str]) -> Value {
    let contacts: Vec<Value> =
        emails.iter().map(|email| json!({"email": email, "subscribe": [{"listid": 3}]})).collect();
    json!({"contacts": contacts, "exclude_automations": true})
}

pub(crate) fn batch_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200);
    reply.json()["batchId"].as_str().unwrap().to_owned()
}

/// One request and its answer; an answer that breaks off is an error.
pub(crate) async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<Reply> {
    let head = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.flush().await?;
    let mut received = Vec::new();
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, &mut received).await?;
    };
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let mut body = received[end..].to_vec();
    let status = head[9..12].parse().unwrap();
    let mut reply = Reply { status, head, body: Vec::new() };
    let length: usize = reply.header("content-length").unwrap_or("0").parse().unwrap();
    while body.len() < length {
        more(stream, &mut body).await?;
    }
    reply.body = body;
    Ok(reply)
}

async fn more(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    let size = stream.read(&mut buffer).await?;
    if size == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    received.extend_from_slice(&buffer[..size]);
    Ok(())
}
