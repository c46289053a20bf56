//! A journal as a judge reads it: which request came, what was in it, what was decided, and whether the answer left.

use std::collections::HashMap;
use std::path::Path;

use super::read::records;
use super::{Class, Decision, Ended, ImportRecord, Record, RequestRecord};
use crate::clock::Micros;
use crate::store::NewContact;

/// Everything that happened at a simulator. It holds people's addresses, so nothing in it has a `Debug`.
#[derive(Default)]
pub struct History {
    /// In the order in which they were decided.
    pub requests: Vec<SeenRequest>,
    /// How each batch ended, by its id; one that has not ended yet is missing.
    pub ended: HashMap<String, EndedBatch>,
}

/// A request that was decided.
pub struct SeenRequest {
    /// Its place in the journal.
    pub seq: u64,
    /// When its head had been read, in real milliseconds of the simulator's life.
    pub at_ms: u64,
    /// The host of the account that it came to.
    pub account: Option<String>,
    /// The sender's name for it.
    pub attempt: Option<String>,
    /// Over its body, in hex.
    pub body_sha256: Option<String>,
    /// Of the answer; 0 for none.
    pub status: u16,
    /// Whether it is an import.
    pub is_import: bool,
    /// Whether it asks for the state of one.
    pub is_question: bool,
    /// The fault that struck it.
    pub fault: Option<String>,
    /// How long its answer asked the client to keep away, in real milliseconds.
    pub wait_ms: Option<u64>,
    /// Whether its answer left whole, as far as the simulator could see.
    pub delivered: bool,
    /// When its answer had left, on the same clock; nothing while it has not.
    pub answered_ms: Option<u64>,
    /// What was queued, if anything was.
    pub accepted: Option<AcceptedImport>,
}

/// An import that was queued.
pub struct AcceptedImport {
    /// The batch's id.
    pub batch: String,
    /// The addresses in lower case, in the order of the request.
    pub addresses: Vec<String>,
}

/// A batch that was processed.
pub struct EndedBatch {
    /// Not failed, not interrupted.
    pub completed: bool,
    /// For each contact of the batch whether it was taken.
    pub taken: Vec<bool>,
}

/// Reads a journal, also one that is being written.
///
/// # Errors
///
/// The file cannot be read, or a line other than a torn last one is no record.
pub fn read_history(path: &Path) -> anyhow::Result<History> {
    let (mut history, mut scale, mut places) = (History::default(), 1.0, HashMap::new());
    let mut sizes: HashMap<String, usize> = HashMap::new();
    records(path, |record| match record {
        Record::Start(start) => scale = start.time_scale,
        Record::Request(request) => {
            places.insert(request.seq, history.requests.len());
            let seen = seen(&request, scale);
            if let Some(import) = &seen.accepted {
                sizes.insert(import.batch.clone(), import.addresses.len());
            }
            history.requests.push(seen);
        }
        Record::Finished(finished) => {
            let batch = finished.batch.to_string();
            let mut taken = vec![false; sizes.get(&batch).copied().unwrap_or_default()];
            taken.iter_mut().take(finished.processed as usize).for_each(|taken| *taken = true);
            for (place, _, _) in &finished.failed {
                taken.get_mut(*place as usize).into_iter().for_each(|taken| *taken = false);
            }
            history.ended.insert(batch, EndedBatch { completed: finished.ended == Ended::Completed, taken });
        }
        Record::Answered(answered) => {
            let request = places.get(&answered.of).and_then(|place| history.requests.get_mut(*place));
            if let Some(request) = request {
                request.delivered = answered.delivered;
                request.answered_ms = Some(real_ms(answered.at, scale));
            }
        }
    })?;
    Ok(history)
}

fn seen(request: &RequestRecord, scale: f64) -> SeenRequest {
    SeenRequest {
        seq: request.seq,
        at_ms: real_ms(request.at, scale),
        account: request.account.clone(),
        attempt: request.attempt.clone(),
        body_sha256: request.body_sha256.clone(),
        status: request.status,
        is_import: matches!(request.class, Class::ImportMany | Class::ImportOne),
        is_question: request.class == Class::Status,
        fault: request.fault.clone(),
        wait_ms: request.keep_away_s.map(|seconds| real_ms((seconds * 1e6) as Micros, scale)),
        delivered: false,
        answered_ms: None,
        accepted: request.import.as_ref().filter(|_| request.decision == Decision::Accepted).map(accepted),
    }
}

fn accepted(import: &ImportRecord) -> AcceptedImport {
    let contacts: Vec<NewContact> = serde_json::from_str(import.contacts.get()).unwrap_or_default();
    let addresses = contacts.iter().map(|contact| contact.email.to_lowercase()).collect();
    AcceptedImport { batch: import.batch.to_string(), addresses }
}

fn real_ms(at: Micros, scale: f64) -> u64 {
    (at as f64 / 1_000.0 / scale) as u64
}
