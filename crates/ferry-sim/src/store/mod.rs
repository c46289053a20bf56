//! The simulator's memory: accounts, contacts and batches. It changes only in ways that the journal records, so that
//! a replay builds it again.

mod account;
mod batch;
mod contact;

pub use contact::{ContactView, Membership};

pub(crate) use account::{Account, Rules};
pub(crate) use batch::{Batch, Outcome, Phase};
pub(crate) use contact::{Contact, NewContact};

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use uuid::Uuid;

use crate::clock::Micros;
use crate::journal::{Ended, Fate, FinishedRecord, ImportRecord, Record, RequestRecord};

/// All accounts and batches.
pub(crate) struct State {
    accounts: BTreeMap<String, Account>,
    batches: HashMap<Uuid, Batch>,
    /// The batches that wait for their time, soonest first.
    due: BinaryHeap<Reverse<(Micros, Uuid)>>,
    next_seq: u64,
    latest: Micros,
}

impl State {
    pub(crate) fn empty() -> Self {
        Self { accounts: BTreeMap::new(), batches: HashMap::new(), due: BinaryHeap::new(), next_seq: 1, latest: 0 }
    }

    pub(crate) fn next_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// The latest time that a record told.
    pub(crate) fn latest(&self) -> Micros {
        self.latest
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.accounts.keys().map(String::as_str)
    }

    pub(crate) fn account(&self, host: &str) -> Option<&Account> {
        self.accounts.get(host)
    }

    pub(crate) fn account_mut(&mut self, host: &str) -> Option<&mut Account> {
        self.accounts.get_mut(host)
    }

    pub(crate) fn batch(&self, id: Uuid) -> Option<&Batch> {
        self.batches.get(&id)
    }

    pub(crate) fn batches(&self, host: &str) -> impl Iterator<Item = &Batch> {
        self.batches.values().filter(move |batch| batch.account == host)
    }

    /// The first `limit` subscribed contacts of a list, by id.
    pub(crate) fn contacts(&self, host: &str, list: u32, limit: usize) -> Vec<ContactView> {
        let Some(account) = self.accounts.get(host) else { return Vec::new() };
        account
            .contacts_after(0)
            .filter(|contact| contact.membership(list) == Some(Membership::Subscribed))
            .take(limit)
            .map(|contact| account.view(contact))
            .collect()
    }

    /// Takes in a record of an earlier life.
    pub(crate) fn replay(&mut self, record: Record) {
        match record {
            Record::Start(start) => {
                self.advance(start.seq, start.at);
                for account in &start.accounts {
                    self.accounts.entry(account.host.clone()).or_default().configure(account);
                }
            }
            Record::Request(request) => self.replay_request(*request),
            Record::Finished(finished) => {
                self.advance(finished.seq, finished.at);
                self.finish(&finished);
            }
            Record::Answered(_) => {}
        }
    }

    fn replay_request(&mut self, request: RequestRecord) {
        self.advance(request.seq, request.at);
        let Some(host) = request.account else { return };
        if let Some(import) = request.import {
            let contacts = serde_json::from_str(import.contacts.get()).unwrap_or_default();
            self.queue(&host, request.at, &import, contacts);
        }
        if let Some(account) = self.accounts.get_mut(&host) {
            request.changes.into_iter().for_each(|change| account.change(change, request.at));
        }
    }

    fn advance(&mut self, seq: u64, at: Micros) {
        self.next_seq = self.next_seq.max(seq + 1);
        self.latest = self.latest.max(at);
    }

    /// Queues an accepted batch.
    pub(crate) fn queue(&mut self, host: &str, at: Micros, import: &ImportRecord, contacts: Vec<NewContact>) {
        if let Some(finish_at) = import.finish_at {
            self.due.push(Reverse((finish_at, import.batch)));
        }
        let batch = Batch {
            account: host.to_owned(),
            queued_at: at,
            finish_at: import.finish_at,
            fate: import.fate,
            n_contacts: import.contacts_queued,
            contacts,
            outcome: None,
        };
        self.batches.insert(import.batch, batch);
    }

    /// When the next batch is due.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a batch that is due from the queue; the caller judges and finishes it.
    pub(crate) fn take_due(&mut self, now: Micros) -> Option<Uuid> {
        let Reverse((at, id)) = *self.due.peek()?;
        if at > now {
            return None;
        }
        self.due.pop();
        Some(id)
    }

    /// Judges a batch by its account as it is now, without changing anything. A duplicate address is judged as the
    /// first one was.
    pub(crate) fn judge(&self, id: Uuid, rules: &Rules<'_>, seq: u64, at: Micros) -> Option<FinishedRecord> {
        let batch = self.batches.get(&id).filter(|batch| batch.outcome.is_none())?;
        let account = self.accounts.get(&batch.account)?;
        let (ended, processed) = match batch.fate {
            Fate::Complete | Fate::Forget | Fate::Stick => (Ended::Completed, batch.contacts.len()),
            Fate::Fail => (Ended::Failed, 0),
            Fate::Interrupt => (Ended::Interrupted, batch.contacts.len() / 2),
        };
        let mut failed = Vec::new();
        let mut n_new = 0;
        for (index, contact) in (0_u32..).zip(batch.contacts.iter().take(processed)) {
            let room = Rules { contact_limit: rules.contact_limit.saturating_sub(n_new), ..*rules };
            match account.objection(contact, &room) {
                Some(reason) => failed.push((index, contact.email.to_string(), reason)),
                None => n_new += u64::from(account.by_address(&contact.email).is_none()),
            }
        }
        let processed = processed as u32;
        Some(FinishedRecord { seq, at, account: batch.account.clone(), batch: id, ended, processed, failed })
    }

    /// Carries out what was judged.
    pub(crate) fn finish(&mut self, finished: &FinishedRecord) {
        let Some(batch) = self.batches.get_mut(&finished.batch) else { return };
        let Some(account) = self.accounts.get_mut(&batch.account) else { return };
        let contacts = std::mem::take(&mut batch.contacts);
        let mut failed = finished.failed.iter().map(|(index, _, _)| *index).peekable();
        let mut success = Vec::with_capacity(finished.processed as usize);
        for (index, contact) in (0_u32..).zip(contacts).take(finished.processed as usize) {
            if failed.next_if_eq(&index).is_none() {
                success.push(account.import(contact, finished.at));
            }
        }
        let failure = finished.failed.iter().map(|(_, email, _)| email.as_str().into()).collect();
        batch.outcome = Some(Outcome { ended: finished.ended, ended_at: finished.at, success, failure });
    }

    /// Forgets the queue entries of batches that a replay has finished.
    pub(crate) fn drop_finished_due(&mut self) {
        let batches = &self.batches;
        self.due.retain(|Reverse((_, id))| batches.get(id).is_some_and(|batch| batch.outcome.is_none()));
    }
}
