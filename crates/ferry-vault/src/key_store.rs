//! The folder of wrapped data keys. One process at a time.

use crate::VaultError;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(crate) struct KeyStore {
    folder: PathBuf,
    _lock: File,
}

impl KeyStore {
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
        lock.try_lock().map_err(|_| VaultError::Setup("the key store is in use by another process".to_owned()))?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, VaultError> {
        match std::fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(VaultError::NoKey),
            Err(error) => Err(VaultError::Io { what: "a key cannot be read", cause: error }),
        }
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    /// Durable before it returns: a value sealed under a key that a crash takes back could never be opened.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
        let failed = VaultError::io;
        let path = self.folder.join(name);
        let temporary = self.folder.join(format!(".{name}.new"));
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed("a key cannot be written"))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("a key cannot be written"))?;
        std::fs::rename(&temporary, &path).map_err(failed("a key cannot be put in its place"))?;
        self.sync()
    }

    /// Overwrites, then removes. Nothing happens to a key that is gone already.
    pub(crate) fn destroy(&self, name: &str) -> Result<(), VaultError> {
        let path = self.folder.join(name);
        let length = match std::fs::metadata(&path) {
            Ok(metadata) => usize::try_from(metadata.len()).unwrap_or(0),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(VaultError::Io { what: "a key cannot be destroyed", cause: error }),
        };
        let overwrite = || {
            let mut file = File::options().write(true).open(&path)?;
            file.write_all(&vec![0; length])?;
            file.sync_all()?;
            std::fs::remove_file(&path)
        };
        overwrite().map_err(VaultError::io("a key cannot be destroyed"))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), VaultError> {
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(VaultError::io("the key store cannot be synced"))
    }
}
