//! What an entry says, and its canonical bytes.
//!
//! One entry has exactly one encoding: fields in a fixed order, each with its length before it, details in ascending
//! order of their keys. So no two entries share their bytes, and whoever decodes them can check that by encoding again.

#[cfg(test)]
mod tests;

use crate::view::EntryView;
use std::collections::BTreeMap;

/// Bytes of an encoded entry, at most.
pub const MAX_BODY: usize = 64 * 1024;

/// How what an entry records ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryResult {
    /// It was done.
    Ok,
    /// The caller was not allowed to.
    Denied,
    /// It could not be done.
    Failed,
}

/// One recorded fact. Holds no personal data of profiles and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The tenant's id; empty in the operator's chain.
    pub tenant: String,
    /// The id of the run whose chain it is in; empty in the tenant's own chain.
    pub chain: String,
    /// Its place in its chain, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
    /// What happened, in upper snake case.
    pub kind: String,
    /// The `sub` who did it; `ferry` where no caller did.
    pub actor: String,
    /// The role that the actor held.
    pub actor_role: String,
    /// The least role that it took.
    pub required_role: String,
    /// The name of what it happened to.
    pub object: String,
    /// How it ended.
    pub result: EntryResult,
    /// Why, where it is not `Ok`.
    pub reason: String,
    /// The request's id.
    pub correlation_id: String,
    /// Where the request came from.
    pub origin: String,
    /// What else there is to say.
    pub details: BTreeMap<String, String>,
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A format that this code does not know.
    #[error("format version {0} is not known")]
    Version(u8),
    /// It ends in the middle of a field.
    #[error("it ends in the middle of `{0}`")]
    Short(&'static str),
    /// Bytes are left over.
    #[error("{0} bytes are left over")]
    Long(usize),
    /// A field that cannot be.
    #[error("`{0}` is not what it must be")]
    Field(&'static str),
    /// Too long for an entry.
    #[error("{0} bytes are too many for an entry")]
    TooLarge(usize),
}

pub(crate) const VERSION: u8 = 1;

impl Entry {
    /// Its canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(512);
        body.push(VERSION);
        let result = match self.result {
            EntryResult::Ok => 1,
            EntryResult::Denied => 2,
            EntryResult::Failed => 3,
        };
        let fields: [&[u8]; 13] = [
            self.tenant.as_bytes(),
            self.chain.as_bytes(),
            &self.number.to_be_bytes(),
            &self.time_ms.to_be_bytes(),
            self.kind.as_bytes(),
            self.actor.as_bytes(),
            self.actor_role.as_bytes(),
            self.required_role.as_bytes(),
            self.object.as_bytes(),
            &[result],
            self.reason.as_bytes(),
            self.correlation_id.as_bytes(),
            self.origin.as_bytes(),
        ];
        fields.into_iter().for_each(|field| put(&mut body, field));
        body.extend_from_slice(&length(self.details.len()));
        for (key, value) in &self.details {
            put(&mut body, key.as_bytes());
            put(&mut body, value.as_bytes());
        }
        body
    }

    /// The entry whose canonical bytes these are.
    ///
    /// # Errors
    /// What is not right with them. Bytes that decode are exactly those that `encode` makes of the entry.
    pub fn decode(body: &[u8]) -> Result<Self, EntryError> {
        Ok(EntryView::decode(body)?.to_entry())
    }
}

fn put(body: &mut Vec<u8>, field: &[u8]) {
    body.extend_from_slice(&length(field.len()));
    body.extend_from_slice(field);
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}
