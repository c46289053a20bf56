//! What the simulator saw, for whoever judges.

use crate::account::Account;
use crate::journal::{self, Fact};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Figures over one account, or over a journal.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Requests by class.
    pub requests: BTreeMap<String, u64>,
    /// Requests that were refused because they were over a limit.
    pub windows_exceeded: u64,
    /// The most imports of several contacts that any sliding minute held.
    pub most_imports_in_a_minute: usize,
    /// The most requests that any sliding second held.
    pub most_requests_in_a_second: usize,
    /// Imports that were queued.
    pub imports_accepted: u64,
    /// Addresses that arrived at least once.
    pub addresses: u64,
    /// Addresses that the account has as contacts.
    pub contacts: u64,
    /// Addresses that arrived more than once.
    pub addresses_repeated: u64,
    /// Arrivals beyond the first of each address.
    pub extra_deliveries: u64,
    /// Bytes of all accepted imports.
    pub bytes: u64,
    /// Bytes of the largest.
    pub largest: u64,
}

impl Report {
    pub(crate) fn of(account: &Account) -> Self {
        let deliveries = || account.people.values().map(|person| u64::from(person.deliveries));
        Self {
            requests: account.requests.iter().map(|(class, count)| ((*class).to_owned(), *count)).collect(),
            windows_exceeded: account.many.refused + account.one.refused + account.all.refused,
            most_imports_in_a_minute: account.many.most,
            most_requests_in_a_second: account.all.most,
            imports_accepted: account.batches.len() as u64,
            addresses: deliveries().filter(|count| *count > 0).count() as u64,
            contacts: account.people.values().filter(|person| person.view.is_some()).count() as u64,
            addresses_repeated: deliveries().filter(|count| *count > 1).count() as u64,
            extra_deliveries: deliveries().map(|count| count.saturating_sub(1)).sum(),
            bytes: account.bytes,
            largest: account.largest as u64,
        }
    }

    /// From a journal alone: what was accepted, and whether a limit was passed.
    pub fn from_journal(path: &Path) -> anyhow::Result<Self> {
        let mut report = Self::default();
        let mut deliveries: HashMap<String, u64> = HashMap::new();
        for fact in journal::read(path)? {
            match fact {
                Fact::Limited { .. } => report.windows_exceeded += 1,
                Fact::Accepted { contacts, bytes, .. } => {
                    report.imports_accepted += 1;
                    report.bytes += bytes as u64;
                    report.largest = report.largest.max(bytes as u64);
                    for contact in contacts {
                        *deliveries.entry(crate::account::email(&contact).to_lowercase()).or_default() += 1;
                    }
                }
            }
        }
        report.addresses = deliveries.len() as u64;
        report.addresses_repeated = deliveries.values().filter(|count| **count > 1).count() as u64;
        report.extra_deliveries = deliveries.values().map(|count| count - 1).sum();
        Ok(report)
    }
}
