//! The keys that the audit log's checkpoints are signed with: random seeds, wrapped and re-wrapped like data keys.
//!
//! They are nobody's: no tenant's name begins with an underscore, so no removal of a tenant destroys them, and a
//! tenant may be called `audit`.

use crate::aead::KEY_BYTES;
use crate::key_store::KeyFolder;
use crate::wrapped::Wrapped;
use crate::{Vault, VaultConfig, VaultError};
use zeroize::Zeroizing;

const PREFIX: &str = "_audit.";

/// A seed with its generation.
pub type AuditSeed = (u32, Zeroizing<[u8; KEY_BYTES]>);

impl Vault {
    /// Makes the signing key of a generation, from 1, unless it exists. Durable when it returns: what was signed by a
    /// key that a crash takes back could never be followed by anything.
    pub fn ensure_audit_seed(&self, generation: u32) -> Result<(), VaultError> {
        self.ensure(&file_name(generation))
    }

    /// The seed of a generation's signing key.
    pub fn audit_seed(&self, generation: u32) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        self.open_key(&file_name(generation))
    }

    /// The seeds of all generations, in order.
    pub fn audit_seeds(&self) -> Result<Vec<AuditSeed>, VaultError> {
        let open = |generation| Ok((generation, self.audit_seed(generation)?));
        generations(self.store().folder())?.into_iter().map(open).collect()
    }

    /// The same, whoever holds the key store.
    pub fn read_audit_seeds(config: &VaultConfig) -> Result<Vec<AuditSeed>, VaultError> {
        let (folder, ring) = (KeyFolder::new(&config.key_store), config.keys.read()?.0);
        let open = |generation| {
            let name = file_name(generation);
            Ok((generation, Wrapped::parse(&folder.read(&name)?)?.open(&ring, &name)?))
        };
        generations(&folder)?.into_iter().map(open).collect()
    }
}

fn generations(folder: &KeyFolder) -> Result<Vec<u32>, VaultError> {
    let mut found: Vec<u32> = folder.names()?.iter().filter_map(|name| generation_of(name)).collect();
    found.sort_unstable();
    Ok(found)
}

fn file_name(generation: u32) -> String {
    format!("{PREFIX}{generation}")
}

/// The generation of a signing key's file; nothing for any other file.
pub(crate) fn generation_of(name: &str) -> Option<u32> {
    let generation = name.strip_prefix(PREFIX)?.parse().ok()?;
    (file_name(generation) == name).then_some(generation)
}
