//! The file of a key ring. Its keys are the only way to everything sealed, so it changes only as a whole: a reader
//! and a crash see the old file or the new one, and a new key is durable before it wraps anything.

use crate::VaultError;
use crate::key_ring::KeyRing;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How often a file that changes while it is read is read again.
const READINGS: u32 = 5;

/// Which state of the file was read. The time is that of the last change of any kind: a rename and a `chmod` change
/// it, and nobody can set it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Result<Self, VaultError> {
        let found = metadata(path)?;
        Ok(Self { inode: found.ino(), length: found.len(), changed: (found.ctime(), found.ctime_nsec()) })
    }
}

fn metadata(path: &Path) -> Result<std::fs::Metadata, VaultError> {
    std::fs::metadata(path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => VaultError::Setup(format!(
            "there is no key file {}; put back the one that the key store was used with, or, for a new key store, \
             make one with `ferry keys create`",
            path.display()
        )),
        _ => VaultError::Io { what: "the key file cannot be read", cause },
    })
}

/// Makes a file with one new key. An existing one is never replaced.
pub(crate) fn create(path: &Path) -> Result<(), VaultError> {
    let temporary = write_temporary(path, &KeyRing::new()?)?;
    let placed = std::fs::hard_link(&temporary, path);
    std::fs::remove_file(&temporary).map_err(VaultError::io("the key file's other name cannot be removed"))?;
    placed.map_err(VaultError::io("the key file cannot be made (an existing one is never replaced)"))?;
    sync_folder(path)
}

/// Reads the file and makes it durable: what was read may wrap keys at once, even if who wrote it has died since.
pub(crate) fn read(path: &Path) -> Result<(KeyRing, Stamp), VaultError> {
    for _ in 0..READINGS {
        let before = Stamp::of(path)?;
        let mode = metadata(path)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::Setup(format!(
                "the key file has mode {mode:o}; nobody but its owner may read it: chmod 600"
            )));
        }
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        if Stamp::of(path)? != before {
            continue;
        }
        let text = text.map_err(VaultError::io("the key file cannot be read"))?;
        let ring = KeyRing::parse(&text, "the key file")?;
        File::open(path).and_then(|file| file.sync_all()).map_err(VaultError::io("the key file cannot be synced"))?;
        sync_folder(path)?;
        return Ok((ring, before));
    }
    Err(VaultError::Setup("the key file changes while it is read; write it once, then try again".to_owned()))
}

/// Changes the ring. One process at a time, so that no change takes another's key away. Nothing is written when
/// `change` fails.
pub(crate) fn edit<T>(
    path: &Path,
    change: impl FnOnce(&mut KeyRing) -> Result<T, VaultError>,
) -> Result<T, VaultError> {
    let lock = hidden(path, "lock");
    let mut options = File::options();
    let lock = options.create(true).truncate(false).write(true).mode(0o600).open(lock);
    let lock = lock.map_err(VaultError::io("the key file cannot be locked"))?;
    lock.lock().map_err(VaultError::io("the key file cannot be locked"))?;
    let (mut ring, _) = read(path)?;
    let changed = change(&mut ring)?;
    replace(path, &ring)?;
    Ok(changed)
}

fn replace(path: &Path, ring: &KeyRing) -> Result<(), VaultError> {
    let failed = VaultError::io;
    let mut old = File::options().write(true).open(path).map_err(failed("the key file cannot be written"))?;
    let length = old.metadata().map_err(failed("the key file cannot be read"))?.len();
    let temporary = write_temporary(path, ring)?;
    std::fs::rename(&temporary, path).map_err(failed("the key file cannot be put in its place"))?;
    sync_folder(path)?;
    // The old file has no name any more. Its blocks would still give away a key that is retired.
    let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
    old.write_all(&zeros).and_then(|()| old.sync_all()).map_err(failed("the old key file cannot be overwritten"))
}

fn write_temporary(path: &Path, ring: &KeyRing) -> Result<PathBuf, VaultError> {
    let failed = VaultError::io;
    let temporary = hidden(path, "new");
    match std::fs::remove_file(&temporary) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            return Err(VaultError::Io { what: "a key file that was not finished cannot be removed", cause });
        }
        _ => {}
    }
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed("the key file cannot be made"))?;
    file.write_all(ring.text().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed("the key file cannot be written"))?;
    Ok(temporary)
}

fn hidden(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

fn sync_folder(path: &Path) -> Result<(), VaultError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(VaultError::io("the key file's folder cannot be synced"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_is_private_and_never_replaced_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(create(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).is_err(), "others may read it");
    }

    #[test]
    fn edits_at_the_same_time_lose_no_key_and_a_reader_never_sees_half_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        create(&path).unwrap();
        let count = std::thread::scope(|scope| {
            let edits: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..5).for_each(|_| drop(edit(&path, KeyRing::rotate).unwrap()))))
                .collect();
            while edits.iter().any(|edit| !edit.is_finished()) {
                let text = Zeroizing::new(std::fs::read_to_string(&path).unwrap());
                assert!(text.bytes().all(|byte| byte == 0) || KeyRing::parse(&text, "it").is_ok());
            }
            read(&path).unwrap().0.ids().count()
        });
        assert_eq!(count, 41);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_blocks_of_the_old_file_hold_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other_name) = (folder.path().join("keys"), folder.path().join("the old file"));
        create(&path).unwrap();
        std::fs::hard_link(&path, &other_name).unwrap();
        edit(&path, KeyRing::rotate).unwrap();
        assert!(std::fs::read(&other_name).unwrap().iter().all(|byte| *byte == 0));
    }
}
