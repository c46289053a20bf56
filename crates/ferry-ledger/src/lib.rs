//! The record that can be proved: audit entries, hash chains, signed checkpoints, and the offline verifier.
//!
//! Nothing here reads a file, a clock or a database, so that whoever verifies runs the same code as whoever writes.

mod chain;
pub mod checkpoint;
mod entry;
pub mod file;
pub mod merkle;
pub mod verify;
mod view;

pub use chain::{GENESIS, Hash, Link, body_hash, hash, link, row_digest};
pub use entry::{Entry, EntryError, EntryResult, MAX_BODY};
