//! Where a vault finds its keys.

use crate::VaultError;
use crate::key_file;
use crate::key_ring::KeyRing;
use crate::vault::Watched;
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Where the keys are.
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// The key-encryption keys.
    pub keys: KeySource,
    /// The folder of wrapped data keys. Never on the data volume.
    pub key_store: PathBuf,
}

/// Where the key-encryption keys are. There is one place: with two, nobody could tell which of them counts.
#[derive(Clone)]
pub enum KeySource {
    /// A file that only its owner may read. A change of it is taken up while the vault is open.
    File(PathBuf),
    /// The text that a file would hold.
    Text(Zeroizing<String>),
}

impl KeySource {
    pub(crate) fn read(&self) -> Result<(KeyRing, Option<Watched>), VaultError> {
        match self {
            Self::File(path) => {
                let (ring, stamp) = key_file::read(path)?;
                Ok((ring, Some(Watched { path: path.clone(), stamp })))
            }
            Self::Text(text) => Ok((KeyRing::parse(text, "the text of the keys")?, None)),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => out.debug_tuple("File").field(path).finish(),
            Self::Text(_) => out.write_str("Text"),
        }
    }
}
