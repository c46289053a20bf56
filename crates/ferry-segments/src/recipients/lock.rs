//! One at a time makes the next recipients file: the end of a run, or an erasure.

use crate::sealed::{PlanError, create_folder};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Whoever holds it makes the next file in a folder. It ends with its holder, also by a crash.
#[derive(Debug)]
pub struct FolderLock {
    _held: File,
}

impl FolderLock {
    /// Waits for the lock of the folder that the next file goes to, and makes the folder.
    pub fn take(next: &Path) -> Result<Self, PlanError> {
        let folder = next.parent().unwrap_or(Path::new("."));
        create_folder(folder).map_err(PlanError::io("the folder of recipients cannot be made"))?;
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock"));
        let lock = opened.map_err(PlanError::io("the lock of recipients cannot be opened"))?;
        lock.lock().map_err(PlanError::io("the lock of recipients cannot be taken"))?;
        Ok(Self { _held: lock })
    }
}
