//! Altering an exported file, item by item.

use ferry_ledger::checkpoint::{Checkpoint, Signer};
use ferry_ledger::{GENESIS, body_hash, hash};
use ferry_proto::v1 as pb;
use ferry_proto::v1::export_audit_log_response::Item;

/// Where the checkpoints are.
pub(super) fn checkpoints(items: &[Item]) -> Vec<usize> {
    (0..items.len()).filter(|place| matches!(items[*place], Item::Checkpoint(_))).collect()
}

pub(super) fn checkpoint(item: &mut Item) -> &mut pb::Checkpoint {
    let Item::Checkpoint(checkpoint) = item else { panic!("no checkpoint: {item:?}") };
    checkpoint
}

/// An entry of a chain.
pub(super) fn entry<'a>(items: &'a mut [Item], chain: &str, number: i64) -> &'a mut pb::AuditEntry {
    let found = items.iter_mut().find_map(|item| match item {
        Item::Entry(entry) if entry.chain == chain && entry.number == number => Some(entry),
        _ => None,
    });
    found.unwrap()
}

/// The text of a note, and its signatures.
pub(super) fn parts(note: &str) -> (&str, &str) {
    let end = note.rfind("\n\n").unwrap() + 1;
    (&note[..end], &note[end + 1..])
}

/// A checkpoint that says something else, signed by this key.
pub(super) fn resign(item: &mut Item, signer: &Signer, change: impl FnOnce(&mut Checkpoint)) {
    let seal = checkpoint(item);
    let mut says = super::scene::parse(&seal.note);
    change(&mut says);
    seal.note = says.sign(signer);
}

/// Computes all hashes of a chain anew.
pub(super) fn relink(items: &mut [Item], chain: &str) {
    let mut previous = GENESIS;
    for item in items {
        let Item::Entry(entry) = item else { continue };
        if entry.chain == chain {
            let of_body = body_hash(&entry.encoded);
            previous = hash(&previous, &of_body);
            (entry.body_hash, entry.hash) = (of_body.to_vec(), previous.to_vec());
        }
    }
}
