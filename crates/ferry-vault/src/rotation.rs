//! What `ferry keys` does beside a running service: it changes the key file, and reads the key store without writing it.

use crate::derive::ROOT;
use crate::key_file;
use crate::key_ring::KeyRing;
use crate::key_store::KeyFolder;
use crate::wrapped::Wrapped;
use crate::{KeySource, Vault, VaultConfig, VaultError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which key-encryption keys there are, and how many data keys each of them wraps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The key that wraps what is new.
    pub current: String,
    /// How many data keys name each key, by its id; the root key is one of them.
    pub keys: BTreeMap<String, usize>,
    /// Data keys that name none: they are damaged.
    pub damaged: Vec<String>,
    /// Which key wraps the root key, the last to be re-wrapped. None before the key store's first use.
    root: Option<String>,
}

impl Survey {
    /// Whether every data key is wrapped by the current key, and will be from now on.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.root.as_ref() == Some(&self.current) && self.left() == 0 && self.damaged.is_empty()
    }

    /// How many data keys the current key does not wrap yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.keys.iter().filter(|(id, _)| **id != self.current).map(|(_, count)| count).sum()
    }

    fn of(ring: &KeyRing, folder: &KeyFolder) -> Result<Self, VaultError> {
        // Read first: when it names the current key, no key is re-wrapped while the others are read.
        let root = match folder.read(ROOT) {
            Err(VaultError::NoKey) => None,
            bytes => Some(Wrapped::parse(&bytes?)?.kek_id().to_owned()),
        };
        let mut keys: BTreeMap<String, usize> = ring.ids().map(|id| (id.to_owned(), 0)).collect();
        let mut damaged = Vec::new();
        for name in folder.names()? {
            let bytes = match folder.read(&name) {
                Err(VaultError::NoKey) => continue,
                bytes => bytes?,
            };
            let Ok(wrapped) = Wrapped::parse(&bytes) else {
                damaged.push(name);
                continue;
            };
            *keys.entry(wrapped.kek_id().to_owned()).or_default() += 1;
        }
        Ok(Self { current: ring.current().0.to_owned(), keys, damaged, root })
    }
}

impl Vault {
    /// Makes a key file with one new key. An existing file is never replaced.
    pub fn create_key_file(path: &Path) -> Result<(), VaultError> {
        key_file::create(path)
    }

    /// Looks through the keys and the key store, whoever holds it.
    pub fn survey(config: &VaultConfig) -> Result<Survey, VaultError> {
        Survey::of(&config.keys.read()?.0, &KeyFolder::new(&config.key_store))
    }

    /// Adds a new key to the key file, makes it current, and returns its id. Durable when it returns. Who holds the key
    /// store re-wraps the data keys by it, [`Vault::rewrap_keys`].
    pub fn add_key(config: &VaultConfig) -> Result<String, VaultError> {
        key_file::edit(key_path(config)?, KeyRing::rotate)
    }

    /// Removes from the key file the keys that no data key names, and returns their ids. Refused until every data key
    /// is wrapped by the current one.
    pub fn retire_keys(config: &VaultConfig) -> Result<Vec<String>, VaultError> {
        let folder = KeyFolder::new(&config.key_store);
        key_file::edit(key_path(config)?, |ring| {
            let survey = Survey::of(ring, &folder)?;
            if !survey.is_settled() {
                return Err(unsettled(&survey));
            }
            // Who re-wrapped a key may not have made it durable yet; without the old key it must be.
            folder.sync()?;
            Ok(ring.retire())
        })
    }
}

fn unsettled(survey: &Survey) -> VaultError {
    let current = &survey.current;
    VaultError::Setup(match (survey.damaged.first(), survey.left()) {
        (Some(name), _) => format!(
            "the data key `{name}` is damaged, so which key wraps it cannot be told; restore it from a backup of the \
             key store, or destroy what it belongs to"
        ),
        (None, 0) => "no service has used the key store yet; start one first".to_owned(),
        (None, left) => format!(
            "{left} data keys are not wrapped by the current key `{current}` yet; a running service re-wraps them, and \
             so does `ferry keys rotate`"
        ),
    })
}

fn key_path(config: &VaultConfig) -> Result<&PathBuf, VaultError> {
    match &config.keys {
        KeySource::File(path) => Ok(path),
        KeySource::Text(_) => Err(VaultError::Setup(
            "the keys are given as text, and only who gives it can change it: add a line `ID = KEY` with a new key (32 \
             random bytes in base64), name it in `current`, keep the others, and start the service anew; it re-wraps \
             the data keys. Then remove the lines that `ferry keys list` counts no data keys for"
                .to_owned(),
        )),
    }
}
