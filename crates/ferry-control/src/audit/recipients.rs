//! Where a person's data has gone: from the recipients files, and from the runs that are in none of them yet.
//!
//! What a run sends is on record before it leaves, so a run that goes on is asked as well: its index says which row is the
//! person's, and its batches what became of that row. An answer that may not be whole is none.

use crate::Control;
use crate::control::key_id;
use crate::segment::blocking;
use crate::tenant::parse_tenant;
use ferry_domain::authz::action::FindRecipients;
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Error, Result, TenantId, TenantName, Timestamp};
use ferry_segments::layout::{RecipientsName, index_path};
use ferry_segments::{
    Email, FieldSet, Holder, Outcome, PlanError, PlanIndex, Presence, RecipientRow, RecipientsFile, RecipientsReader,
    identity_digest,
};
use ferry_store::{RecipientsFiles, RecipientsKey, RecipientsRecord, RowOutcome, SentBatch, Unfolded};
use ferry_vault::Purpose;
use std::collections::BTreeMap;
use std::path::Path;

/// How often it is looked again, if a file was replaced while it was looked for.
const LOOKS: usize = 5;

/// A list that a person's data has gone to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The connection's name, even if it was removed since.
    pub connection: String,
    /// The account's host.
    pub host: String,
    /// The list.
    pub list: u32,
    /// The destination fields that were sent.
    pub fields: Vec<String>,
    /// What for, when it was last sent.
    pub purpose: String,
    /// When it was first sent.
    pub first_time: Timestamp,
    /// When it was last sent.
    pub last_time: Timestamp,
    /// Whether the destination confirmed that it is not there: taken off since, or refused.
    pub removed: bool,
}

/// What one export has sent of a person to one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    pub(crate) key: RecipientsKey,
    pub(crate) holder: Holder,
    pub(crate) row: RecipientRow,
}

impl Control {
    /// Says where a person's data has gone, once that is on record.
    pub async fn find_recipients(&self, actor: &Actor, parent: &str, email: &str) -> Result<Vec<Recipient>> {
        let name = parse_tenant("parent", parent)?;
        permit::<FindRecipients>(actor, name.clone())?.spend();
        let email = Email::parse(email).map_err(|_| Error::invalid("email", "must be an e-mail address"))?;
        let found = match self.identity_of(&name.tenant, &email).await? {
            Some(identity) => self.whereabouts(actor, &name, identity).await?,
            None => Vec::new(),
        };
        let recipients = merged(&name.tenant, found);
        let (now, count) = (self.now(), recipients.len());
        self.granted(|store| Ok(store.recipients_read(permit::<FindRecipients>(actor, name)?, count, now)))?.await?;
        Ok(recipients)
    }

    /// The person's digest under the tenant's identity key. Nothing for a tenant that never had a connection: it has no
    /// such key, and nobody was ever sent.
    pub(crate) async fn identity_of(&self, tenant: &TenantId, email: &Email) -> Result<Option<[u8; 16]>> {
        let id = key_id(tenant.as_str(), "", Purpose::Identity)?;
        let key = self.keys(move |vault| match vault.data_key(&id) {
            Ok(key) => Ok(Some(key)),
            Err(ferry_vault::VaultError::NoKey) => Ok(None),
            Err(error) => Err(error),
        });
        Ok(key.await?.map(|key| identity_digest(&key, email)))
    }

    /// What each export has sent of a person, by the right of somebody who may ask.
    pub(crate) async fn whereabouts(
        &self,
        actor: &Actor,
        name: &TenantName,
        identity: [u8; 16],
    ) -> Result<Vec<Whereabouts>> {
        for _ in 0..LOOKS {
            let begun =
                self.granted(|store| Ok(store.recipients_files(permit::<FindRecipients>(actor, name.clone())?)))?;
            if let Some(found) = self.look(&name.tenant, identity, begun.await?).await? {
                return Ok(found);
            }
        }
        Err(Error::internal("a file of recipients is missing", name))
    }

