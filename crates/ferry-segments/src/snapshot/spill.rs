//! Rows that wait on the disk between two passes, so that memory does not grow with a segment.
//!
//! What is on the disk is encrypted (AES-256-GCM) under a random key that is in memory alone. The file has no name from
//! the moment it is open: whatever ends this process, the rows are gone. A crash before that moment leaves an empty
//! file, which the next attempt replaces. Nothing is synced, because nothing is read after a crash.

use crate::sealed::PlanError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of a part that are held back, then encrypted and written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Records in parts, each in the order in which it was filled.
pub(super) struct Spill {
    file: File,
    key: LessSafeKey,
    parts: Vec<Part>,
    chunks: u64,
    end: u64,
}

#[derive(Default)]
struct Part {
    open: Vec<u8>,
    bytes: u64,
    chunks: Vec<Chunk>,
}

#[derive(Clone, Copy)]
struct Chunk {
    number: u64,
    start: u64,
    bytes: usize,
}

impl Spill {
    /// `path` is free again when this returns.
    pub(super) fn create(path: &Path, parts: usize) -> Result<Self, PlanError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path).map_err(PlanError::io("a file for waiting rows cannot be made"))?;
        std::fs::remove_file(path).map_err(PlanError::io("a file for waiting rows cannot be hidden"))?;
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(&mut key[..]).map_err(|_| broken())?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key[..]).map_err(|_| broken())?);
        let parts = std::iter::repeat_with(Part::default).take(parts).collect();
        Ok(Self { file, key, parts, chunks: 0, end: 0 })
    }

    /// Adds a record, which `write` appends, to a part.
    pub(super) fn push(&mut self, part: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), PlanError> {
        let open = &mut self.parts[part].open;
        write(open);
        if open.len() >= CHUNK_BYTES { self.close(part) } else { Ok(()) }
    }

    fn close(&mut self, part: usize) -> Result<(), PlanError> {
        let part = &mut self.parts[part];
        part.bytes += part.open.len() as u64;
        let sealed = self.key.seal_in_place_append_tag(nonce(self.chunks), Aad::empty(), &mut part.open);
        sealed.map_err(|_| broken())?;
        self.file.write_all(&part.open).map_err(PlanError::io("waiting rows cannot be written"))?;
        part.chunks.push(Chunk { number: self.chunks, start: self.end, bytes: part.open.len() });
        self.chunks += 1;
        self.end += part.open.len() as u64;
        part.open.clear();
        part.open.shrink_to(CHUNK_BYTES * 2);
        Ok(())
    }

    /// Ends the filling.
    pub(super) fn seal(&mut self) -> Result<(), PlanError> {
        for part in 0..self.parts.len() {
            if !self.parts[part].open.is_empty() {
                self.close(part)?;
            }
            self.parts[part].open = Vec::new();
        }
        Ok(())
    }

    /// Bytes of a sealed part.
    pub(super) fn bytes(&self, part: usize) -> u64 {
        self.parts[part].bytes
    }

    /// Bytes that reading a sealed part takes at most, one tag included.
    pub(super) fn most_bytes(&self, part: usize) -> usize {
        usize::try_from(self.parts[part].bytes).unwrap_or(usize::MAX).saturating_add(MAX_TAG_LEN)
    }

    /// Chunks of a sealed part; each has whole records.
    pub(super) fn chunks(&self, part: usize) -> usize {
        self.parts[part].chunks.len()
    }

    /// Appends a chunk's records.
    pub(super) fn read(&self, part: usize, chunk: usize, out: &mut Vec<u8>) -> Result<(), PlanError> {
        let chunk = self.parts[part].chunks[chunk];
        let from = out.len();
        out.resize(from + chunk.bytes, 0);
        self.file.read_exact_at(&mut out[from..], chunk.start).map_err(PlanError::io("waiting rows cannot be read"))?;
        self.key.open_in_place(nonce(chunk.number), Aad::empty(), &mut out[from..]).map_err(|_| broken())?;
        out.truncate(out.len() - MAX_TAG_LEN);
        Ok(())
    }
}

/// Each chunk has a number of its own, so no nonce is used twice under the key, and a chunk in another's place does not
/// open.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

pub(super) fn broken() -> PlanError {
    PlanError::Sealed("waiting rows are not those that were written".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn filled(folder: &Path) -> Spill {
        let mut spill = Spill::create(&folder.join("rows.spill"), 3).unwrap();
        for number in 0..100_000_u32 {
            spill
                .push(number as usize % 2, |out| out.extend_from_slice(format!("row {number:06};").as_bytes()))
                .unwrap();
        }
        spill.push(2, |out| out.resize(1_000_000, 7)).unwrap();
        spill.seal().unwrap();
        spill
    }

    #[test]
    fn records_come_back_by_part_and_in_order_and_leave_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let spill = filled(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        for part in 0..2 {
            let mut found = Vec::new();
            (0..spill.chunks(part)).for_each(|chunk| spill.read(part, chunk, &mut found).unwrap());
            let expected: String = (part..100_000).step_by(2).map(|number| format!("row {number:06};")).collect();
            assert!(found == expected.as_bytes());
            assert_eq!(spill.bytes(part), found.len() as u64);
        }
        let mut large = Vec::new();
        spill.read(2, 0, &mut large).unwrap();
        assert!(large == vec![7; 1_000_000]);
    }

    #[test]
    fn nothing_on_the_disk_is_in_the_clear_and_no_changed_byte_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let spill = filled(folder.path());
        let mut written = vec![0; usize::try_from(spill.end).unwrap()];
        spill.file.read_exact_at(&mut written, 0).unwrap();
        assert!(!written.windows(4).any(|window| window == b"row "));
        spill.file.write_all_at(&[written[70] ^ 1], 70).unwrap();
        assert!(spill.read(0, 0, &mut Vec::new()).is_err());
        spill.read(1, 0, &mut Vec::new()).unwrap();
    }
}
