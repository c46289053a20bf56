//! From segments to a plan, in two passes: every member of the snapshot ends in exactly one bucket.
//!
//! The first pass reads the segments and lets each row wait on the disk, by the first bits of its identity. The second
//! takes one part after the other, sorts it, and goes along the state: so the memory does not grow with the segments.
//!
//! Of two rows with the same identity the first goes, in the order of the export's segments and of their files.
//! Rejected rows stand in the order of their lines; those that a rule excludes come after them.
//!
//! All files appear at the end, the plan last. An error, or a crash before the end, leaves none of this attempt.

mod classify;
mod difference;
mod intake;
mod others;
mod partition;
mod record;
mod spill;
mod taking_off;

pub use taking_off::{TakingOffSpec, plan_taking_off};

use crate::catalogue::SegmentEntry;
use crate::normalise::RejectReason;
use crate::pack::PackLimits;
use crate::sealed::{Place, PlanError};
use crate::source::SourceError;
use crate::state::StateFile;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a plan is made from and where it goes.
pub struct SnapshotSpec {
    /// In the order in which they are read.
    pub segments: Vec<SegmentEntry>,
    /// The column that holds the address.
    pub email_column: String,
    /// The other mapped columns. A row has their values in this order, then those of `constants`.
    pub fields: Vec<MappedField>,
    /// Values that every member goes with.
    pub constants: Vec<ConstantField>,
    /// The tenant's key for identity digests and marks.
    pub digest_key: [u8; 32],
    /// More members than this are no plan.
    pub max_members: u64,
    /// What a batch may hold.
    pub pack: PackLimits,
    /// What the export knows to be at the destination; nothing for nothing.
    pub base: Option<StateFile>,
    /// What other exports know to be on the same list.
    pub others: Vec<StateFile>,
    /// Whom an erasure suppresses, by identity: their rows go nowhere, not even into a file of this plan.
    pub suppressed: HashSet<[u8; 16]>,
    /// What becomes of those who left.
    pub leavers: Leavers,
    /// Whether what is known to be there is sent as well.
    pub full_resync: bool,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
    /// Where the plan goes.
    pub plan: Place,
    /// Where the rejected and the excluded rows go.
    pub rejected: Place,
    /// Where samples go, if they are wanted.
    pub samples: Option<Place>,
}

/// A column and where its values go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedField {
    /// The column's name.
    pub column: String,
    /// The destination field's name, which is part of every mark: the same field always has the same name.
    pub field: String,
}

/// A field that has the same value for every member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstantField {
    /// The destination field's name.
    pub field: String,
    /// The value.
    pub value: String,
}

/// What becomes of those who are, or may be, at the destination as members and are in no segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leavers {
    /// Nothing.
    Keep,
    /// A field says that they left.
    SetField {
        /// The destination field's name.
        field: String,
        /// Its value for those who left.
        left_value: String,
    },
    /// They are taken off the list, for good, unless another export holds them there.
    Unsubscribe,
}

/// What turns a person into the bytes of a request.
pub struct Renderers<'a> {
    /// A member. The same row always makes the same bytes.
    pub member: &'a dyn Fn(&Row<'_>, &mut Vec<u8>),
    /// One who left, of whom only the address is known. Never called where leavers are kept.
    pub left: &'a dyn Fn(&str, &mut Vec<u8>),
}

/// A row that can go.
pub struct Row<'a> {
    /// The address, as it is sent.
    pub email: &'a str,
    /// The values of the mapped fields, then those of the constant ones.
    pub values: &'a [Option<&'a str>],
}

/// Looks in and stops from outside.
#[derive(Debug, Default)]
pub struct SnapshotControl {
    /// Set to stop.
    pub cancelled: AtomicBool,
    /// Members so far.
    pub members_read: AtomicU64,
    /// Members in the plan so far.
    pub planned: AtomicU64,
}

