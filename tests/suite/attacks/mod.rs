//! The attacks A01 to A20 on the record of a whole Ferry: a real scene is made, its database or its exported file is
//! altered, the service exports what there is now, and both verifiers must find what was done, and where.
//!
//! `crates/ferry-ledger/tests/attacks` makes the same attacks on logs that it builds itself. Where each is tested here:
//!
//! | Attack | On | In |
//! |---|---|---|
//! | A01 a field edited | database | `entries.rs` |
//! | A02 an entry deleted | database | `entries.rs` |
//! | A03 entries swapped, a block moved | database | `entries.rs` |
//! | A04 an entry inserted, all later hashes recomputed | database | `rewritten.rs` |
//! | A05 the tail cut, covered and not | database | `tail.rs` |
//! | A06 the whole log rewritten, with the stolen key | database | `rewritten.rs` |
//! | A07 an older checkpoint in the place of a newer | file | `checkpoints.rs` |
//! | A08 a wrong key, an unknown signature | file | `checkpoints.rs` |
//! | A09 two checkpoints of one size | file | `checkpoints.rs` |
//! | A10 an entry of another tenant | database | `copied.rs` |
//! | A11 yesterday's database | both folders | `restored.rs` of the suite |
//! | A12 the clock set back and forward | database, file | `times.rs` |
//! | A13 boundaries of fields, a leaf for a node | file | `bytes.rs` |
//! | A14 a middle link wrong, the ends right | database | `entries.rs` |
//! | A15 huge, empty and broken entries, sizes of 2^63 | file | `bytes.rs` |
//! | A16 a change of the key | the service | `restored.rs` of the suite |
//! | A17 retention, and what it did not take | database | `audit/retention.rs` |
//! | A18 an entry written twice | database | `copied.rs`; the judge's side in `record.rs` |
//! | A19 a request that the log lacks | the simulator's journal | the judge: each test of `crash` and `faults` |
//! | A20 a record that cannot be written | database | `record.rs` |

mod bytes;
mod checkpoints;
mod copied;
mod entries;
mod file;
mod rewritten;
mod rows;
mod scene;
mod tail;
mod times;
mod verdict;

use crate::audit::acme;
use ferry_ledger::verify::Place;
use scene::{Scene, exported};
use verdict::Cases;

/// What somebody does to an entry.
type Edit = fn(&mut ferry_ledger::Entry);

/// An entry of the tenant's own chain.
fn own(number: usize) -> Place {
    Place::Entry(acme(), u64::try_from(number).unwrap())
}
