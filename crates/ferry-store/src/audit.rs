//! Entries of the record, appended in the transaction of what they record.
//!
//! A tenant's own chain has one head row, which is locked from the read to the end of the transaction, so two writers
//! can never follow the same entry. What cannot be recorded does not happen: a failed append undoes its change.

use crate::audit_stream;
use crate::entity::{audit_chain, audit_entry};
use crate::error::{corrupt, database, to_json};
use crate::new_entries::NewEntries;
use ferry_domain::authz::Act;
use ferry_domain::{Reason, Result, Timestamp, hex};
use ferry_ledger::{Entry, EntryResult, GENESIS, Hash, link};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{DatabaseTransaction, EntityTrait, QuerySelect};
use std::collections::BTreeMap;

/// The chain of what belongs to no tenant: refused calls on the operator's plane.
pub(crate) const OPERATOR: &str = "";

/// Who did it, by which right, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) actor: String,
    pub(crate) role: String,
    pub(crate) required: String,
    pub(crate) correlation_id: String,
    pub(crate) origin: String,
}

impl Who {
    /// What Ferry does by itself.
    pub(crate) fn ferry() -> Self {
        let nothing = String::new;
        let actor = "ferry".to_owned();
        Self { actor, role: nothing(), required: nothing(), correlation_id: nothing(), origin: nothing() }
    }
}

impl From<&Act> for Who {
    fn from(act: &Act) -> Self {
        Self {
            actor: act.subject.clone(),
            role: act.role.to_owned(),
            required: act.required.to_owned(),
            correlation_id: act.call.correlation_id.clone(),
            origin: act.call.origin.clone(),
        }
    }
}

/// What happened to what. No personal data of profiles and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) tenant: String,
    pub(crate) kind: &'static str,
    pub(crate) object: String,
    pub(crate) result: EntryResult,
    pub(crate) reason: String,
    pub(crate) details: BTreeMap<String, String>,
}

impl Fact {
    /// Something that was done. `kind` is in upper snake case.
    pub(crate) fn new(kind: &'static str, tenant: impl Into<String>, object: impl std::fmt::Display) -> Self {
        Self {
            tenant: tenant.into(),
            kind,
            object: object.to_string(),
            result: EntryResult::Ok,
            reason: String::new(),
            details: BTreeMap::new(),
        }
    }

    /// It did not come to what was asked.
    pub(crate) fn because(mut self, result: EntryResult, reason: Reason) -> Self {
        (self.result, self.reason) = (result, reason.as_str());
        self
    }

    /// One thing more to say.
    pub(crate) fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.details.insert(key.to_owned(), value.to_string());
        self
    }

    /// The digests of the row before and after, by which a reader sees that nothing was changed in between.
    pub(crate) fn changing<M: serde::Serialize>(self, before: Option<&M>, after: Option<&M>) -> Result<Self> {
        let mut fact = self;
        for (key, row) in [("before", before), ("after", after)] {
            if let Some(row) = row {
                fact = fact.with(key, hex::encode(&ferry_ledger::row_digest(to_json(row)?.as_bytes())));
            }
        }
        Ok(fact)
    }
}

/// A change that was made: what its caller gets, and what goes on record. There is no way to make one of a change that
/// leaves nothing on record.
pub(crate) struct Changed<T> {
    value: T,
    facts: Vec<Fact>,
}

impl<T> Changed<T> {
    /// One fact.
    pub(crate) fn one(value: T, fact: Fact) -> Self {
        Self { value, facts: vec![fact] }
    }

    /// One fact, and what followed from it.
    pub(crate) fn with(value: T, fact: Fact, consequences: impl IntoIterator<Item = Fact>) -> Self {
        let mut facts = vec![fact];
        facts.extend(consequences);
        Self { value, facts }
    }

    /// A repeat, which changes nothing.
    pub(crate) fn nothing(value: T) -> Self {
        Self { value, facts: Vec::new() }
    }

    /// Puts the facts on record, and gives the value.
    pub(crate) async fn recorded(self, transaction: &DatabaseTransaction, who: &Who, now: Timestamp) -> Result<T> {
        for fact in self.facts {
            append(transaction, who, fact, now).await?;
        }
        Ok(self.value)
    }
}

/// Appends to a tenant's own chain, and tells the number.
pub(crate) async fn append(transaction: &DatabaseTransaction, who: &Who, fact: Fact, now: Timestamp) -> Result<u64> {
    let head = audit_chain::Entity::find_by_id(fact.tenant.as_str())
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(database)?;
    let (last, previous) = match &head {
        Some(head) => (head.number, to_hash("audit_chains", &head.hash)?),
        None => (0, GENESIS),
    };
    let number = u64::try_from(last + 1).map_err(|error| corrupt("audit_chains", error))?;
    let Fact { tenant, kind, object, result, reason, details } = fact;
    let entry = Entry {
        tenant: tenant.clone(),
        chain: String::new(),
        number,
        time_ms: now.as_millis(),
        kind: kind.to_owned(),
        actor: who.actor.clone(),
        actor_role: who.role.clone(),
        required_role: who.required.clone(),
        object,
        result,
        reason,
        correlation_id: who.correlation_id.clone(),
        origin: who.origin.clone(),
        details,
    };
    let (row, hash) = row_of(&entry, &previous)?;
    audit_entry::Entity::insert(row).exec_without_returning(transaction).await.map_err(database)?;
    let head = audit_chain::ActiveModel {
        tenant: Set(tenant),
        number: Set(last + 1),
        hash: Set(hash.to_vec()),
        leaf_number: Set(0),
    };
    let moved = OnConflict::column(audit_chain::Column::Tenant)
        .update_columns([audit_chain::Column::Number, audit_chain::Column::Hash])
        .to_owned();
    let write = audit_chain::Entity::insert(head).on_conflict(moved);
    write.exec_without_returning(transaction).await.map_err(database)?;
    audit_stream::appended(entry, hash);
    NewEntries::appended(1);
    Ok(number)
}

/// The row of an entry that follows `previous`, and its hash.
pub(crate) fn row_of(entry: &Entry, previous: &Hash) -> Result<(audit_entry::ActiveModel, Hash)> {
    let body = entry.encode();
    let link = link(previous, &body);
    let row = audit_entry::ActiveModel {
        tenant: Set(entry.tenant.clone()),
        chain: Set(entry.chain.clone()),
        number: Set(i64::try_from(entry.number).map_err(|error| corrupt("audit_entries", error))?),
        time: Set(entry.time_ms),
        kind: Set(entry.kind.clone()),
        actor: Set(entry.actor.clone()),
        object: Set(entry.object.clone()),
        body: Set(Some(body)),
        body_hash: Set(link.body_hash.to_vec()),
        hash: Set(link.hash.to_vec()),
    };
    Ok((row, link.hash))
}

pub(crate) fn to_hash(table: &str, bytes: &[u8]) -> Result<Hash> {
    bytes.try_into().map_err(|_| corrupt(table, "a hash has another length than 32"))
}
