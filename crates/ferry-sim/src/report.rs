//! The judge's figures, counted from journal records: the same code for a running simulator and for a file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Micros, SECOND};
use crate::journal::{Class, Decision, Ended, FailReason, FinishedRecord, ImportRecord, Record, RequestRecord};
use crate::limits::{MANY_PER_MINUTE, ONE_PER_MINUTE, PER_SECOND};
use crate::store::NewContact;

const MILLISECOND: Micros = SECOND / 1_000;

/// What was asked of the simulator and what it did. It holds no personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Requests by class: `import_many`, `import_one`, `status`, `other`.
    pub requests: BTreeMap<String, u64>,
    /// Answers that were a 400 for the imports' rate limit, real and injected.
    pub rate_limited_400: u64,
    /// Answers that were a 429, real and injected.
    pub rate_limited_429: u64,
    /// Requests drawn for each kind of fault.
    pub faults: BTreeMap<String, u64>,
    /// The most imports of several contacts in any 60 seconds, in one account.
    pub largest_minute_import_many: u64,
    /// The most imports of one contact in any 60 seconds, in one account.
    pub largest_minute_import_one: u64,
    /// The most requests of all classes in any second, in one account.
    pub largest_second: u64,
    /// Requests refused because of a limit, or let through although over a documented one. Injected refusals are not
    /// counted.
    pub windows_exceeded: u64,
    /// Requests that came before the `Retry-After` of an earlier answer had passed. One that was under way when that
    /// answer was sent is counted too.
    pub before_retry_after: u64,
    /// Imports that were queued.
    pub batches_accepted: u64,
    /// Queued imports that did not ask to leave automations alone.
    pub batches_with_automations: u64,
    /// Batches that were processed to the end.
    pub batches_completed: u64,
    /// Batches that ended as `failed` or `interrupted`.
    pub batches_broken: u64,
    /// Contacts in queued imports, repeated ones each time.
    pub contacts_accepted: u64,
    /// Different addresses of an account that a batch confirmed.
    pub contacts_confirmed: u64,
    /// Contacts that ended in a batch's `failure`, each time.
    pub contacts_failed: u64,
    /// Why they did, which the service itself never tells.
    pub failure_reasons: BTreeMap<String, u64>,
    /// Different addresses that were queued more than once with the same lists.
    pub contacts_sent_again: u64,
    /// How often that was beyond the first time.
    pub extra_deliveries: u64,
    /// Contacts that were queued while another batch of the account with their address was not processed yet, each
    /// time. The service may apply the two in either order.
    pub overlapping_contacts: u64,
    /// Answers that did not leave whole, as far as the simulator can see.
    pub answers_undelivered: u64,
    /// The largest body of a request.
    pub largest_body_bytes: u64,
    /// The bytes of all bodies.
    pub body_bytes: u64,
    /// When the first import was queued, in milliseconds of the simulator's clock; 0 before it.
    pub first_import_ms: u64,
    /// When the last import was queued.
    pub last_import_ms: u64,
    /// When a batch's state was last asked for.
    pub last_status_ms: u64,
}

/// Counts records. It holds hashes of addresses, never the addresses.
#[derive(Default)]
pub(crate) struct Tally {
    report: Report,
    arrivals: HashMap<String, Arrivals>,
    /// How often a contact was queued, by account, address and lists.
    queued: HashMap<u64, u32>,
    confirmed: HashSet<u64>,
    /// The addresses' hashes of batches under way.
    under_way: HashMap<Uuid, Vec<u64>>,
    /// In how many of those batches an address is.
    batches_under_way: HashMap<u64, u32>,
}

#[derive(Default)]
struct Arrivals {
    import_many: Seen,
    import_one: Seen,
    all: Seen,
}

#[derive(Default)]
struct Seen {
    seen: Vec<Micros>,
    admitted: Vec<Micros>,
}

impl Seen {
    fn add(&mut self, at: Micros, admitted: bool) {
        self.seen.push(at);
        if admitted {
            self.admitted.push(at);
        }
    }
}

impl Tally {
    /// Counts a record read from a journal.
    pub(crate) fn count(&mut self, record: &Record) {
        match record {
            Record::Start(_) => {}
            Record::Request(request) => {
                let contacts = request
                    .import
                    .as_ref()
                    .map(|import| serde_json::from_str::<Vec<NewContact>>(import.contacts.get()).unwrap_or_default());
                self.count_request(request, contacts.as_deref().unwrap_or_default());
            }
            Record::Finished(finished) => self.count_finished(finished),
            Record::Answered(answered) => self.report.answers_undelivered += u64::from(!answered.delivered),
        }
    }

    /// Counts a request whose contacts are at hand.
    pub(crate) fn count_request(&mut self, request: &RequestRecord, contacts: &[NewContact]) {
        let report = &mut self.report;
        *report.requests.entry(class_name(request.class).to_owned()).or_default() += 1;
        report.body_bytes += request.body_bytes;
        report.largest_body_bytes = report.largest_body_bytes.max(request.body_bytes);
        report.before_retry_after += u64::from(request.early);
        report.rate_limited_429 += u64::from(request.status == 429);
        let injected = request.fault.as_deref();
        let limited_400 = request.decision == Decision::RateLimited || injected == Some("rate_limit_400");
        report.rate_limited_400 += u64::from(request.status == 400 && limited_400);
        report.windows_exceeded += u64::from(request.decision == Decision::RateLimited);
        if let Some(fault) = injected {
            *report.faults.entry(fault.to_owned()).or_default() += 1;
        }
        if request.class == Class::Status {
            report.last_status_ms = report.last_status_ms.max(request.at / MILLISECOND);
        }
        if let Some(account) = &request.account {
            self.count_arrival(account, request);
            if let Some(import) = &request.import {
                self.count_import(account, request.at / MILLISECOND, import, contacts);
            }
        }
    }

