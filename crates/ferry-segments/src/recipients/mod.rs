//! Where people's data has gone: whom an export has sent to one list of one account, found by identity digest.
//!
//! An *index* lies beside each plan: whose row each ordinal is. A *recipients file* holds a row a person for each export,
//! connection, generation and list. At the end of a run the next one is folded from the last, the index and the outcomes
//! on record; the same inputs make the same bytes, so a crash costs a repetition. Until then the index answers.
//!
//! Neither is under a key of its own: their digests mean nothing without the tenant's identity key. So both outlive the
//! connection and its key, and so does the answer.

mod file;
mod fold;
mod index;
mod lock;
mod read;
mod row;
mod sets;
mod times;

pub use fold::{FoldedRecipients, RecipientsFold, Removals, fold_recipients, forget};
pub(crate) use index::IndexWriter;
pub use index::{PlanIndex, write_index};
pub use lock::FolderLock;
pub use read::{RecipientRow, RecipientsFile, RecipientsReader};
pub use row::Presence;
pub use sets::{FieldSet, Holder};
pub use times::SentTimes;

#[cfg(test)]
mod tests;
