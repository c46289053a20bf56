//! An answer as a value, before it is written to a socket.

use bytes::Bytes;
use serde_json::Value;

/// An HTTP answer whose length is known.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// How many simulated seconds the client is told to keep away.
    pub(crate) keep_away_s: Option<f64>,
}

impl Answer {
    /// No body and no content type, as the service answers for a wrong key.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: Bytes::new(), keep_away_s: None }
    }

    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { content_type: Some(content_type), body: body.into(), ..Self::empty(status) }
    }

    /// JSON as the service writes it, with `\/` for each slash.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string().replace('/', "\\/"))
    }

    pub(crate) fn header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
    }

    pub(crate) fn with_body(&self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self.clone() }
    }

    pub(crate) fn with_json(&self, body: &Value) -> Self {
        self.with_body(body.to_string().replace('/', "\\/"))
    }
}