/// What a plan came to. `members` = `rejected` + `twins` + `excluded` + `unchanged` + `planned`, and `planned` = `adds`
/// + `changes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanSummary {
    /// Rows of all segments.
    pub members: u64,
    /// Rows that cannot go.
    pub rejected: u64,
    /// The same by their reason, in the word that is shown for it.
    pub rejected_by: BTreeMap<&'static str, u64>,
    /// Of these, those of which nobody knows whose they are: each may be somebody who then seems to have left.
    pub unreadable: u64,
    /// Rows of an identity that was there before.
    pub twins: u64,
    /// Rows that a rule keeps from going.
    pub excluded: u64,
    /// Of these, those of people whom an erasure suppresses.
    pub suppressed: u64,
    /// Rows that are at the destination as they are.
    pub unchanged: u64,
    /// Rows of the plan that are new to the destination.
    pub adds: u64,
    /// Rows of the plan that are, or may be, there otherwise.
    pub changes: u64,
    /// Members in the plan: the ordinals before this.
    pub planned: u64,
    /// Those who left, in the plan: the ordinals from `planned` on.
    pub removals: u64,
    /// Those who left and stay, because another export holds them on the list.
    pub held_elsewhere: u64,
    /// Those who left and stay, because the destination refused to change them not long ago.
    pub refused_before: u64,
    /// People who were, or may have been, at the destination as members before.
    pub known: u64,
    /// People who were, or may have been, unsubscribed for good before.
    pub unsubscribed: u64,
    /// Rows of each batch of members.
    pub batch_rows: Vec<u32>,
    /// Rows of each batch of those who left.
    pub removal_batch_rows: Vec<u32>,
    /// Over all rows of the plan.
    pub plan_digest: [u8; 32],
    /// What each segment's file was.
    pub fingerprints: Vec<(String, [u8; 32])>,
}

impl PlanSummary {
    /// Counts a row that cannot go.
    fn reject(&mut self, reason: RejectReason) {
        self.rejected += 1;
        *self.rejected_by.entry(reason.as_str()).or_default() += 1;
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A segment cannot be read.
    #[error("segment `{segment}`: {error}")]
    Source {
        /// Its id.
        segment: String,
        /// Why.
        error: SourceError,
    },
    /// More members than allowed; counted up to where it was noticed.
    #[error("more than {members} members")]
    TooManyProfiles {
        /// Counted so far.
        members: u64,
    },
    /// Stopped from outside.
    #[error("cancelled")]
    Cancelled,
    /// A file cannot be written, or a state cannot be read.
    #[error(transparent)]
    File(#[from] PlanError),
}

/// Reads all segments and writes the plan with its index, the rows that are kept back, and samples. On an error no file
/// is left.
pub fn build_plan(
    spec: &SnapshotSpec,
    renderers: &Renderers<'_>,
    control: &SnapshotControl,
) -> Result<PlanSummary, SnapshotError> {
    let spill_path = spec.plan.path.with_extension("spill");
    let taken = intake::take_in(spec, renderers, &spill_path, control)?;
    let made = difference::compare(spec, renderers, taken, &spill_path, control)?;
    put_into_place(spec, made, control).inspect_err(|_| {
        // What stands beside a plan belongs to no run without it; a next attempt writes over it.
        let beside = [Some(&spec.rejected), spec.samples.as_ref()];
        beside.into_iter().flatten().for_each(|place| drop(std::fs::remove_file(&place.path)));
        drop(std::fs::remove_file(crate::layout::index_beside(&spec.plan.path)));
    })
}

fn put_into_place(
    spec: &SnapshotSpec,
    made: difference::Made,
    control: &SnapshotControl,
) -> Result<PlanSummary, SnapshotError> {
    made.rejected.finish()?;
    if let Some(place) = &spec.samples {
        made.samples.write(place)?;
    }
    // Each file was synced, which takes its time.
    check(control)?;
    Ok(PlanSummary { plan_digest: made.plan.finish()?, ..made.summary })
}

fn check(control: &SnapshotControl) -> Result<(), SnapshotError> {
    if control.cancelled.load(Ordering::Relaxed) { Err(SnapshotError::Cancelled) } else { Ok(()) }
}

#[cfg(test)]
mod difference_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod suppressed_tests;
#[cfg(test)]
mod tests;
