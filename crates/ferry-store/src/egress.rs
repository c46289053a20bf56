//! Entries of a run's own chain: what was about to leave, to whom and why, and what came of it.
//!
//! They are written in the transaction of the intent, the answer or the result, by the holder of the run's lease alone:
//! what cannot be put on record here is not sent. The head of the chain lies in the run's row, which that transaction
//! has read under the lease, so two entries never follow the same one.

use crate::audit::{Who, row_of, to_hash};
use crate::batch::{BatchAfter, Intent};
use crate::connection::export_name;
use crate::entity::audit_entry;
use crate::error::{corrupt, database};
use crate::new_entries::NewEntries;
use crate::record::{Ground, Record, What};
use ferry_domain::{Result, hex};
use ferry_ledger::{Entry, EntryResult, GENESIS, Hash};
use sea_orm::{DatabaseTransaction, EntityTrait};
use std::collections::{BTreeMap, HashMap};

/// Where the data of a plan goes, and what for. It stays what it was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The destination's host.
    pub host: String,
    /// The list.
    pub list: u32,
    /// What for: the export's display name, at most 200 characters of it.
    pub purpose: String,
    /// The destination fields that are filled, separated by commas.
    pub fields: String,
}

/// What a request does with the people in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// It puts them there, or changes them.
    Put,
    /// It takes them off, or says that they left.
    TakeOff,
}

/// The head of a run's chain after a write: its number and hash.
pub(crate) type Heads<'a> = BTreeMap<&'a str, (i64, Hash)>;

/// Appends an entry for each record, in their order, each to the chain of its run. `Ground`s are what the runs stand on.
pub(crate) async fn append<'a>(
    transaction: &DatabaseTransaction,
    grounds: &HashMap<String, Ground>,
    written: impl Iterator<Item = (&'a Record, i64)>,
) -> Result<Heads<'a>> {
    let mut heads = Heads::new();
    let mut rows = Vec::new();
    for (record, batch) in written {
        let ground = grounds.get(&record.run).ok_or_else(|| corrupt("runs", "a record without a run"))?;
        let (number, previous) = match heads.get(record.run.as_str()) {
            Some(head) => *head,
            None => (ground.entries, head_of(ground.entries_head.as_deref())?),
        };
        let (row, hash) = row_of(&entry(record, ground, batch, number + 1)?, &previous)?;
        heads.insert(&record.run, (number + 1, hash));
        rows.push(row);
    }
    if !rows.is_empty() {
        NewEntries::appended(rows.len() as u64);
        audit_entry::Entity::insert_many(rows).exec_without_returning(transaction).await.map_err(database)?;
    }
    Ok(heads)
}

/// The hash that the next entry of a run's chain follows.
pub(crate) fn head_of(stored: Option<&[u8]>) -> Result<Hash> {
    stored.map_or(Ok(GENESIS), |bytes| to_hash("runs", bytes))
}

fn entry(record: &Record, ground: &Ground, batch: i64, number: i64) -> Result<Entry> {
    let Who { actor, role, required, correlation_id, origin } = Who::ferry();
    let (kind, now, mut details) = match &record.what {
        What::Intent { intent, now } => ("EGRESS_INTENT", now, of_intent(intent, record.epoch)),
        What::Answer { attempt_id, outcome, after, now, .. } => {
            let mut details = of_result(after);
            details.insert("attempt".to_owned(), attempt_id.clone());
            details.insert("outcome".to_owned(), outcome.word().to_owned());
            ("EGRESS_OUTCOME", now, details)
        }
        What::Result { after, now, .. } => ("EGRESS_SETTLED", now, of_result(after)),
    };
    details.insert("batch".to_owned(), batch.to_string());
    Ok(Entry {
        tenant: ground.tenant.clone(),
        chain: record.run.clone(),
        number: u64::try_from(number).map_err(|error| corrupt("runs", error))?,
        time_ms: now.as_millis(),
        kind: kind.to_owned(),
        actor,
        actor_role: role,
        required_role: required,
        object: format!("{}/runs/{}", export_name(&ground.tenant, &ground.export)?, record.run),
        result: EntryResult::Ok,
        reason: String::new(),
        correlation_id,
        origin,
        details,
    })
}

fn of_intent(intent: &Intent, epoch: i64) -> BTreeMap<String, String> {
    let Recipient { host, list, purpose, fields } = &*intent.recipient;
    let count = u64::from(intent.batch.rows).saturating_sub(intent.batch.removed.len() as u64);
    let action = match intent.action {
        Sends::Put => "put",
        Sends::TakeOff => "take_off",
    };
    let details = [
        ("attempt", intent.attempt_id.clone()),
        ("host", host.clone()),
        ("list", list.to_string()),
        ("purpose", purpose.clone()),
        ("fields", fields.clone()),
        ("count", count.to_string()),
        ("action", action.to_owned()),
        ("digest", hex::encode(&intent.keyed_digest)),
        ("epoch", epoch.to_string()),
    ];
    details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn of_result(after: &BatchAfter) -> BTreeMap<String, String> {
    let mut details = vec![("state", after.state().word().to_owned())];
    match after {
        BatchAfter::Settled { confirmed, refused } => {
            details.push(("confirmed", confirmed.to_string()));
            details.push(("refused", refused.len().to_string()));
        }
        BatchAfter::Split { refused } => details.push(("refused", refused.len().to_string())),
        BatchAfter::Queued { remote_id, .. } => details.push(("remote_id", remote_id.clone())),
        BatchAfter::Due | BatchAfter::Unknown => {}
    }
    details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
