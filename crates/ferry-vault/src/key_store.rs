//! The folder of wrapped data keys. One process at a time writes it; a key changes only inside its [`Slot`].

use crate::VaultError;
use crate::key_id::is_file_name;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A key that is being written lies beside its place, under its name with this.
const NEW: &str = "new";
/// So does a key that is being destroyed.
const GONE: &str = "gone";

/// The folder as anyone may read it, whoever writes it.
pub(crate) struct KeyFolder(PathBuf);

impl KeyFolder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, VaultError> {
        match std::fs::read(self.0.join(name)) {
            Ok(bytes) => Ok(bytes),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Err(VaultError::NoKey),
            Err(cause) => Err(VaultError::Io { what: "a key cannot be read", cause }),
        }
    }

    /// The names of all keys; none when the folder was never made.
    pub(crate) fn names(&self) -> Result<Vec<String>, VaultError> {
        Ok(self.entries()?.into_iter().filter(|name| is_file_name(name)).collect())
    }

    fn entries(&self) -> Result<Vec<String>, VaultError> {
        let failed = |cause| VaultError::Io { what: "the key store cannot be read", cause };
        let entries = match std::fs::read_dir(&self.0) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.map_err(failed).map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect()
    }

    /// Makes durable what was put in its place before.
    pub(crate) fn sync(&self) -> Result<(), VaultError> {
        File::open(&self.0)
            .and_then(|folder| folder.sync_all())
            .map_err(VaultError::io("the key store cannot be synced"))
    }

    fn hidden(&self, name: &str, suffix: &str) -> PathBuf {
        self.0.join(format!(".{name}.{suffix}"))
    }
}

pub(crate) struct KeyStore {
    folder: KeyFolder,
    /// Names share these by their hash. One mutex for all would let the re-wrapping of many keys starve the rest.
    locks: [Mutex<()>; 64],
    _lock: File,
}

impl KeyStore {
    /// Locks the folder, and erases what a crash left half-written or half-destroyed.
    pub(crate) fn open(folder: &Path) -> Result<Self, VaultError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(VaultError::io("the key store cannot be made"))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(".lock"))
            .map_err(VaultError::io("the key store cannot be locked"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(VaultError::InUse),
            Err(std::fs::TryLockError::Error(cause)) => {
                return Err(VaultError::Io { what: "the key store cannot be locked", cause });
            }
        }
        let store = Self { folder: KeyFolder::new(folder), locks: [const { Mutex::new(()) }; 64], _lock: lock };
        for entry in store.folder.entries()?.iter().filter(|entry| leftover(entry).is_some()) {
            erase(&store.folder.0.join(entry))?;
        }
        store.folder.sync()?;
        Ok(store)
    }

    pub(crate) fn folder(&self) -> &KeyFolder {
        &self.folder
    }

    /// The names that begin with `prefix`, also those of which a failed destruction left something.
    pub(crate) fn names_with(&self, prefix: &str) -> Result<Vec<String>, VaultError> {
        let entries = self.folder.entries()?;
        let names = entries.iter().map(|entry| leftover(entry).unwrap_or(entry));
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The one place where a key may change. Nobody else changes it while the slot lives.
    pub(crate) fn slot<'a>(&'a self, name: &'a str) -> Slot<'a> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % self.locks.len() as u64).unwrap_or(0);
        let held = self.locks[index].lock().unwrap_or_else(PoisonError::into_inner);
        Slot { folder: &self.folder, name, _held: held }
    }
}

/// A key's place, locked.
pub(crate) struct Slot<'a> {
    folder: &'a KeyFolder,
    name: &'a str,
    _held: MutexGuard<'a, ()>,
}

impl Slot<'_> {
    pub(crate) fn read(&self) -> Result<Vec<u8>, VaultError> {
        self.folder.read(self.name)
    }

    pub(crate) fn exists(&self) -> Result<bool, VaultError> {
        self.folder.0.join(self.name).try_exists().map_err(VaultError::io("a key cannot be read"))
    }

    /// Durable before it returns: a value sealed under a key that a crash takes back could never be opened.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), VaultError> {
        self.replace(bytes)?;
        self.folder.sync()
    }

    /// A crash leaves the old bytes or the new ones. Which of them is certain only after the folder is synced.
    pub(crate) fn replace(&self, bytes: &[u8]) -> Result<(), VaultError> {
        let temporary = self.folder.hidden(self.name, NEW);
        let written =
            write_private(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, self.folder.0.join(self.name)));
        written.map_err(|cause| {
            let _ = erase(&temporary);
            VaultError::Io { what: "a key cannot be written", cause }
        })
    }

    /// Takes the key out of its place, overwrites and removes it. After a crash or an error, done again, it goes on
    /// where it was; nothing happens to a key that is gone already.
    pub(crate) fn destroy(&self) -> Result<(), VaultError> {
        let gone = self.folder.hidden(self.name, GONE);
        match std::fs::rename(self.folder.0.join(self.name), &gone) {
            // A crash must not leave an overwritten key in its place, where it would look like a damaged one.
            Ok(()) => self.folder.sync()?,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            Err(cause) => return Err(VaultError::Io { what: "a key cannot be destroyed", cause }),
        }
        erase(&gone)?;
        erase(&self.folder.hidden(self.name, NEW))?;
        self.folder.sync()
    }
}

/// The name of the key that a file beside its place is of.
fn leftover(entry: &str) -> Option<&str> {
    let (name, suffix) = entry.strip_prefix('.')?.rsplit_once('.')?;
    [NEW, GONE].contains(&suffix).then_some(name)
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Overwrites and removes a file, if it is there.
fn erase(path: &Path) -> Result<(), VaultError> {
    let overwrite = || {
        let mut file = File::options().write(true).open(path)?;
        let length = file.metadata()?.len();
        file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
        file.sync_all()?;
        std::fs::remove_file(path)
    };
    match overwrite() {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(VaultError::Io { what: "a key cannot be destroyed", cause })
        }
        _ => Ok(()),
    }
}
