//! From segments to plans: sources, normalising, packing, and the sealed files of a run.
//!
//! Everything here blocks and streams: the memory it takes does not grow with the file it reads, but for some forty
//! bytes a member, by which twins are found and batches are packed. The engine runs it in threads of its own.

mod catalogue;
mod file_key;
mod inside;
pub mod layout;
mod normalise;
mod pack;
mod plan;
mod preview;
mod rejected;
mod sealed;
mod snapshot;
mod source;

pub use catalogue::{Catalogue, CatalogueError, Column, Format, SegmentEntry, SegmentKind, SegmentState};
pub use file_key::FileKey;
pub use inside::Inside;
pub use normalise::{Email, NORMALISER_VERSION, RejectReason, identity_digest};
pub use pack::{PackLimits, Packer};
pub use plan::{PlanReader, PlanRow, PlanWriter};
pub use preview::{PREVIEW_ROWS, Preview, preview};
pub use rejected::{RejectedReader, RejectedRow, RejectedWriter, Stage};
pub use sealed::PlanError;
pub use snapshot::{PlanSummary, Row, SnapshotControl, SnapshotError, SnapshotSpec, build_plan};
pub use source::{BrokenRow, Fingerprint, SegmentReader, SourceBatch, SourceError};
