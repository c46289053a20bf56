//! Attempt by attempt and batch by batch: what Ferry wrote down against what the simulator did.

use super::case::Case;
use super::record::{Attempt, Batch};
use ferry_sim::SeenRequest;
use std::collections::{BTreeMap, BTreeSet};

/// A request that was on its way when a wait was announced comes too early and cannot help it; real milliseconds.
const ON_ITS_WAY_MS: u64 = 500;
/// At most so many are: four imports and four questions.
const ON_THEIR_WAY: usize = 8;

impl Case<'_> {
    /// Confirmed is taken, refused is not, and each attempt says what the simulator says.
    pub(super) fn exact_record(&self, findings: &mut Vec<String>) {
        let mut tell = |text: String| findings.push(format!("exact record: {text}"));
        for attempt in &self.record.attempts {
            let id = &attempt.id;
            let outcome = attempt.outcome.as_deref();
            let requests = self.seen.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
            if requests.is_empty() && !matches!(outcome, None | Some("unknown" | "not_sent" | "void")) {
                tell(format!("attempt {id} is {outcome:?}, and the simulator never decided it"));
            }
            for request in requests.iter().filter(|request| !agree(attempt, request)) {
                let (status, delivered) = (request.status, request.delivered);
                let accepted = request.accepted.is_some();
                tell(format!("attempt {id} is {outcome:?}; {status}, accepted: {accepted}, answered: {delivered}"));
            }
        }
        for (seq, batch) in &self.record.batches {
            let wrong = self.wrong_rows(*seq, batch);
            if wrong > 0 {
                tell(format!("batch {seq} ({}): {wrong} rows are not what became of them", batch.state));
            }
        }
    }

    /// Rows of a batch whose outcome is not the simulator's.
    fn wrong_rows(&self, seq: u32, batch: &Batch) -> usize {
        let attempts = || self.record.attempts.iter().filter(move |attempt| attempt.seq == seq);
        let last = attempts().next_back();
        let polled = last.filter(|last| last.outcome.as_deref() == Some("queued"));
        match (batch.state.as_str(), polled.and_then(|last| last.remote_id.as_ref())) {
            ("settled", Some(remote_id)) => {
                let ended = self.history.ended.get(remote_id).filter(|ended| ended.completed);
                let Some(ended) = ended.filter(|ended| ended.taken.len() == batch.kept.len()) else {
                    return batch.kept.len();
                };
                let rows = batch.kept.iter().zip(&ended.taken);
                rows.filter(|(offset, taken)| batch.refused.contains(offset) == **taken).count()
            }
            // Turned down at once, if the last answer says so. An earlier delivery of the same rows may have been
            // accepted; its attempt is on record as unknown, so the record says that they may be there.
            ("settled" | "split", _) if batch.state == "split" || batch.refused.len() == batch.kept.len() => {
                let outcome = last.and_then(|last| last.outcome.as_deref());
                match outcome {
                    Some("contacts_refused" | "request_refused") if self.is_doubted(seq) => 0,
                    Some("contacts_refused" | "request_refused") => self.contents.get(&seq).map_or(0, |who| who.len()),
                    _ => batch.refused.len(),
                }
            }
            ("settled", _) => batch.kept.len(),
            ("due", _) if !batch.may_have_arrived => self.contents.get(&seq).map_or(0, |contents| contents.len()),
            _ => 0,
        }
    }

    /// Whether an attempt of the batch, or of those that it repairs, is on record as unknown.
    fn is_doubted(&self, seq: u32) -> bool {
        let open = |attempt: &Attempt| matches!(attempt.outcome.as_deref(), None | Some("unknown"));
        self.record.attempts.iter().any(|attempt| attempt.seq == seq && open(attempt))
            || self.record.batches.get(&seq).and_then(|batch| batch.parent).is_some_and(|seq| self.is_doubted(seq))
    }

    /// No import without an intent, and one batch has one body.
    pub(super) fn record_first(&self, findings: &mut Vec<String>) {
        let mut tell = |text: String| findings.push(format!("record first: {text}"));
        for (id, requests) in &self.seen {
            if !self.record.all_attempts.contains(*id) {
                let seq = requests[0].seq;
                tell(format!("the simulator saw an import (line {seq} of its journal) that has no intent on record"));
            }
            if requests.len() > 1 {
                tell(format!("attempt {id} was sent {} times", requests.len()));
            }
        }
        let mut digests: BTreeMap<u32, &str> = BTreeMap::new();
        for attempt in &self.record.attempts {
            let requests = self.seen.get(attempt.id.as_str()).into_iter().flatten();
            let sent = requests.filter(|request| request.body_sha256.as_ref() != Some(&attempt.digest)).count();
            if sent > 0 || *digests.entry(attempt.seq).or_insert(&attempt.digest) != attempt.digest {
                tell(format!("batch {} was not always the same bytes", attempt.seq));
            }
        }
    }

    /// No request before a wait has passed, but those that were on their way when it was announced. A wait in an answer
    /// that was lost, or that Ferry never read because it was killed, is known to nobody.
    pub(super) fn waits(&self, findings: &mut Vec<String>) {
        let unread = |attempt: &&Attempt| attempt.outcome.is_none();
        let unread: BTreeSet<&String> = self.record.attempts.iter().filter(unread).map(|attempt| &attempt.id).collect();
        let requests = &self.history.requests;
        for (place, announced) in requests.iter().enumerate() {
            let Some(wait) = announced.wait_ms else { continue };
            if !announced.delivered || announced.attempt.as_ref().is_some_and(|attempt| unread.contains(attempt)) {
                continue;
            }
            let told = announced.answered_ms.unwrap_or(announced.at_ms);
            let early =
                |request: &&SeenRequest| request.account == announced.account && request.at_ms < announced.at_ms + wait;
            for (number, request) in requests[place + 1..].iter().filter(early).enumerate() {
                if number >= ON_THEIR_WAY || request.at_ms > told + ON_ITS_WAY_MS {
                    let (line, asked) = (request.seq, announced.seq);
                    let after = request.at_ms.saturating_sub(told);
                    findings.push(format!(
                        "limits: line {line} of the journal came {after} ms after line {asked}, which said to wait {wait} ms"
                    ));
                }
            }
        }
    }
}

/// Whether an attempt says what came of its request. One whose answer was lost may only be unknown, or open; that the
/// answer got through all the same is shown by the batch's id, which nobody can guess.
fn agree(attempt: &Attempt, request: &SeenRequest) -> bool {
    let status = request.status;
    match (attempt.outcome.as_deref(), &request.accepted) {
        (None | Some("unknown"), _) => true,
        (Some("queued"), Some(import)) => attempt.remote_id.as_ref() == Some(&import.batch),
        (Some("queued"), None) | (_, Some(_)) => false,
        (Some("rate_limited"), None) => matches!(status, 400 | 429 | 503),
        (Some("contacts_refused"), None) => matches!(status, 400 | 413 | 422),
        (Some("request_refused"), None) => (300..500).contains(&status),
        (Some("credentials_refused"), None) => matches!(status, 200 | 401 | 403),
        (Some("account_lapsed"), None) => matches!(status, 402 | 403),
        (Some("account_full"), None) => status == 403,
        (Some("not_found"), None) => status == 404,
        (Some(_), None) => false,
    }
}
