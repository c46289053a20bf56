//! The HTTP API: what each request means and how it is answered. Nothing here touches a socket or a file.

pub(crate) mod account;
mod answer;
pub(crate) mod contacts;
pub(crate) mod email;
pub(crate) mod import;
mod loose;
pub(crate) mod reply;
mod route;
pub(crate) mod status;

pub(crate) use answer::Answer;
pub(crate) use route::Route;

use serde_json::Value;

use crate::clock::Micros;
use crate::faults::FaultKind;
use crate::journal::{Change, Decision, ImportRecord};
use crate::store::{Account, NewContact};

/// A request to an account, as its endpoint sees it.
pub(crate) struct Call<'a> {
    pub(crate) host: &'a str,
    pub(crate) query: &'a str,
    pub(crate) api_token: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) at: Micros,
    pub(crate) fault: Option<&'a FaultKind>,
}

impl Call<'_> {
    /// A parameter of the query, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// `limit` (20 unless told, at most 100) and `offset`.
    pub(crate) fn page(&self) -> (usize, usize) {
        let number = |name| self.parameter(name).and_then(|value| value.parse::<usize>().ok());
        (number("limit").unwrap_or(20).min(100), number("offset").unwrap_or(0))
    }

    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }
}

/// How a request was decided, and what the journal has to know of it.
pub(crate) struct Ruling {
    pub(crate) answer: Answer,
    pub(crate) decision: Decision,
    pub(crate) text: Option<&'static str>,
    pub(crate) import: Option<(ImportRecord, Vec<NewContact>)>,
    pub(crate) changes: Vec<Change>,
}

impl Ruling {
    /// A request that only read; an answer of 400 and above is a refusal.
    pub(crate) fn read(answer: Answer) -> Self {
        let decision = if answer.status < 400 { Decision::Answered } else { Decision::Refused };
        Self { answer, decision, text: None, import: None, changes: Vec::new() }
    }

    pub(crate) fn refused(answer: Answer, text: &'static str) -> Self {
        Self { decision: Decision::Refused, text: Some(text), ..Self::read(answer) }
    }

    pub(crate) fn rate_limited(answer: Answer, text: &'static str) -> Self {
        Self { decision: Decision::RateLimited, text: Some(text), ..Self::read(answer) }
    }

    pub(crate) fn faulted(answer: Answer) -> Self {
        Self { decision: Decision::Faulted, ..Self::read(answer) }
    }

    /// Carries out a change and keeps it for the journal.
    pub(crate) fn changed(answer: Answer, account: &mut Account, change: Change, at: Micros) -> Self {
        account.change(change.clone(), at);
        Self { changes: vec![change], ..Self::read(answer) }
    }

    pub(crate) fn with_answer(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }
}
