//! From segments to plans: sources, normalising, the difference to what is at the destination, packing, and the sealed
//! files of runs and exports.
//!
//! Everything here blocks and streams: the memory it takes does not grow with the file it reads, but for four bytes a
//! planned row, by which batches are packed. The engine runs it in threads of its own.

mod catalogue;
mod digest;
mod erase;
mod file_key;
mod inside;
pub mod layout;
mod mark;
mod members;
mod normalise;
mod pack;
mod plan;
mod preview;
mod recipients;
mod rejected;
mod samples;
mod sealed;
mod snapshot;
mod source;
mod state;

pub use catalogue::{Catalogue, CatalogueError, Column, Format, SegmentEntry, SegmentKind, SegmentState};
pub use erase::{ErasedPerson, erase_from_rejected, erase_from_samples, find_in_state, state_without};
pub use file_key::FileKey;
pub use inside::Inside;
pub use mark::Mark;
pub use members::count_members;
pub use normalise::{Email, NORMALISER_VERSION, RejectReason, identity_digest};
pub use pack::{PackLimits, Packer};
pub use plan::{NewRow, PlanReader, PlanRow, PlanWriter};
pub use preview::{PREVIEW_ROWS, Preview, preview};
pub use recipients::{
    FieldSet, FoldedRecipients, FolderLock, Holder, PlanIndex, Presence, RecipientRow, RecipientsFile, RecipientsFold,
    RecipientsReader, Removals, SentTimes, fold_recipients, forget, write_index,
};
pub use rejected::{REASON_NOT_GIVEN, RejectedReader, RejectedRow, RejectedWriter, Stage};
pub use samples::{Action, SAMPLE_ROWS, Sample, read_samples};
pub use sealed::{Place, PlanError};
pub use snapshot::{
    ConstantField, Leavers, MappedField, PlanSummary, Renderers, Row, SnapshotControl, SnapshotError, SnapshotSpec,
    TakingOffSpec, build_plan, plan_taking_off,
};
pub use source::{BrokenRow, Fingerprint, SegmentReader, SourceBatch, SourceError};
pub use state::{
    FoldSpec, Folded, Left, Outcome, Outcomes, Refused, Standing, StateEmails, StateEntry, StateFile, StateReader,
    StateWriter, fold,
};
