//! The dashboard's files. They are part of the binary, and the same for everybody.

use super::config::WebConfig;
use super::whole;
use aws_lc_rs::digest;
use bytes::Bytes;
use ferry_domain::hex;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tonic::body::Body;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What the page is told of this service.
const CONFIG: &str = "/config.json";

/// A file as it was built: where it is found, what it is, its bytes. `index.html` is found at `/` too.
pub(super) const FILES: [(&str, &str, &[u8]); 6] = [
    ("/index.html", HTML, include_bytes!("../../dashboard/dist/index.html")),
    ("/assets/app.js", SCRIPT, include_bytes!("../../dashboard/dist/assets/app.js")),
    ("/assets/app.css", "text/css; charset=utf-8", include_bytes!("../../dashboard/dist/assets/app.css")),
    ("/theme.js", SCRIPT, include_bytes!("../../dashboard/dist/theme.js")),
    ("/icon.svg", "image/svg+xml", include_bytes!("../../dashboard/dist/icon.svg")),
    ("/licenses.txt", "text/plain; charset=utf-8", include_bytes!("../../dashboard/dist/licenses.txt")),
];

struct File {
    path: &'static str,
    kind: HeaderValue,
    etag: String,
    bytes: Bytes,
}

/// What there is to be had without a token.
pub(super) struct Page {
    /// None where the page is switched off.
    files: Vec<File>,
    config: Bytes,
    policy: Option<HeaderValue>,
}

impl Page {
    pub(super) fn new(config: &WebConfig) -> Self {
        let files = if config.page { FILES.as_slice() } else { &[] };
        let file = |&(path, kind, bytes): &(&'static str, &'static str, &'static [u8])| File {
            path,
            kind: HeaderValue::from_static(kind),
            etag: etag(bytes),
            bytes: Bytes::from_static(bytes),
        };
        Self {
            files: files.iter().map(file).collect(),
            config: config.told().into(),
            // An origin is plain ASCII, so there always is one.
            policy: HeaderValue::from_str(&config.policy()).ok(),
        }
    }

    /// The answer to anything that is no call.
    pub(super) fn answer(&self, request: &Request<Body>) -> Response<Body> {
        let path = if request.uri().path() == "/" { "/index.html" } else { request.uri().path() };
        let file = self.files.iter().find(|file| file.path == path);
        let is_config = path == CONFIG && !self.files.is_empty();
        if file.is_none() && !is_config {
            return self.missing();
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut answer = self.refusal(StatusCode::METHOD_NOT_ALLOWED, "this can only be read");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let mut answer = match file {
            Some(file) => self.file(file, request.headers()),
            None => self.made(StatusCode::OK, JSON, "no-store", self.config.clone()),
        };
        if request.method() == Method::HEAD {
            *answer.body_mut() = Body::empty();
        }
        answer
    }

    fn file(&self, file: &File, asked: &HeaderMap) -> Response<Body> {
        let known = asked.get_all(IF_NONE_MATCH).iter().any(|value| has(value.as_bytes(), &file.etag));
        let mut answer = self.made(StatusCode::OK, file.kind.clone(), "no-cache", file.bytes.clone());
        if let Ok(etag) = HeaderValue::from_str(&file.etag) {
            answer.headers_mut().insert(ETAG, etag);
        }
        if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            *answer.body_mut() = Body::empty();
            answer.headers_mut().remove(CONTENT_LENGTH);
            answer.headers_mut().remove(CONTENT_TYPE);
        }
        answer
    }

    /// Nothing is there.
    pub(super) fn missing(&self) -> Response<Body> {
        self.refusal(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// An answer that is a line of text.
    pub(super) fn refusal(&self, status: StatusCode, text: &'static str) -> Response<Body> {
        let line = if text.is_empty() { Bytes::new() } else { Bytes::from(format!("{text}\n")) };
        let mut answer = self.made(status, TEXT, "no-store", line);
        if status == StatusCode::NO_CONTENT {
            answer.headers_mut().remove(CONTENT_LENGTH);
        }
        answer
    }

    /// Every answer is made here, so none is without these headers.
    fn made(&self, status: StatusCode, kind: HeaderValue, cache: &'static str, bytes: Bytes) -> Response<Body> {
        let length = bytes.len();
        let mut answer = Response::new(whole(bytes));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(policy) = &self.policy {
            headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
        }
        answer
    }
}

/// By the bytes, so an upgrade that changes nothing changes no name.
fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(digest::digest(&digest::SHA256, bytes).as_ref()))
}

/// Whether a browser's list of what it has holds this one. A proxy that packs may have made it weak.
fn has(list: &[u8], etag: &str) -> bool {
    let list = std::str::from_utf8(list).unwrap_or_default();
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}
