//! A hash chain: each entry's hash covers the one before it.
//!
//! A link is made of the hash of the body, not of the body itself: where retention has taken a body away, its hash is
//! left, and every link can still be checked.

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What stands before the first entry of a chain.
pub const GENESIS: Hash = [0; 32];

/// The hashes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Of the entry's canonical bytes.
    pub body_hash: Hash,
    /// Of the entry in its chain: over the hash of the entry before and `body_hash`.
    pub hash: Hash,
}

/// Links an entry to the one before it.
#[must_use]
pub fn link(previous: &Hash, body: &[u8]) -> Link {
    let body_hash = body_hash(body);
    Link { body_hash, hash: hash(previous, &body_hash) }
}

/// The hash of an entry's canonical bytes.
#[must_use]
pub fn body_hash(body: &[u8]) -> Hash {
    over(b"ferry/entry/1\n", &[body])
}

/// The hash of an entry in its chain.
#[must_use]
pub fn hash(previous: &Hash, body_hash: &Hash) -> Hash {
    over(b"ferry/link/1\n", &[previous, body_hash])
}

/// The digest of a row before or after a change, as entries name it.
#[must_use]
pub fn row_digest(row: &[u8]) -> Hash {
    over(b"ferry/row/1\n", &[row])
}

pub(crate) fn over(form: &[u8], parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(form);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
