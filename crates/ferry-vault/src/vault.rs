//! The vault itself.

use crate::VaultError;
use crate::aead::{self, KEY_BYTES, random_key};
use crate::key_file::KeyFile;
use crate::key_id::KeyId;
use crate::key_store::KeyStore;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// An unwrapped data key is kept at most this long.
const CACHE_TIME: Duration = Duration::from_secs(60);

/// Where the keys are.
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// The key-encryption keys, in a file that only its owner may read.
    pub key_file: PathBuf,
    /// The folder of wrapped data keys. Never on the data volume.
    pub key_store: PathBuf,
}

/// Seals and opens. Clones share one key store.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

/// An unwrapped key, and since when it is here.
type Cached = (Instant, Zeroizing<[u8; KEY_BYTES]>);

struct Inner {
    keys: KeyFile,
    store: KeyStore,
    cache: Mutex<HashMap<String, Cached>>,
}

impl Vault {
    /// Reads the key file and locks the key store. Without both nothing starts: there is no mode without encryption.
    pub fn open(config: &VaultConfig) -> Result<Self, VaultError> {
        let keys = KeyFile::read(&config.key_file)?;
        let store = KeyStore::open(&config.key_store)?;
        Ok(Self(Arc::new(Inner { keys, store, cache: Mutex::default() })))
    }

    /// Makes a key file with one new key. An existing file is never replaced.
    pub fn create_key_file(path: &Path) -> Result<(), VaultError> {
        KeyFile::create(path)
    }

    /// Makes a data key unless it exists. Durable when it returns.
    pub fn ensure_key(&self, id: &KeyId) -> Result<(), VaultError> {
        let name = id.file_name();
        if self.0.store.exists(&name) {
            return Ok(());
        }
        let (kek_id, kek) = self.0.keys.current();
        let kek = kek.ok_or(VaultError::NoKey)?;
        let key = random_key()?;
        let wrapped = aead::seal(kek, &wrap_context(kek_id, &name), key.as_slice())?;
        let mut bytes = Vec::with_capacity(2 + kek_id.len() + wrapped.len());
        let length = u16::try_from(kek_id.len()).map_err(|_| VaultError::KeyName(kek_id.to_owned()))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(kek_id.as_bytes());
        bytes.extend_from_slice(&wrapped);
        self.0.store.write(&name, &bytes)
    }

    /// The data key itself, for files that are encrypted by a format of their own and for keyed digests.
    pub fn data_key(&self, id: &KeyId) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        let name = id.file_name();
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, (since, _)| since.elapsed() < CACHE_TIME);
        if let Some((_, key)) = cache.get(&name) {
            return Ok(key.clone());
        }
        let key = self.unwrap_key(&name)?;
        cache.insert(name, (Instant::now(), key.clone()));
        Ok(key)
    }

    fn unwrap_key(&self, name: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        let bytes = self.0.store.read(name)?;
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(VaultError::Sealed)?;
        let (kek_id, wrapped) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(VaultError::Sealed)?;
        let kek_id = std::str::from_utf8(kek_id).map_err(|_| VaultError::Sealed)?;
        let kek = self.0.keys.get(kek_id).ok_or_else(|| {
            VaultError::Setup(format!("the key file does not hold key `{kek_id}`, which a data key is wrapped by"))
        })?;
        let key = aead::unseal(kek, &wrap_context(kek_id, name), wrapped)?;
        let key: [u8; KEY_BYTES] = key.as_slice().try_into().map_err(|_| VaultError::Sealed)?;
        Ok(Zeroizing::new(key))
    }

    /// Seals a field under its data key.
    pub fn seal(&self, id: &KeyId, field: &str, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        aead::seal(&*self.data_key(id)?, &id.context(field), plaintext)
    }

    /// Opens a sealed field.
    pub fn unseal(&self, id: &KeyId, field: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        aead::unseal(&*self.data_key(id)?, &id.context(field), sealed)
    }

    /// Destroys a data key and with it everything sealed under it. A key that is gone already stays gone.
    pub fn destroy(&self, id: &KeyId) -> Result<(), VaultError> {
        let name = id.file_name();
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        self.0.store.destroy(&name)
    }

    /// Seals with a key of the process that is bound to `label`; for tokens that only this service reads.
    pub fn seal_token(&self, label: &str, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        aead::seal(&*self.derive(label)?, context, plaintext)
    }

    /// Opens what [`Vault::seal_token`] made for the same label and context.
    pub fn unseal_token(&self, label: &str, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        aead::unseal(&*self.derive(label)?, context, sealed)
    }

    /// A key derived from the current key-encryption key for one use, named by `label`.
    pub fn derive(&self, label: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                KEY_BYTES
            }
        }
        let (_, kek) = self.0.keys.current();
        let kek = kek.ok_or(VaultError::NoKey)?;
        let derived = Salt::new(HKDF_SHA256, b"ferry").extract(kek);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        derived
            .expand(&[label.as_bytes()], Length)
            .and_then(|okm| okm.fill(key.as_mut()))
            .map_err(|_| VaultError::Crypto)?;
        Ok(key)
    }
}

