//! What both kinds of file share: a header, rows that begin with a digest and are sorted by it, and a checksum at the end.
//!
//! The checksum is a SHA-256 over what comes after the header, then the header itself, which is written last. It guards
//! against a disk that errs and against a mix-up, as the database names it; not against whoever may write the file.

use crate::sealed::{PlanError, create_folder, sync_folder};
use aws_lc_rs::digest::{Context, SHA256};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) const IDENTITY: usize = 16;
pub(super) const CHECKSUM: u64 = 32;
/// Bytes that are read or written at once.
const BUFFER: usize = 256 * 1024;
/// Rows that a look-up reads at once, when no more are left.
const BLOCK: u64 = 64;

/// A file that cannot be used.
pub(super) fn broken(what: &str) -> PlanError {
    PlanError::Sealed(what.to_owned())
}

/// A file in the making. Dropped before [`NewFile::finish`], it leaves nothing.
pub(super) struct NewFile {
    file: File,
    context: Context,
    buffer: Vec<u8>,
    header: usize,
    temporary: PathBuf,
    path: PathBuf,
    unfinished: bool,
}

impl NewFile {
    /// Begins a file with room for a header of so many bytes.
    pub(super) fn create(path: &Path, header: usize) -> Result<Self, PlanError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        create_folder(folder).map_err(PlanError::io("the folder of recipients cannot be made"))?;
        let temporary = temporary(path);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&temporary).map_err(PlanError::io("a file of recipients cannot be made"))?;
        let mut buffer = Vec::with_capacity(BUFFER + 1_024);
        buffer.resize(header, 0);
        let context = Context::new(&SHA256);
        Ok(Self { file, context, buffer, header, temporary, path: path.to_owned(), unfinished: true })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), PlanError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PlanError> {
        self.file.write_all(&self.buffer).map_err(PlanError::io("a file of recipients cannot be written"))?;
        // The room for the header is in the first of them.
        self.context.update(self.buffer.get(self.header..).unwrap_or_default());
        self.header = 0;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the header and puts the file into place, durably; the checksum.
    pub(super) fn finish(mut self, header: &[u8]) -> Result<[u8; 32], PlanError> {
        self.flush()?;
        self.context.update(header);
        let checksum = self.context.clone().finish();
        let mut digest = [0; 32];
        digest.copy_from_slice(checksum.as_ref());
        let written = self.file.write_all(&digest).and_then(|()| self.file.write_all_at(header, 0));
        written.and_then(|()| self.file.sync_all()).map_err(PlanError::io("a file of recipients cannot be synced"))?;
        std::fs::rename(&self.temporary, &self.path)
            .map_err(PlanError::io("a file of recipients cannot be put in its place"))?;
        self.unfinished = false;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        sync_folder(folder).map_err(PlanError::io("a folder cannot be synced"))?;
        Ok(digest)
    }
}

/// Beside the file, under a name that neither it nor a sealed file has.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.unfinished {
            // Nothing depends on its going: the next attempt writes over it.
            let _left = std::fs::remove_file(&self.temporary);
        }
    }
}

pub(super) fn open(path: &Path) -> Result<File, PlanError> {
    File::open(path).map_err(PlanError::io("a file of recipients cannot be opened"))
}

pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), PlanError> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => broken("it is cut"),
        _ => PlanError::io("a file of recipients cannot be read")(error),
    })
}

/// The checksum that a file ends with, if it has the length that its header says.
pub(super) fn checksum(file: &File, body_end: u64) -> Result<[u8; 32], PlanError> {
    let length = file.metadata().map_err(PlanError::io("a file of recipients cannot be read"))?.len();
    if Some(length) != body_end.checked_add(CHECKSUM) {
        return Err(broken("it has another length than its header says"));
    }
    let mut checksum = [0; 32];
    read_at(file, &mut checksum, body_end)?;
    Ok(checksum)
}

/// Reads a file as a whole and compares its checksum.
pub(super) fn verify(file: &File, header: &[u8], body_end: u64) -> Result<(), PlanError> {
    let expected = checksum(file, body_end)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; BUFFER];
    let mut at = header.len() as u64;
    while at < body_end {
        let some = usize::try_from(body_end - at).unwrap_or(BUFFER).min(BUFFER);
        let piece = buffer.get_mut(..some).unwrap_or_default();
        read_at(file, piece, at)?;
        context.update(piece);
        at += some as u64;
    }
    context.update(header);
    if context.finish().as_ref() == expected { Ok(()) } else { Err(broken("its bytes are not what was written")) }
}

/// Rows of one width in a part of a file, sorted by the digest that each begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub(super) offset: u64,
    pub(super) rows: u64,
    pub(super) width: usize,
}

impl Rows {
    pub(super) fn end(&self) -> Option<u64> {
        self.rows.checked_mul(self.width as u64).and_then(|bytes| bytes.checked_add(self.offset))
    }

    fn at(&self, row: u64) -> u64 {
        self.offset + row * self.width as u64
    }

    /// The place of an identity, by halving, and its row. No more than a handful of rows is read.
    pub(super) fn find(&self, file: &File, identity: &[u8; 16]) -> Result<Option<(u64, Vec<u8>)>, PlanError> {
        let (mut from, mut to) = (0, self.rows);
        let mut found = [0; IDENTITY];
        while to - from > BLOCK {
            let middle = from.midpoint(to);
            read_at(file, &mut found, self.at(middle))?;
            if found <= *identity {
                from = middle;
            } else {
                to = middle;
            }
        }
        let mut block = vec![0; usize::try_from(to - from).unwrap_or(0) * self.width];
        read_at(file, &mut block, self.at(from))?;
        let place = block.chunks_exact(self.width).position(|row| row.starts_with(identity));
        Ok(place.map(|place| {
            let row = block.get(place * self.width..(place + 1) * self.width).unwrap_or_default();
            (from + place as u64, row.to_vec())
        }))
    }
}

/// Reads such rows in order.
pub(super) struct Stream<'a> {
    file: &'a File,
    at: u64,
    end: u64,
    width: usize,
    buffer: Vec<u8>,
    next: usize,
}

impl<'a> Stream<'a> {
    pub(super) fn new(file: &'a File, rows: Rows) -> Self {
        let end = rows.end().unwrap_or(rows.offset);
        Self { file, at: rows.offset, end, width: rows.width, buffer: Vec::new(), next: 0 }
    }

    /// The row that the reader is at; nothing at the end.
    pub(super) fn peek(&mut self) -> Result<Option<&[u8]>, PlanError> {
        if self.next == self.buffer.len() {
            if self.at >= self.end {
                return Ok(None);
            }
            let whole = (BUFFER / self.width).max(1) * self.width;
            let some = usize::try_from(self.end - self.at).unwrap_or(whole).min(whole);
            self.buffer.resize(some, 0);
            self.next = 0;
            read_at(self.file, &mut self.buffer, self.at)?;
            self.at += some as u64;
        }
        Ok(self.buffer.get(self.next..self.next + self.width))
    }

    /// Goes to the next row.
    pub(super) fn pass(&mut self) {
        self.next += self.width;
    }
}

/// Parts of a header, in order.
pub(super) struct Header<'a>(pub(super) &'a [u8]);

impl Header<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_first_chunk().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *first
    }
}
