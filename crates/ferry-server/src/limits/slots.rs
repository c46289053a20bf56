//! Counted places: so many in all, and so many for one holder.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub total: u32,
    /// For one holder, so that it cannot take all of them.
    pub each: u32,
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Total,
    Each,
}

/// The places. Clones share them.
pub(crate) struct Slots<K>(Arc<Shared<K>>);

struct Shared<K> {
    bounds: Bounds,
    taken: Mutex<Taken<K>>,
}

/// Only holders with a place are in the map, so it has never more entries than there are places.
struct Taken<K> {
    total: u32,
    each: HashMap<K, u32>,
}

/// A place, given back when it is dropped: on return, cancellation and panic alike.
pub(crate) struct Slot<K: Eq + Hash> {
    shared: Arc<Shared<K>>,
    holder: K,
}

impl<K> Clone for Slots<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Shared<K> {
    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Slots<K> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared { bounds, taken: Mutex::new(Taken { total: 0, each: HashMap::new() }) }))
    }

    /// Takes a place without waiting: whoever is refused knows best when to come again.
    pub(crate) fn take(&self, holder: K) -> Result<Slot<K>, Full> {
        let mut taken = self.0.taken();
        if taken.total >= self.0.bounds.total {
            return Err(Full::Total);
        }
        if taken.each.get(&holder).copied().unwrap_or(0) >= self.0.bounds.each {
            return Err(Full::Each);
        }
        taken.total += 1;
        *taken.each.entry(holder.clone()).or_insert(0) += 1;
        Ok(Slot { shared: Arc::clone(&self.0), holder })
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.0.taken().total
    }

    /// How many there are.
    pub(crate) fn bounds(&self) -> Bounds {
        self.0.bounds
    }
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.shared.taken();
        taken.total = taken.total.saturating_sub(1);
        let left = taken.each.get(&self.holder).map_or(0, |held| held.saturating_sub(1));
        if left == 0 {
            taken.each.remove(&self.holder);
        } else if let Some(held) = taken.each.get_mut(&self.holder) {
            *held = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Slots<&'static str> {
        Slots::new(Bounds { total: 3, each: 2 })
    }

    #[test]
    fn both_bounds_hold_and_a_dropped_place_is_free_again() {
        let slots = slots();
        let mut held = vec![slots.take("ada").ok(), slots.take("ada").ok()];
        assert_eq!(slots.take("ada").err(), Some(Full::Each));
        held.push(slots.take("bob").ok());
        assert_eq!(slots.take("bob").err(), Some(Full::Total));
        assert!(held.iter().all(Option::is_some));
        held.remove(0);
        assert!(slots.take("ada").is_ok());
    }

    #[tokio::test]
    async fn a_cancelled_task_and_a_panicking_one_give_their_places_back() {
        let slots = slots();
        let (cancelled, panicking) = (slots.take("ada"), slots.take("ada"));
        let waiting = tokio::spawn(async move {
            let _held = cancelled;
            std::future::pending::<()>().await;
        });
        waiting.abort();
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
        let failing = tokio::spawn(async move {
            let _held = panicking;
            panic!("as asked by the test");
        });
        assert!(failing.await.is_err_and(|error| error.is_panic()));
        assert_eq!(slots.taken(), 0);
        assert!(slots.0.taken().each.is_empty(), "nobody is remembered");
    }
}
