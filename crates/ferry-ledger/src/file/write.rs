//! Writing the file.

use crate::Hash;
use crate::checkpoint::VerifierKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::io::{self, Write};

/// Writes an export of a log, an object a line.
#[derive(Debug)]
pub struct FileWriter<W>(W);

/// Whose log it is. Comes first.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileLog<'a> {
    /// The tenant's id; empty for the operator.
    pub tenant: &'a str,
    /// The tenant's uid, which its leaves are made with.
    pub tenant_uid: &'a str,
    /// The log that its checkpoints are of.
    pub origin: &'a str,
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct FileEntry<'a> {
    /// The name of its chain: `tenants/acme`, or that of the run.
    pub chain: &'a str,
    /// Its number there.
    pub number: u64,
    /// Its canonical bytes; absent where retention has taken them.
    pub encoded: Option<&'a [u8]>,
    /// The hash of these bytes.
    pub body_hash: &'a Hash,
    /// The hash of the entry in its chain.
    pub hash: &'a Hash,
}

/// One checkpoint, and what ties the tenant to it.
#[derive(Debug, Clone, Copy)]
pub struct FileCheckpoint<'a> {
    /// The signed note.
    pub note: &'a str,
    /// The key that has signed it.
    pub public_key: &'a VerifierKey,
    /// The place of the tenant's newest leaf in its tree.
    pub leaf_index: u64,
    /// The number of the tenant's entry that this leaf names; 0 where the tenant has no leaf in this tree.
    pub entries: u64,
    /// That the leaf is in the tree.
    pub inclusion_proof: &'a [Hash],
    /// That the tree begins with that of the checkpoint before in this file; empty for the first.
    pub consistency_proof: &'a [Hash],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Object<'a> {
    Log(&'a FileLog<'a>),
    #[serde(rename_all = "camelCase")]
    Entry {
        chain: &'a str,
        number: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        encoded: Option<String>,
        body_hash: String,
        hash: String,
    },
    #[serde(rename_all = "camelCase")]
    Checkpoint {
        note: &'a str,
        public_key: String,
        leaf_index: String,
        entries: String,
        inclusion_proof: Vec<String>,
        consistency_proof: Vec<String>,
    },
}

impl<W: Write> FileWriter<W> {
    /// Writes to `writer`, which should be buffered.
    pub fn new(writer: W) -> Self {
        Self(writer)
    }

    /// The writer, with all that was written to it.
    pub fn into_inner(self) -> W {
        self.0
    }

    /// Writes whose log it is.
    ///
    /// # Errors
    /// The writer's.
    pub fn log(&mut self, log: &FileLog<'_>) -> io::Result<()> {
        self.object(&Object::Log(log))
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// The writer's.
    pub fn entry(&mut self, entry: &FileEntry<'_>) -> io::Result<()> {
        self.object(&Object::Entry {
            chain: entry.chain,
            number: entry.number.to_string(),
            encoded: entry.encoded.map(|bytes| STANDARD.encode(bytes)),
            body_hash: STANDARD.encode(entry.body_hash),
            hash: STANDARD.encode(entry.hash),
        })
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// The writer's.
    pub fn checkpoint(&mut self, checkpoint: &FileCheckpoint<'_>) -> io::Result<()> {
        let encode = |hashes: &[Hash]| hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
        self.object(&Object::Checkpoint {
            note: checkpoint.note,
            public_key: checkpoint.public_key.to_string(),
            leaf_index: checkpoint.leaf_index.to_string(),
            entries: checkpoint.entries.to_string(),
            inclusion_proof: encode(checkpoint.inclusion_proof),
            consistency_proof: encode(checkpoint.consistency_proof),
        })
    }

    fn object(&mut self, object: &Object<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, object)?;
        self.0.write_all(b"\n")
    }
}
