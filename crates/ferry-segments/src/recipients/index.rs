//! The index of a plan: the identity digest of each ordinal, members first, then removals, each part sorted.
//!
//! ```text
//! magic (8)  version (4)  width (4)  members (8)  removals (8)  digest of the plan (32)
//! 16 bytes a row
//! SHA-256 (32)
//! ```
//!
//! It is in its place before its plan is, so whatever was sent by an adopted plan is found in its index.

use super::file::{self, Header, IDENTITY, NewFile, Rows, Stream, broken};
use crate::plan::PlanEntries;
use crate::sealed::{Place, PlanError};
use std::fs::File;
use std::path::Path;

const MAGIC: &[u8; 8] = b"FERRYIDX";
const VERSION: u32 = 1;
const HEADER: usize = 64;

/// Writes an index. Dropped before [`IndexWriter::finish`], it leaves nothing.
pub(crate) struct IndexWriter {
    file: NewFile,
}

impl IndexWriter {
    pub(crate) fn create(path: &Path) -> Result<Self, PlanError> {
        Ok(Self { file: NewFile::create(path, HEADER)? })
    }

    /// Adds the digests of some rows, one after the other.
    pub(crate) fn write(&mut self, identities: &[u8]) -> Result<(), PlanError> {
        self.file.write(identities)
    }

    /// Puts it into its place, durably.
    pub(crate) fn finish(self, members: u64, removals: u64, plan_digest: &[u8; 32]) -> Result<(), PlanError> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_be_bytes());
        header.extend_from_slice(&16_u32.to_be_bytes());
        header.extend_from_slice(&members.to_be_bytes());
        header.extend_from_slice(&removals.to_be_bytes());
        header.extend_from_slice(plan_digest);
        self.file.finish(&header).map(drop)
    }
}

/// The index of a plan, open for look-ups.
pub struct PlanIndex {
    file: File,
    header: [u8; HEADER],
    members: Rows,
    removals: Rows,
}

impl PlanIndex {
    /// Opens the index of the plan with this digest.
    pub fn open(path: &Path, plan_digest: &[u8; 32]) -> Result<Self, PlanError> {
        let file = file::open(path)?;
        let mut header = [0; HEADER];
        file::read_at(&file, &mut header, 0)?;
        let mut parts = Header(&header);
        let form = (parts.take() == *MAGIC, u32::from_be_bytes(parts.take()), u32::from_be_bytes(parts.take()));
        if form != (true, VERSION, 16) {
            return Err(broken("it is no index of a plan that this version of Ferry reads"));
        }
        let rows = |offset, rows| Rows { offset, rows, width: IDENTITY };
        let members = rows(HEADER as u64, u64::from_be_bytes(parts.take()));
        let end = |rows: Rows| rows.end().ok_or_else(|| broken("its header says more rows than there can be"));
        let removals = rows(end(members)?, u64::from_be_bytes(parts.take()));
        file::checksum(&file, end(removals)?)?;
        if parts.take() != *plan_digest {
            return Err(broken("it is the index of another plan"));
        }
        Ok(Self { file, header, members, removals })
    }

    /// Rows of members, then of removals.
    #[must_use]
    pub fn rows(&self) -> (u64, u64) {
        (self.members.rows, self.removals.rows)
    }

    /// The ordinal of a person's row; nothing if the plan does not name them.
    pub fn find(&self, identity: &[u8; 16]) -> Result<Option<u64>, PlanError> {
        if let Some((place, _)) = self.members.find(&self.file, identity)? {
            return Ok(Some(place));
        }
        let removal = self.removals.find(&self.file, identity)?;
        Ok(removal.map(|(place, _)| self.members.rows + place))
    }

    /// Reads it as a whole: whether its bytes are those that were written.
    pub fn verify(&self) -> Result<(), PlanError> {
        file::verify(&self.file, &self.header, self.removals.end().unwrap_or(0))
    }

    pub(super) fn members(&self) -> Stream<'_> {
        Stream::new(&self.file, self.members)
    }

    pub(super) fn removals(&self) -> Stream<'_> {
        Stream::new(&self.file, self.removals)
    }
}

/// Writes the index of a plan that is there already, for one from before plans had an index.
pub fn write_index(
    plan: &Place,
    planned: u64,
    removals: u64,
    plan_digest: &[u8; 32],
    to: &Path,
) -> Result<(), PlanError> {
    let mut entries = PlanEntries::open(plan, 0..planned + removals)?;
    if entries.rows() != planned + removals {
        return Err(broken("the plan has other rows than its record"));
    }
    let mut index = IndexWriter::create(to)?;
    while let Some(entry) = entries.next_entry()? {
        index.write(&entry.identity)?;
    }
    index.finish(planned, removals, plan_digest)
}
