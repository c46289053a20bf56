//! The file that an export of the log is, and that the verifier reads.
//!
//! JSON objects one after the other, in the proto3 JSON form of `ExportAuditLogResponse`: first one `log`, then
//! `entry`s (the tenant's own chain and its runs' chains, in any mixture, each chain in its order), and `checkpoint`s,
//! each after the entries that it covers. An object is either one line, or begins with a line that is `{` and ends with
//! the first line that is exactly `}`, which is how grpcurl prints. Unknown fields are passed over, numbers may be
//! texts, and what is absent has proto3's default.

mod read;
mod write;

pub use read::MAX_OBJECT;
pub(crate) use read::{CheckpointLine, EntryLine, Line, LogLine, Objects, Read, Text, hash, parse};
pub use write::{FileCheckpoint, FileEntry, FileLog, FileWriter};

/// The name of the chain that a tenant's control changes are in; the operator has no tenant.
#[must_use]
pub fn own_chain(tenant: &str) -> String {
    if tenant.is_empty() { "operator".to_owned() } else { format!("tenants/{tenant}") }
}
