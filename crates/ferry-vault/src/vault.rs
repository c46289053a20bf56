//! The vault itself.

use crate::VaultError;
use crate::aead::{self, KEY_BYTES, Key, random_key};
use crate::cache::KeyCache;
use crate::config::VaultConfig;
use crate::derive::ROOT;
use crate::key_file::Stamp;
use crate::key_id::KeyId;
use crate::key_ring::KeyRing;
use crate::key_store::KeyStore;
use crate::wrapped::{Wrapped, unknown_kek, wrap};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use zeroize::Zeroizing;

/// Seals and opens. Clones share one key store.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    /// Held for reading from before a wrapped key is read or made until it was opened or written. A ring is exchanged
    /// only between such uses, so nothing is written under the key before the current one once the ring has changed.
    ring: RwLock<KeyRing>,
    store: KeyStore,
    cache: KeyCache,
    watched: Option<Mutex<Watched>>,
}

/// The key file, and which state of it was last taken up. Held for the whole of each re-wrapping.
pub(crate) struct Watched {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

impl Vault {
    /// Locks the key store and reads the key-encryption keys. Without both nothing starts, nor with keys that do not
    /// open what the store holds: there is no mode without encryption.
    pub fn open(config: &VaultConfig) -> Result<Self, VaultError> {
        // The lock comes first. A ring read before it could miss a key that who held the lock has wrapped by.
        let store = KeyStore::open(&config.key_store)?;
        let (ring, watched) = config.keys.read()?;
        check(&store, &ring)?;
        let watched = watched.map(Mutex::new);
        let vault = Self(Arc::new(Inner { ring: RwLock::new(ring), store, cache: KeyCache::default(), watched }));
        vault.ensure(ROOT)?;
        vault.open_key(ROOT).map_err(|_| {
            VaultError::Setup(
                "the data key `root` does not open; restore it from a backup of the key store, or remove it: page \
                 tokens and the request ids of the last day are void then, and nothing else"
                    .to_owned(),
            )
        })?;
        Ok(vault)
    }

    /// Makes a data key unless it exists. Durable when it returns.
    pub fn ensure_key(&self, id: &KeyId) -> Result<(), VaultError> {
        self.ensure(&id.file_name())
    }

    pub(crate) fn ensure(&self, name: &str) -> Result<(), VaultError> {
        let slot = self.0.store.slot(name);
        if slot.exists()? {
            return Ok(());
        }
        let ring = self.ring();
        slot.write(&wrap(&ring, name, &random_key()?)?)
    }

    /// The data key itself, for files that are encrypted by a format of their own and for keyed digests.
    pub fn data_key(&self, id: &KeyId) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        self.open_key(&id.file_name())
    }

    pub(crate) fn open_key(&self, name: &str) -> Result<Key, VaultError> {
        self.0.cache.get(name, || {
            let ring = self.ring();
            Wrapped::parse(&self.0.store.folder().read(name)?)?.open(&ring, name)
        })
    }

    /// Seals a field under its data key.
    pub fn seal(&self, id: &KeyId, field: &str, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        aead::seal(&self.data_key(id)?, &id.context(field), plaintext)
    }

    /// Opens a sealed field.
    pub fn unseal(&self, id: &KeyId, field: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        aead::unseal(&self.data_key(id)?, &id.context(field), sealed)
    }

    /// Destroys a data key and with it everything sealed under it. A key that is gone already stays gone.
    pub fn destroy(&self, id: &KeyId) -> Result<(), VaultError> {
        self.destroy_named(&id.file_name())
    }

    /// Destroys the keys of a connection: all versions of its secret, and its files' key. Tells how many there were.
    /// Make sure before that nobody makes new ones. After a crash or an error, do it again: it goes on where it was.
    pub fn destroy_connection(&self, tenant: &str, connection: &str) -> Result<usize, VaultError> {
        self.destroy_all(&KeyId::connection_prefix(tenant, connection)?)
    }

    /// Destroys the keys of a tenant: those of all its connections, and that of its identity digests. Make sure before
    /// that nobody makes new ones. After a crash or an error, do it again: it goes on where it was.
    pub fn destroy_tenant(&self, tenant: &str) -> Result<(), VaultError> {
        self.destroy_all(&KeyId::tenant_prefix(tenant)?).map(|_| ())
    }

    fn destroy_all(&self, prefix: &str) -> Result<usize, VaultError> {
        let names = self.0.store.names_with(prefix)?;
        names.iter().try_for_each(|name| self.destroy_named(name))?;
        Ok(names.len())
    }

    fn destroy_named(&self, name: &str) -> Result<(), VaultError> {
        let slot = self.0.store.slot(name);
        let destroyed = slot.destroy();
        self.0.cache.forget(name);
        destroyed
    }

    /// Forgets the unwrapped keys that have been here for a minute. To be called every second or so: a key that nobody
    /// asks for again would stay in memory otherwise.
    pub fn forget_old_keys(&self) {
        self.0.cache.forget_old();
    }

    pub(crate) fn store(&self) -> &KeyStore {
        &self.0.store
    }

    pub(crate) fn cache(&self) -> &KeyCache {
        &self.0.cache
    }

    pub(crate) fn watched(&self) -> Option<&Mutex<Watched>> {
        self.0.watched.as_ref()
    }

    pub(crate) fn ring(&self) -> RwLockReadGuard<'_, KeyRing> {
        self.0.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ring_mut(&self) -> RwLockWriteGuard<'_, KeyRing> {
        self.0.ring.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a ring holds each key that a wrapped key names, and not another one by its id. One data key that opens
/// proves a key; a damaged one is its own secret's loss and keeps nobody else from starting.
pub(crate) fn check(store: &KeyStore, ring: &KeyRing) -> Result<(), VaultError> {
    let mut proven: HashMap<String, bool> = HashMap::new();
    for name in store.folder().names()? {
        let bytes = match store.folder().read(&name) {
            Err(VaultError::NoKey) => continue,
            bytes => bytes?,
        };
        let Ok(wrapped) = Wrapped::parse(&bytes) else { continue };
        if ring.get(wrapped.kek_id()).is_none() {
            return Err(unknown_kek(wrapped.kek_id(), &name));
        }
        let proof = proven.entry(wrapped.kek_id().to_owned()).or_default();
        *proof = *proof || wrapped.open(ring, &name).is_ok();
    }
    match proven.iter().find(|(_, proven)| !**proven) {
        None => Ok(()),
        Some((id, _)) => Err(VaultError::Setup(format!(
            "no data key opens by `{id}`: the keys hold another key by that id; put back the ones that the key store \
             was used with"
        ))),
    }
}
