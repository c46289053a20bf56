//! The second pass over the rows: part by part, so that one part at a time is in memory and all together are in order.

use super::record;
use super::spill::{Spill, broken};
use crate::sealed::PlanError;
use std::path::Path;

/// Bits of an identity digest that choose a part. A keyed digest is spread evenly, so a million rows of 250 bytes make
/// parts of 4 MB.
const BITS: u32 = 6;
pub(super) const PARTS: usize = 1 << BITS;
/// A part above this is itself parted by the next bits before it is read: long rows do not eat the memory either.
const LARGEST: u64 = 16 * 1024 * 1024;
/// Enough for more rows than any segment has.
const LEVELS: u32 = 4;

/// The part of an identity: parts in order are identities in order.
pub(super) fn part_of(identity: &[u8; 16], level: u32) -> usize {
    let bits = u128::from_be_bytes(*identity) >> (128 - BITS * (level + 1));
    bits as usize % PARTS
}

/// Hands on each part's records, the parts in order.
pub(super) fn for_each<E: From<PlanError>>(
    spill: &Spill,
    path: &Path,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut bytes = Vec::new();
    walk(spill, path, 0, &mut bytes, take)
}

fn walk<E: From<PlanError>>(
    spill: &Spill,
    path: &Path,
    level: u32,
    bytes: &mut Vec<u8>,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    for part in 0..PARTS {
        if spill.bytes(part) > LARGEST && level + 1 < LEVELS {
            let finer = parted(spill, part, path, level + 1, bytes)?;
            walk(&finer, path, level + 1, bytes, take)?;
            continue;
        }
        bytes.clear();
        bytes.reserve_exact(spill.most_bytes(part));
        for chunk in 0..spill.chunks(part) {
            spill.read(part, chunk, bytes)?;
        }
        take(bytes)?;
    }
    Ok(())
}

fn parted(spill: &Spill, part: usize, path: &Path, level: u32, bytes: &mut Vec<u8>) -> Result<Spill, PlanError> {
    let mut finer = Spill::create(path, PARTS)?;
    for chunk in 0..spill.chunks(part) {
        bytes.clear();
        spill.read(part, chunk, bytes)?;
        for (identity, place) in record::places(bytes)? {
            let record = record::length(&bytes[place..]).and_then(|length| bytes.get(place..place + length));
            let record = record.ok_or_else(broken)?;
            finer.push(part_of(&identity.to_be_bytes(), level), |out| out.extend_from_slice(record))?;
        }
    }
    finer.seal()?;
    Ok(finer)
}
