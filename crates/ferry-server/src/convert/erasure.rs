//! Erasures.

use super::{count, time};
use ferry_proto::v1 as pb;
use ferry_store::{ErasureOutcome, ErasureReceipt};

/// What an erasure came to at one recipient. One that failed is to be asked for again, so it is pending.
pub(crate) fn erasure_receipt(receipt: ErasureReceipt) -> pb::ErasureReceipt {
    let (outcome, removed) = match receipt.outcome {
        ErasureOutcome::Done => (pb::erasure_receipt::Outcome::Done, true),
        ErasureOutcome::Pending | ErasureOutcome::Failed => (pb::erasure_receipt::Outcome::Pending, false),
        ErasureOutcome::Impossible => (pb::erasure_receipt::Outcome::Impossible, false),
    };
    let recipient = pb::Recipient {
        connection: receipt.recipient.connection,
        host: receipt.recipient.host,
        list_id: receipt.list.to_string(),
        fields: receipt.recipient.fields,
        purpose: receipt.recipient.purpose,
        first_time: receipt.recipient.first_time.map(time),
        last_time: receipt.recipient.last_time.map(time),
        removed,
    };
    pb::ErasureReceipt {
        recipient: Some(recipient),
        outcome: outcome.into(),
        message: receipt.message,
        audit_entry: count(receipt.entry),
        run: receipt.run.map(|run| run.to_string()).unwrap_or_default(),
    }
}
