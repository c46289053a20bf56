//! Unwrapped data keys, for a short while.

use crate::VaultError;
use crate::aead::Key;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An unwrapped data key is kept at most this long.
const CACHE_TIME: Duration = Duration::from_secs(60);

/// Each key with the time since when it is here. Boxed: a map that grows moves its values and wipes nothing.
type Kept = HashMap<String, (Instant, Box<Key>)>;

#[derive(Default)]
pub(crate) struct KeyCache(Mutex<Kept>);

impl KeyCache {
    /// The cached key, or the one that `unwrap` reads. The cache is held meanwhile: a key that is destroyed after it
    /// was read is forgotten after it was kept, never before.
    pub(crate) fn get(&self, name: &str, unwrap: impl FnOnce() -> Result<Key, VaultError>) -> Result<Key, VaultError> {
        let mut keys = self.keys();
        match keys.get(name) {
            Some((since, key)) if since.elapsed() < CACHE_TIME => Ok(Key::clone(key)),
            _ => {
                let key = unwrap()?;
                keys.insert(name.to_owned(), (Instant::now(), Box::new(key.clone())));
                Ok(key)
            }
        }
    }

    /// Comes after the key's file has changed or gone, so that nobody reads it back in between.
    pub(crate) fn forget(&self, name: &str) {
        self.keys().remove(name);
    }

    pub(crate) fn forget_old(&self) {
        self.forget_older_than(CACHE_TIME);
    }

    fn forget_older_than(&self, limit: Duration) {
        self.keys().retain(|_, (since, _)| since.elapsed() < limit);
    }

    fn keys(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::aead::random_key;

    #[test]
    fn a_key_is_read_once_and_again_after_it_was_forgotten() {
        let cache = KeyCache::default();
        let first = cache.get("a", random_key).unwrap();
        cache.forget_old();
        assert_eq!(cache.get("a", random_key).unwrap(), first);
        cache.forget_older_than(Duration::ZERO);
        assert!(cache.keys().is_empty(), "nobody asked, and it is gone");
        let second = cache.get("a", random_key).unwrap();
        assert_ne!(second, first);
        cache.forget("a");
        assert!(matches!(cache.get("a", || Err(VaultError::NoKey)), Err(VaultError::NoKey)));
    }
}
