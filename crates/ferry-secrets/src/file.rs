//! `file:` references: files in the tenant's folder below the operator's root.

use crate::value::{key, line};
use crate::{ConfigError, SecretError, StoreKind};
use ferry_domain::TenantId;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use secrecy::SecretString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const MOST_BYTES: usize = 4096;
/// A folder may be on a disk that hangs.
const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) struct FileStore {
    root: Arc<Path>,
}

impl FileStore {
    pub(crate) fn new(root: PathBuf) -> Result<Self, ConfigError> {
        if !root.is_absolute() || !root.is_dir() {
            return Err(ConfigError::FileRoot(root.display().to_string()));
        }
        Ok(Self { root: root.into() })
    }

    pub(crate) async fn read(&self, tenant: &TenantId, path: &str) -> Result<SecretString, SecretError> {
        let (root, tenant, path) = (Arc::clone(&self.root), tenant.as_str().to_owned(), path.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            let content = open(&root, &tenant, &path).and_then(read_regular).map_err(refused)?;
            let text = line(&content).ok_or(SecretError::Malformed(StoreKind::File))?;
            key(text, StoreKind::File)
        });
        match tokio::time::timeout(DEADLINE, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) | Err(_) => Err(SecretError::Unreachable(StoreKind::File)),
        }
    }
}

/// Opens folder by folder, each below the last, so that no link leads out and nothing can be swapped in between.
fn open(root: &Path, tenant: &str, path: &str) -> io::Result<OwnedFd> {
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The root itself is the operator's and may be a link.
    let mut at = openat(CWD, root, folder, Mode::empty())?;
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    let below = folders.split('/').filter(|part| !part.is_empty());
    for part in std::iter::once(tenant).chain(below) {
        at = openat(&at, part, folder | OFlags::NOFOLLOW, Mode::empty())?;
    }
    // Without waiting: opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(&at, file, flags, Mode::empty())?)
}

/// The whole content of a regular file; nothing of anything else, nor of one that is too long to be a key.
fn read_regular(file: OwnedFd) -> io::Result<Zeroizing<Vec<u8>>> {
    let status = fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Room for all of it at once, so that no part of the secret stays behind in memory that was grown out of.
    let mut content = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    File::from(file).take(MOST_BYTES as u64 + 1).read_to_end(&mut content)?;
    if content.len() > MOST_BYTES { Err(io::ErrorKind::InvalidData.into()) } else { Ok(content) }
}

/// A link, a folder and a pipe are what a missing file is: nothing is said of what is there.
fn refused(error: io::Error) -> SecretError {
    let kind = StoreKind::File;
    if Errno::from_io_error(&error) == Some(Errno::LOOP) {
        return SecretError::Missing(kind);
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            SecretError::Missing(kind)
        }
        io::ErrorKind::InvalidData => SecretError::Malformed(kind),
        io::ErrorKind::PermissionDenied => SecretError::Denied(kind),
        _ => {
            tracing::warn!(%error, "a file of a secret cannot be read");
            SecretError::Unreachable(kind)
        }
    }
}
