//! Audit entries and checkpoints.

use super::{count, time};
use ferry_control::ExportItem;
use ferry_ledger::{EntryResult, Hash};
use ferry_proto::v1 as pb;
use ferry_proto::v1::export_audit_log_response::Item;
use ferry_store::{AuditRecord, ProvedCheckpoint};

/// An entry. What retention has taken is empty.
pub(crate) fn entry(record: AuditRecord) -> pb::AuditEntry {
    let mut shown = pb::AuditEntry {
        name: format!("{}/auditEntries/{}", record.chain, record.number),
        number: count(record.number),
        kind: record.kind,
        create_time: Some(time(record.time)),
        encoded: record.encoded.unwrap_or_default(),
        hash: record.hash.to_vec(),
        previous_hash: record.previous_hash.to_vec(),
        chain: record.chain,
        body_hash: record.body_hash.to_vec(),
        ..pb::AuditEntry::default()
    };
    if let Some(entry) = record.entry {
        shown.actor = entry.actor;
        shown.actor_role = entry.actor_role;
        shown.required_role = entry.required_role;
        shown.object = entry.object;
        shown.result = match entry.result {
            EntryResult::Ok => pb::audit_entry::Result::Ok,
            EntryResult::Denied => pb::audit_entry::Result::Denied,
            EntryResult::Failed => pb::audit_entry::Result::Failed,
        }
        .into();
        shown.reason = entry.reason;
        shown.correlation_id = entry.correlation_id;
        shown.details = entry.details.into_iter().collect();
        shown.origin = entry.origin;
    }
    shown
}

/// A checkpoint with its proofs.
pub(crate) fn checkpoint(proved: ProvedCheckpoint, public_key: String) -> pb::Checkpoint {
    let hashes = |hashes: Vec<Hash>| hashes.into_iter().map(|hash| hash.to_vec()).collect();
    pb::Checkpoint {
        note: proved.signed.note,
        public_key,
        entries: count(proved.entries),
        create_time: Some(time(proved.signed.time)),
        leaf_index: count(proved.leaf_index),
        inclusion_proof: hashes(proved.inclusion),
        consistency_proof: hashes(proved.consistency),
    }
}

/// An item of the stream.
pub(crate) fn exported(item: ExportItem) -> pb::ExportAuditLogResponse {
    let item = match item {
        ExportItem::Log { tenant, uid, origin } => Item::Log(pb::AuditLogHeader { tenant, tenant_uid: uid, origin }),
        ExportItem::Entry(record) => Item::Entry(entry(*record)),
        ExportItem::Checkpoint(proved, key) => Item::Checkpoint(checkpoint(*proved, key)),
    };
    pb::ExportAuditLogResponse { item: Some(item) }
}