    /// What each export has sent of a person. Nothing if a file was replaced while it was looked for: then there are
    /// others to be asked for.
    pub(crate) async fn look(
        &self,
        tenant: &TenantId,
        identity: [u8; 16],
        files: RecipientsFiles,
    ) -> Result<Option<Vec<Whereabouts>>> {
        let RecipientsFiles { adopted, unfolded } = files;
        let (data_dir, of) = (self.parts.data_dir.clone(), tenant.as_str().to_owned());
        let looked = blocking(move || {
            let found = in_files(&data_dir, &of, adopted, &identity)?;
            let rows = in_indexes(&data_dir, &of, unfolded, &identity)?;
            Ok::<_, PlanError>((found, rows))
        });
        match looked.await? {
            Ok((found, rows)) => self.with_runs(found, rows).await.map(Some),
            Err(PlanError::Io { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::internal("a file of recipients cannot be read", error)),
        }
    }

    /// Moves on what files say by what runs have sent since.
    async fn with_runs(&self, found: Vec<Whereabouts>, rows: Vec<(Unfolded, u64)>) -> Result<Vec<Whereabouts>> {
        let mut found: BTreeMap<RecipientsKey, Whereabouts> =
            found.into_iter().map(|whereabouts| (whereabouts.key.clone(), whereabouts)).collect();
        for (run, ordinal) in rows {
            let batches = self.store().recipients_batches_of_row(&run, ordinal).await?;
            let before = found.get(&run.key).map(|whereabouts| &whereabouts.row);
            if let Some(row) = moved_on(before, &run, ordinal, &batches) {
                let (key, holder) = (run.key.clone(), holder(&run));
                found.insert(run.key, Whereabouts { key, holder, row });
            }
        }
        Ok(found.into_values().collect())
    }
}

fn in_files(
    data_dir: &Path,
    tenant: &str,
    adopted: Vec<RecipientsRecord>,
    identity: &[u8; 16],
) -> std::result::Result<Vec<Whereabouts>, PlanError> {
    let mut found = Vec::new();
    for RecipientsRecord { key, number, digest, .. } in adopted {
        let RecipientsKey { export_uid, connection_uid, generation, list } = &key;
        let (generation, list) = (*generation, *list);
        let path = RecipientsName { tenant, export_uid, connection_uid, generation, list, number }.path(data_dir);
        let file = RecipientsReader::open(&RecipientsFile { path, digest })?;
        if let Some(row) = file.find(identity)? {
            found.push(Whereabouts { key, holder: file.holder().clone(), row });
        }
    }
    Ok(found)
}

/// Runs whose plan has a row of the person, and which.
fn in_indexes(
    data_dir: &Path,
    tenant: &str,
    unfolded: Vec<Unfolded>,
    identity: &[u8; 16],
) -> std::result::Result<Vec<(Unfolded, u64)>, PlanError> {
    let mut found = Vec::new();
    for run in unfolded {
        let path = index_path(data_dir, tenant, run.planned_in.as_str());
        if let Some(ordinal) = PlanIndex::open(&path, &run.plan.digest)?.find(identity)? {
            found.push((run, ordinal));
        }
    }
    Ok(found)
}

fn holder(run: &Unfolded) -> Holder {
    Holder {
        connection: run.connection.clone(),
        connection_uid: run.key.connection_uid.clone(),
        host: run.plan.host.clone(),
        list: run.key.list,
        export: run.export.clone(),
        export_uid: run.key.export_uid.clone(),
    }
}

/// What is known of a person after a run, as its fold will say. Nothing if it has sent nothing of them.
fn moved_on(
    before: Option<&RecipientRow>,
    run: &Unfolded,
    ordinal: u64,
    batches: &[SentBatch],
) -> Option<RecipientRow> {
    let mut outcome = Outcome::NotSent;
    for batch in batches {
        outcome = batch.record.outcome_of(ordinal).map_or(outcome, |outcome| match outcome {
            RowOutcome::Confirmed => Outcome::Confirmed,
            RowOutcome::Refused { reason, may_be_there } => Outcome::Refused { reason, may_be_there },
            RowOutcome::Unknown => Outcome::Unknown,
        });
    }
    let sent = || batches.iter().filter_map(|batch| batch.sent);
    let begin = run.begin_time.as_millis();
    let first_ms = sent().map(|(first, _)| first.as_millis()).min().unwrap_or(begin);
    let last_ms = sent().map(|(_, last)| last.as_millis()).max().unwrap_or(begin);
    let put = if ordinal < run.plan.planned { Some(run.fields()) } else { run.fields_of_who_left() };
    let was = before.map(|row| row.presence);
    let Some(fields) = put else {
        let presence = Presence::after_take_off(was, outcome)?;
        let unknown = RecipientRow { first_ms, last_ms, presence, set: FieldSet::new([], run.purpose()) };
        return Some(before.map_or(unknown, |row| RecipientRow { presence, ..row.clone() }));
    };
    let presence = Presence::after_put(was, outcome)?;
    let set = FieldSet::new(fields, run.purpose());
    Some(match before {
        None => RecipientRow { first_ms, last_ms, presence, set },
        Some(row) => RecipientRow {
            first_ms: row.first_ms.min(first_ms),
            last_ms: row.last_ms.max(last_ms),
            presence,
            set: row.set.and(&set),
        },
    })
}

/// One for each list of each account, whichever exports sent to it. It counts as gone if none of them may hold it there.
fn merged(tenant: &TenantId, mut found: Vec<Whereabouts>) -> Vec<Recipient> {
    // The purpose is that of the last.
    found.sort_by_key(|whereabouts| whereabouts.row.last_ms);
    let mut lists: BTreeMap<(String, String, u32), RecipientRow> = BTreeMap::new();
    for Whereabouts { holder, row, .. } in found {
        let list = (holder.connection, holder.host, holder.list);
        let merged = match lists.get(&list) {
            None => row,
            Some(other) => RecipientRow {
                first_ms: other.first_ms.min(row.first_ms),
                last_ms: other.last_ms.max(row.last_ms),
                presence: if other.presence.may_be_there() { other.presence } else { row.presence },
                set: other.set.and(&row.set),
            },
        };
        lists.insert(list, merged);
    }
    let recipient = |((connection, host, list), row): ((String, String, u32), RecipientRow)| Recipient {
        connection: format!("tenants/{tenant}/connections/{connection}"),
        host,
        list,
        fields: row.set.fields,
        purpose: row.set.purpose,
        first_time: Timestamp::from_millis(row.first_ms),
        last_time: Timestamp::from_millis(row.last_ms),
        removed: !row.presence.may_be_there(),
    };
    lists.into_iter().map(recipient).collect()
}
