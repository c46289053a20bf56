//! The one Merkle tree over the whole log, as in RFC 6962: what is stored of it, and what is proved with it.
//!
//! A store keeps the hash of each complete subtree once, as a node. All else is computed from at most a few dozen of
//! them: whoever appends reads the [`frontier`] and pushes leaves, whoever proves asks a plan which nodes to read and
//! lets it finish with them. Nothing here reads, so a store may do so as it likes.

mod grow;
mod proof;
#[cfg(test)]
mod tests;

pub use grow::{Frontier, frontier};
pub use proof::{ProofPlan, consistency_plan, inclusion_plan, root_plan, verify_consistency, verify_inclusion};

use crate::Hash;
use crate::chain::over;

/// A complete subtree: it covers the leaves from `position << level` on, `1 << level` of them. Level 0 are the leaves'
/// own hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Its height over the leaves.
    pub level: u8,
    /// Its place among the subtrees of its height, from 0.
    pub position: u64,
}

/// Why nodes make no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// A node that is needed is not among those that were read.
    #[error("the tree lacks the node at level {}, position {}", .0.level, .0.position)]
    Missing(NodeId),
    /// A proof that cannot be asked for.
    #[error("there is nothing to prove of {0} in a tree of size {1}")]
    Range(u64, u64),
}

/// What the tree says of one tenant: how long its chain is, and the hash at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Stands for the tenant.
    pub pseudonym: Hash,
    /// The number of the chain's last entry.
    pub number: u64,
    /// The hash of that entry.
    pub head: Hash,
}

impl Leaf {
    /// Its bytes in the tree.
    #[must_use]
    pub fn encode(&self) -> [u8; 72] {
        let mut leaf = [0; 72];
        leaf[..32].copy_from_slice(&self.pseudonym);
        leaf[32..40].copy_from_slice(&self.number.to_be_bytes());
        leaf[40..].copy_from_slice(&self.head);
        leaf
    }

    /// The hash of it in the tree.
    #[must_use]
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.encode())
    }
}

/// Stands for a tenant in the tree. Whoever has the tenant's export knows both parts; others learn nothing.
#[must_use]
pub fn pseudonym(tenant: &str, uid: &str) -> Hash {
    over(b"ferry/tenant/1\n", &[tenant.as_bytes(), &[0], uid.as_bytes()])
}

/// The hash of a leaf's bytes.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    over(&[0], &[leaf])
}

/// The hash of two subtrees side by side. Its prefix is another than a leaf's, so neither can be shown as the other.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    over(&[1], &[left, right])
}

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    over(&[], &[])
}

/// The complete subtrees of `count` leaves from `start` on, from left to right. `start` must be a multiple of a power
/// of two that is not less than `count`, which holds of every range that RFC 6962 splits a tree into.
fn subtrees(start: u64, count: u64) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    let (mut start, mut count) = (start, count);
    while count > 0 {
        let level = count.ilog2();
        nodes.push(NodeId { level: u8::try_from(level).unwrap_or(u8::MAX), position: start >> level });
        start += 1 << level;
        count -= 1 << level;
    }
    nodes
}

/// The hash of a range from the hashes of its complete subtrees.
fn fold(hashes: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    hashes.rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}
