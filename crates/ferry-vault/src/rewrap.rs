//! Re-wrapping by the process that holds the key store, while it seals and opens.
//!
//! Nobody else writes the store: what another process re-wraps could be a key that is destroyed meanwhile. Each key is
//! replaced as a whole inside its slot, so a crash leaves it wrapped by the old key-encryption key or by the new one,
//! and both are in the key file. The root key comes last, and only when all others are done and durable. So a root key
//! that names the current key-encryption key says that this process has taken up that key and that nothing names
//! another; whoever removes old keys relies on it.

use crate::derive::ROOT;
use crate::key_file::{self, Stamp};
use crate::key_ring::KeyRing;
use crate::vault::{Watched, check};
use crate::wrapped::{Wrapped, wrap};
use crate::{Vault, VaultError};
use std::sync::{MutexGuard, PoisonError};

/// How many keys are re-wrapped at the same time.
const THREADS: usize = 4;

/// What became of some keys.
struct Pass {
    done: usize,
    refused: Vec<(String, VaultError)>,
    /// Whether none was left out.
    is_whole: bool,
}

impl Vault {
    /// Takes up the key file if it has changed, and tells the id of its current key then. Keys that cannot be read, or
    /// that do not open what the store holds, are refused, and the ones from before stay in use.
    pub fn reload_keys(&self) -> Result<Option<String>, VaultError> {
        let Some(mut watched) = self.lock_watched() else { return Ok(None) };
        if Stamp::of(&watched.path)? == watched.stamp {
            return Ok(None);
        }
        let (ring, stamp) = key_file::read(&watched.path)?;
        check(self.store(), &ring)?;
        let current = ring.current().0.to_owned();
        self.still_holds_current(&ring)?;
        *self.ring_mut() = ring;
        watched.stamp = stamp;
        Ok(Some(current))
    }

    /// Re-wraps each data key that the current key-encryption key does not wrap, and tells how many there were.
    /// `go_on` is asked before each of them; after a `false`, the next call goes on where this one ended.
    pub fn rewrap_keys(&self, go_on: impl Fn() -> bool + Sync) -> Result<usize, VaultError> {
        // Held, so that the current key stays the same from the first to the last.
        let _watched = self.lock_watched();
        if self.is_current(ROOT)? {
            return Ok(0);
        }
        let mut names = self.store().folder().names()?;
        names.retain(|name| name != ROOT);
        let mut pass = self.rewrap_all(&names, &go_on);
        if let Some((name, cause)) = pass.refused.first() {
            return Err(VaultError::Setup(format!(
                "{} data keys cannot be re-wrapped, and the keys that wrap them must stay; the first is `{name}`: \
                 {cause}; restore it from a backup of the key store, or destroy what it belongs to",
                pass.refused.len()
            )));
        }
        if pass.is_whole {
            self.store().folder().sync()?;
            pass.done += usize::from(self.rewrap(ROOT)?);
            self.store().folder().sync()?;
        }
        Ok(pass.done)
    }

    /// A part of the names by each of a few threads: each waits for the disk, and the disk takes them together.
    fn rewrap_all(&self, names: &[String], go_on: &(impl Fn() -> bool + Sync)) -> Pass {
        let part = |names: &[String]| {
            let mut pass = Pass { done: 0, refused: Vec::new(), is_whole: true };
            for name in names {
                if !go_on() {
                    pass.is_whole = false;
                    break;
                }
                match self.rewrap(name) {
                    Ok(rewrapped) => pass.done += usize::from(rewrapped),
                    Err(cause) => pass.refused.push((name.clone(), cause)),
                }
            }
            pass
        };
        let size = names.len().div_ceil(THREADS).max(1);
        std::thread::scope(|scope| {
            let parts: Vec<_> = names.chunks(size).map(|names| scope.spawn(move || part(names))).collect();
            let mut whole = Pass { done: 0, refused: Vec::new(), is_whole: true };
            for part in parts {
                match part.join() {
                    Ok(part) => {
                        whole.done += part.done;
                        whole.refused.extend(part.refused);
                        whole.is_whole &= part.is_whole;
                    }
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            whole
        })
    }

    /// Whether it was there and named another key than the current one.
    fn rewrap(&self, name: &str) -> Result<bool, VaultError> {
        let slot = self.store().slot(name);
        let ring = self.ring();
        let bytes = match slot.read() {
            Err(VaultError::NoKey) => return Ok(false),
            bytes => bytes?,
        };
        let wrapped = Wrapped::parse(&bytes)?;
        if wrapped.kek_id() == ring.current().0 {
            return Ok(false);
        }
        let key = wrapped.open(&ring, name)?;
        slot.replace(&wrap(&ring, name, &key)?)?;
        drop(ring);
        // The next use proves that the new bytes open, while the old key is still there.
        self.cache().forget(name);
        Ok(true)
    }

    /// A key may be wrapped by our current key just now, where no look through the store finds it.
    fn still_holds_current(&self, ring: &KeyRing) -> Result<(), VaultError> {
        let ours = self.ring();
        let (id, key) = ours.current();
        if ring.get(id) == Some(key) {
            return Ok(());
        }
        Err(VaultError::Setup(format!(
            "the key file lost `{id}`, which this process wraps keys by; put it back: a key is removed by `ferry keys \
             retire`"
        )))
    }

    fn is_current(&self, name: &str) -> Result<bool, VaultError> {
        let ring = self.ring();
        let bytes = self.store().folder().read(name)?;
        Ok(Wrapped::parse(&bytes)?.kek_id() == ring.current().0)
    }

    fn lock_watched(&self) -> Option<MutexGuard<'_, Watched>> {
        Some(self.watched()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
