//! Looks people up in a recipients file.
//!
//! ```text
//! magic (8)  version (4)  width (4)  rows (8)  length of the context (8)  SHA-256 of the context (32)
//! 36 bytes a row
//! the context: JSON
//! SHA-256 (32)
//! ```

use super::file::{self, Header, Rows, Stream, broken};
use super::row::{Presence, ROW, Row};
use super::sets::{Context, FieldSet, Holder};
use crate::sealed::PlanError;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::File;
use std::path::PathBuf;

const MAGIC: &[u8; 8] = b"FERRYRCP";
const VERSION: u32 = 1;
pub(super) const HEADER: usize = 64;
/// A context is some names and sets of fields; beyond this it is none.
const CONTEXT: u64 = 256 * 1024 * 1024;

/// A recipients file, and what it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientsFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its checksum, as adopted in the store.
    pub digest: [u8; 32],
}

/// What a recipients file says of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRow {
    /// When they were first sent, in milliseconds since 1970.
    pub first_ms: i64,
    /// When they were last sent.
    pub last_ms: i64,
    /// Whether they are there.
    pub presence: Presence,
    /// What was sent of them over time.
    pub set: FieldSet,
}

/// A recipients file, open for look-ups.
pub struct RecipientsReader {
    file: File,
    header: [u8; HEADER],
    rows: Rows,
    end: u64,
    pub(super) context: Context,
}

impl RecipientsReader {
    /// Opens the file that was adopted, and no other. Its rows are not read.
    pub fn open(adopted: &RecipientsFile) -> Result<Self, PlanError> {
        let file = file::open(&adopted.path)?;
        let mut header = [0; HEADER];
        file::read_at(&file, &mut header, 0)?;
        let mut parts = Header(&header);
        let form = (parts.take() == *MAGIC, u32::from_be_bytes(parts.take()), u32::from_be_bytes(parts.take()));
        if form != (true, VERSION, width()) {
            return Err(broken("it is no file of recipients that this version of Ferry reads"));
        }
        let rows = Rows { offset: HEADER as u64, rows: u64::from_be_bytes(parts.take()), width: ROW };
        let length = u64::from_be_bytes(parts.take());
        let start = rows.end().filter(|_| length <= CONTEXT);
        let start = start.ok_or_else(|| broken("its header says more than there can be"))?;
        if file::checksum(&file, start + length)? != adopted.digest {
            return Err(broken("it is not the file that was adopted"));
        }
        let mut context = vec![0; usize::try_from(length).unwrap_or(0)];
        file::read_at(&file, &mut context, start)?;
        if digest(&SHA256, &context).as_ref() != parts.take::<32>() {
            return Err(broken("its context is not what was written"));
        }
        let context = serde_json::from_slice(&context).map_err(|_| broken("its context does not read"))?;
        Ok(Self { file, header, rows, end: start + length, context })
    }

    /// Who sent to whom.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.context.holder
    }

    /// People in it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.rows
    }

    /// What it says of a person; nothing if nothing of them was sent.
    pub fn find(&self, identity: &[u8; 16]) -> Result<Option<RecipientRow>, PlanError> {
        let Some((_, bytes)) = self.rows.find(&self.file, identity)? else { return Ok(None) };
        let row = Row::decode(&bytes)?;
        let set = self.context.sets.get(row.set as usize);
        let set = set.ok_or_else(|| broken("a row of it has a set of fields that it does not name"))?.set.clone();
        Ok(Some(RecipientRow { first_ms: row.first_ms, last_ms: row.last_ms, presence: row.presence, set }))
    }

    /// Reads it as a whole: whether its bytes are those that were written.
    pub fn verify(&self) -> Result<(), PlanError> {
        file::verify(&self.file, &self.header, self.end)
    }

    pub(super) fn stream(&self) -> Stream<'_> {
        Stream::new(&self.file, self.rows)
    }
}

fn width() -> u32 {
    u32::try_from(ROW).unwrap_or(0)
}

/// The header of a file with so many rows and this context.
pub(super) fn header(rows: u64, context: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_be_bytes());
    header.extend_from_slice(&width().to_be_bytes());
    header.extend_from_slice(&rows.to_be_bytes());
    header.extend_from_slice(&(context.len() as u64).to_be_bytes());
    header.extend_from_slice(digest(&SHA256, context).as_ref());
    header
}
