//! The lines of the journal. Everything the simulator knows can be built again from them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::clock::Micros;

/// One line. Records hold people's data, so none has a `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    /// The simulator was started, for the first time or again.
    Start(StartRecord),
    /// A request was decided; synced to disk before its answer is sent.
    Request(Box<RequestRecord>),
    /// A batch was processed.
    Finished(FinishedRecord),
    /// An answer left, or did not; best effort.
    Answered(AnsweredRecord),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StartRecord {
    pub(crate) seq: u64,
    pub(crate) at: Micros,
    pub(crate) unix_ms: u64,
    pub(crate) time_scale: f64,
    pub(crate) accounts: Vec<StartAccount>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StartAccount {
    pub(crate) host: String,
    pub(crate) lists: Vec<(u32, String)>,
    pub(crate) fields: Vec<(u32, String)>,
    pub(crate) opted_out: Vec<(String, u32)>,
}

/// The classes of requests that the limits and the report tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// An import of two contacts and more, or one that could not be read.
    ImportMany,
    /// An import of one contact.
    ImportOne,
    /// A question for the state of imports.
    Status,
    /// Everything else.
    Other,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    /// An import that was queued.
    Accepted,
    /// Any other request that was carried out.
    Answered,
    /// A request that was refused for what it said or who sent it.
    Refused,
    /// A request over one of the limits.
    RateLimited,
    /// A request that a fault answered; nothing was carried out.
    Faulted,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RequestRecord {
    pub(crate) seq: u64,
    /// When the head of the request had been read.
    pub(crate) at: Micros,
    pub(crate) class: Class,
    pub(crate) endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// The sender's `x-request-id`, or else the last word of its user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<String>,
    pub(crate) body_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body_sha256: Option<String>,
    pub(crate) decision: Decision,
    pub(crate) status: u16,
    /// For how long the answer asks the client to keep away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_away_s: Option<f64>,
    /// The text of a refusal, without anything of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
    /// The request came before an announced `Retry-After` had passed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) early: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) import: Option<ImportRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
}

/// A batch that was queued.
#[derive(Serialize, Deserialize)]
pub(crate) struct ImportRecord {
    pub(crate) batch: Uuid,
    pub(crate) contacts_queued: u32,
    /// The lists the contacts shall be subscribed to.
    pub(crate) lists: Vec<u32>,
    pub(crate) exclude_automations: bool,
    pub(crate) fate: Fate,
    /// When the batch is processed; none for one that stays waiting.
    pub(crate) finish_at: Option<Micros>,
    /// The contacts as a JSON array with short keys.
    pub(crate) contacts: Box<RawValue>,
}

/// What happens to a queued batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It is processed.
    Complete,
    /// It ends as `failed`, and nothing of it is applied.
    Fail,
    /// It ends as `interrupted`, with its first half applied.
    Interrupt,
    /// It stays `waiting`.
    Stick,
    /// It is processed, but its id is not known to the status endpoint.
    Forget,
}

/// A change by one of the single-record endpoints.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Upsert(crate::store::NewContact),
    Membership { contact: u32, list: u32, status: u8 },
    DeleteContact { contact: u32 },
    CreateList { list: u32, name: String },
    DeleteList { list: u32 },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct FinishedRecord {
    pub(crate) seq: u64,
    pub(crate) at: Micros,
    pub(crate) account: String,
    pub(crate) batch: Uuid,
    pub(crate) ended: Ended,
    /// How many of the batch's contacts were looked at, from the first one.
    pub(crate) processed: u32,
    /// Those that failed: place in the batch from 0, address, reason. All others that were looked at are confirmed.
    pub(crate) failed: Vec<(u32, String, FailReason)>,
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ended {
    Completed,
    Failed,
    Interrupted,
}

/// Why a queued contact was not imported; the service itself never tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailReason {
    MalformedAddress,
    Excluded,
    Bounced,
    OptedOut,
    ContactLimit,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct AnsweredRecord {
    pub(crate) of: u64,
    /// When its answer had left, or the connection was gone.
    #[serde(default)]
    pub(crate) at: Micros,
    pub(crate) delivered: bool,
}
