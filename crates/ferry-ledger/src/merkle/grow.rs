//! Appending: which nodes each new leaf completes.

use super::{MerkleError, NodeId, fold, node_hash, subtrees};
use crate::Hash;
use std::collections::HashMap;

/// The right edge of a tree: all that it takes to append leaves and to know the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    edge: Vec<Hash>,
}

/// The nodes that the frontier of a tree of this size is made of.
#[must_use]
pub fn frontier(size: u64) -> Vec<NodeId> {
    subtrees(0, size)
}

impl Frontier {
    /// Of a tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, edge: Vec::new() }
    }

    /// Of a tree of this size, whose nodes [`frontier`] names.
    ///
    /// # Errors
    /// A node is missing.
    pub fn new(size: u64, nodes: &HashMap<NodeId, Hash>) -> Result<Self, MerkleError> {
        let read = |id: NodeId| nodes.get(&id).copied().ok_or(MerkleError::Missing(id));
        Ok(Self { size, edge: frontier(size).into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree as it is now.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(self.edge.iter().copied())
    }

    /// Appends a leaf, by its hash. Returns the nodes that are complete now and were not before, the leaf's own first:
    /// a store must keep all of them.
    pub fn push(&mut self, leaf_hash: Hash) -> Vec<(NodeId, Hash)> {
        let mut complete = vec![(NodeId { level: 0, position: self.size }, leaf_hash)];
        let mut hash = leaf_hash;
        for level in 0..self.size.trailing_ones() {
            let Some(left) = self.edge.pop() else { break };
            hash = node_hash(&left, &hash);
            let id = NodeId { level: u8::try_from(level + 1).unwrap_or(u8::MAX), position: self.size >> (level + 1) };
            complete.push((id, hash));
        }
        self.edge.push(hash);
        self.size += 1;
        complete
    }
}