    fn count_arrival(&mut self, account: &str, request: &RequestRecord) {
        let admitted = request.decision != Decision::RateLimited;
        if !self.arrivals.contains_key(account) {
            self.arrivals.insert(account.to_owned(), Arrivals::default());
        }
        let Some(arrivals) = self.arrivals.get_mut(account) else { return };
        arrivals.all.add(request.at, admitted);
        match request.class {
            Class::ImportMany => arrivals.import_many.add(request.at, admitted),
            Class::ImportOne => arrivals.import_one.add(request.at, admitted),
            Class::Status | Class::Other => {}
        }
    }

    fn count_import(&mut self, account: &str, at_ms: u64, import: &ImportRecord, contacts: &[NewContact]) {
        let report = &mut self.report;
        report.first_import_ms = if report.batches_accepted == 0 { at_ms } else { report.first_import_ms.min(at_ms) };
        report.last_import_ms = report.last_import_ms.max(at_ms);
        report.batches_accepted += 1;
        self.report.batches_with_automations += u64::from(!import.exclude_automations);
        self.report.contacts_accepted += contacts.len() as u64;
        let mut addresses = Vec::with_capacity(contacts.len());
        for contact in contacts {
            let address = address_hash(account, &contact.email);
            let delivery = hash_of(&(address, &contact.subscribe));
            let times = self.queued.entry(delivery).or_default();
            *times += 1;
            self.report.contacts_sent_again += u64::from(*times == 2);
            self.report.extra_deliveries += u64::from(*times >= 2);
            let batches = self.batches_under_way.entry(address).or_default();
            self.report.overlapping_contacts += u64::from(*batches > 0 && !addresses.contains(&address));
            *batches += 1;
            addresses.push(address);
        }
        self.under_way.insert(import.batch, addresses);
    }

    /// Counts the end of a batch.
    pub(crate) fn count_finished(&mut self, finished: &FinishedRecord) {
        match finished.ended {
            Ended::Completed => self.report.batches_completed += 1,
            Ended::Failed | Ended::Interrupted => self.report.batches_broken += 1,
        }
        let addresses = self.under_way.remove(&finished.batch).unwrap_or_default();
        for address in &addresses {
            if let Some(batches) = self.batches_under_way.get_mut(address) {
                *batches -= 1;
                if *batches == 0 {
                    self.batches_under_way.remove(address);
                }
            }
        }
        let failed: HashSet<u32> = finished.failed.iter().map(|(index, _, _)| *index).collect();
        for (index, address) in (0_u32..).zip(addresses).take(finished.processed as usize) {
            if !failed.contains(&index) {
                self.confirmed.insert(address);
            }
        }
        self.report.contacts_failed += finished.failed.len() as u64;
        for (_, _, reason) in &finished.failed {
            *self.report.failure_reasons.entry(reason_name(*reason).to_owned()).or_default() += 1;
        }
    }

    /// The figures up to now.
    pub(crate) fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.contacts_confirmed = self.confirmed.len() as u64;
        for arrivals in self.arrivals.values() {
            let windows = [
                (&arrivals.import_many, 60 * SECOND, MANY_PER_MINUTE, &mut report.largest_minute_import_many),
                (&arrivals.import_one, 60 * SECOND, ONE_PER_MINUTE, &mut report.largest_minute_import_one),
                (&arrivals.all, SECOND, PER_SECOND, &mut report.largest_second),
            ];
            for (seen, window, limit, largest) in windows {
                let mut all = seen.seen.clone();
                all.sort_unstable();
                *largest = (*largest).max(largest_window(&all, window));
                let mut admitted = seen.admitted.clone();
                admitted.sort_unstable();
                report.windows_exceeded += over_limit(&admitted, window, limit as usize);
            }
        }
        report
    }
}

/// The most of the sorted arrivals that lie in any span shorter than `window`.
pub(crate) fn largest_window(sorted: &[Micros], window: Micros) -> u64 {
    let (mut first, mut largest) = (0, 0);
    for (last, at) in sorted.iter().enumerate() {
        while at - sorted[first] >= window {
            first += 1;
        }
        largest = largest.max(last - first + 1);
    }
    largest as u64
}

fn over_limit(sorted: &[Micros], window: Micros, limit: usize) -> u64 {
    sorted.iter().skip(limit).zip(sorted).filter(|(last, first)| **last - **first < window).count() as u64
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn address_hash(account: &str, email: &str) -> u64 {
    hash_of(&(account, email.to_lowercase()))
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::ImportMany => "import_many",
        Class::ImportOne => "import_one",
        Class::Status => "status",
        Class::Other => "other",
    }
}

fn reason_name(reason: FailReason) -> &'static str {
    match reason {
        FailReason::MalformedAddress => "malformed_address",
        FailReason::Excluded => "excluded",
        FailReason::Bounced => "bounced",
        FailReason::OptedOut => "opted_out",
        FailReason::ContactLimit => "contact_limit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_window_is_half_open() {
        assert_eq!(largest_window(&[0, 50, 99, 100, 149], 100), 4);
        assert_eq!(largest_window(&[0, 100, 200], 100), 1);
        assert_eq!(largest_window(&[], 100), 0);
    }

    #[test]
    fn each_request_over_a_limit_counts_once() {
        assert_eq!(over_limit(&[0, 1, 2, 3], 100, 2), 2);
        assert_eq!(over_limit(&[0, 1, 100, 101], 100, 2), 0);
    }
}
