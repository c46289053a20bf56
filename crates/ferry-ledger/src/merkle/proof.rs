//! Proofs: which nodes they are made of, and how they are checked (RFC 9162, 2.1.3 and 2.1.4).

use super::{MerkleError, NodeId, fold, node_hash, subtrees};
use crate::Hash;
use std::collections::HashMap;

/// What a proof is made of, before anything is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    /// Each hash of the proof, as the subtrees that it is folded from.
    parts: Vec<Vec<NodeId>>,
}

impl ProofPlan {
    fn new(ranges: Vec<(u64, u64)>) -> Self {
        Self { parts: ranges.into_iter().map(|(start, count)| subtrees(start, count)).collect() }
    }

    /// The nodes to read.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.parts.concat()
    }

    /// The hashes of the proof.
    ///
    /// # Errors
    /// A node is missing.
    pub fn finish(&self, nodes: &HashMap<NodeId, Hash>) -> Result<Vec<Hash>, MerkleError> {
        let read = |id: &NodeId| nodes.get(id).copied().ok_or(MerkleError::Missing(*id));
        let part = |ids: &Vec<NodeId>| {
            let hashes = ids.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            Ok(fold(hashes.into_iter()))
        };
        self.parts.iter().map(part).collect()
    }
}

/// The greatest power of two that is less than `count`, which is 2 or more: where RFC 6962 splits a tree.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// What the root of a tree of this size is made of: a plan of one hash.
#[must_use]
pub fn root_plan(size: u64) -> ProofPlan {
    ProofPlan::new(vec![(0, size)])
}

/// What proves that leaf `index` (from 0) is in a tree of `size` leaves.
///
/// # Errors
/// There is no such leaf.
pub fn inclusion_plan(index: u64, size: u64) -> Result<ProofPlan, MerkleError> {
    if index >= size {
        return Err(MerkleError::Range(index, size));
    }
    let (mut start, mut count, mut siblings) = (0, size, Vec::new());
    while count > 1 {
        let half = split(count);
        if index - start < half {
            siblings.push((start + half, count - half));
            count = half;
        } else {
            siblings.push((start, half));
            start += half;
            count -= half;
        }
    }
    siblings.reverse();
    Ok(ProofPlan::new(siblings))
}

/// What proves that the tree of `size` leaves begins with that of `old` leaves. Nothing, if `old` is 0 or `size`.
///
/// # Errors
/// `old` is greater than `size`.
pub fn consistency_plan(old: u64, size: u64) -> Result<ProofPlan, MerkleError> {
    if old > size {
        return Err(MerkleError::Range(old, size));
    }
    let (mut start, mut count, mut parts) = (0, size, Vec::new());
    if old > 0 {
        while start + count != old {
            let half = split(count);
            if old - start <= half {
                parts.push((start + half, count - half));
                count = half;
            } else {
                parts.push((start, half));
                start += half;
                count -= half;
            }
        }
        // The old root itself is known to whoever checks; a part of the old tree is not.
        if start > 0 {
            parts.push((start, count));
        }
    }
    parts.reverse();
    Ok(ProofPlan::new(parts))
}

/// Whether `proof` shows that the leaf with this hash is number `index` (from 0) of the tree of this size and root.
#[must_use]
pub fn verify_inclusion(leaf_hash: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf_hash);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `size` leaves and `root` begins with that of `old_size` leaves and `old_root`.
/// Every tree begins with the empty one.
#[must_use]
pub fn verify_consistency(old_size: u64, old_root: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if old_size == size {
        return proof.is_empty() && old_root == root;
    }
    if old_size == 0 || old_size > size {
        return old_size == 0 && proof.is_empty();
    }
    // A complete old tree is a node of the new one, and its root is not repeated in the proof.
    let (first, rest) = match proof.split_first() {
        _ if old_size.is_power_of_two() => (*old_root, proof),
        Some((first, rest)) => (*first, rest),
        None => return false,
    };
    let shift = (old_size - 1).trailing_ones();
    let (mut place, mut last) = ((old_size - 1) >> shift, (size - 1) >> shift);
    let (mut old, mut new) = (first, first);
    for hash in rest {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old == *old_root && new == *root
}