fn wrap_context(kek_id: &str, name: &str) -> Vec<u8> {
    aead::framed(&[b"data key", kek_id.as_bytes(), name.as_bytes()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::Purpose;

    fn vault(folder: &Path) -> (Vault, VaultConfig) {
        let config = VaultConfig { key_file: folder.join("keys"), key_store: folder.join("store") };
        if !config.key_file.exists() {
            Vault::create_key_file(&config.key_file).unwrap();
        }
        (Vault::open(&config).unwrap(), config)
    }

    fn secret(tenant: &str, connection: &str, version: u32) -> KeyId {
        KeyId::new(tenant, connection, Purpose::Secret { version }).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_only_where_it_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, _) = vault(folder.path());
        let ids =
            [secret("acme", "c1", 1), secret("acme", "c1", 2), secret("acme", "c2", 1), secret("globex", "c1", 1)];
        for id in &ids {
            vault.ensure_key(id).unwrap();
        }
        let sealed = vault.seal(&ids[0], "api_key", b"k").unwrap();
        assert_eq!(vault.unseal(&ids[0], "api_key", &sealed).unwrap().as_slice(), b"k");
        assert!(vault.unseal(&ids[0], "other", &sealed).is_err());
        for other in &ids[1..] {
            assert!(vault.unseal(other, "api_key", &sealed).is_err());
        }
    }

    #[test]
    fn a_wrapped_key_moved_to_another_name_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, config) = vault(folder.path());
        let (one, two) = (secret("acme", "c1", 1), secret("acme", "c2", 1));
        vault.ensure_key(&one).unwrap();
        vault.ensure_key(&two).unwrap();
        std::fs::copy(config.key_store.join(one.file_name()), config.key_store.join(two.file_name())).unwrap();
        assert!(vault.data_key(&two).is_err());
    }

    #[test]
    fn a_destroyed_key_is_gone_and_another_process_reads_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (secret("acme", "c1", 1), secret("acme", "c2", 1));
        let sealed = {
            let (vault, config) = vault(folder.path());
            vault.ensure_key(&one).unwrap();
            vault.ensure_key(&two).unwrap();
            vault.destroy(&one).unwrap();
            vault.destroy(&one).unwrap();
            assert!(matches!(vault.data_key(&one), Err(VaultError::NoKey)));
            assert!(Vault::open(&config).is_err(), "the store is locked");
            vault.seal(&two, "api_key", b"k").unwrap()
        };
        let (again, _) = vault(folder.path());
        assert_eq!(again.unseal(&two, "api_key", &sealed).unwrap().as_slice(), b"k");
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in ["", "../x", "a/b", "A", "a.b"] {
            assert!(KeyId::new(name, "c1", Purpose::File).is_err(), "{name}");
            assert!(KeyId::new("acme", name, Purpose::File).is_err(), "{name}");
        }
    }
}
