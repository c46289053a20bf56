//! What a segment is, whatever its source.

use crate::{SegmentName, Timestamp};

/// What a member of the segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// A person.
    Profile,
    /// A company; it has no e-mail address and cannot be exported.
    Account,
}

/// Whether the segment can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentState {
    /// It can.
    Active,
    /// It was switched off by its owner.
    Inactive,
    /// Its last refresh failed.
    Failed,
}

/// A column of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// As in the source.
    pub name: String,
    /// The source's word for its type.
    pub data_type: String,
    /// Whether it can be mapped to a field of a destination.
    pub mappable: bool,
}

/// A segment as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its name.
    pub name: SegmentName,
    /// For people.
    pub display_name: String,
    /// Profile or account.
    pub kind: SegmentKind,
    /// Whether it can be used.
    pub state: SegmentState,
    /// Where it comes from, in words: `csv file`, `parquet file`, ….
    pub source: String,
    /// What it holds; empty where the source could not be read.
    pub columns: Vec<Column>,
    /// How many members, when known.
    pub member_count: Option<u64>,
    /// When the data platform last refreshed it, when known.
    pub last_refresh_time: Option<Timestamp>,
}
