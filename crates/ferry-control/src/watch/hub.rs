//! Who watches what in this process, and how what is read gets to them.

use super::token::{self, Sealer};
use super::watcher::{Change, Moving, Watcher};
use ferry_domain::{Counts, Run, RunId, TenantId};
use ferry_store::{WatchNews, Watched};
use ferry_vault::Vault;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// Clones share one.
#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Somebody has joined.
    joined: Notify,
}

#[derive(Default)]
struct State {
    /// All whose streams are open, by a number of their own.
    watchers: HashMap<u64, Arc<Watcher>>,
    entered: u64,
    tenants: HashMap<TenantId, Tenant>,
    sealers: HashMap<Vec<u8>, Weak<Sealer>>,
    /// Reads that were begun.
    reads: u64,
}

/// A tenant that somebody watches.
struct Tenant {
    watched: Watched,
    /// All changes up to this one were told.
    through: u64,
    runs: HashMap<RunId, Arc<Moving>>,
    watchers: HashMap<u64, Arc<Watcher>>,
}

/// An open stream; its watcher leaves with it.
pub(super) struct Entered {
    hub: Hub,
    number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        let Some(watcher) = state.watchers.remove(&self.number) else { return };
        let id = watcher.watched.parent().tenant();
        if let Some(tenant) = state.tenants.get_mut(id) {
            tenant.watchers.remove(&self.number);
            if tenant.watchers.is_empty() {
                state.tenants.remove(id);
            }
        }
        if state.watchers.is_empty() {
            state.sealers = HashMap::new();
        }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What makes the tokens of all who watch the same.
    pub(super) fn sealer(&self, vault: &Vault, watched: &Watched) -> Arc<Sealer> {
        let context = token::context(watched);
        let mut state = self.state();
        if let Some(sealer) = state.sealers.get(&context).and_then(Weak::upgrade) {
            return sealer;
        }
        let sealer = Arc::new(Sealer::new(vault, watched));
        state.sealers.retain(|_, sealer| sealer.strong_count() > 0);
        state.sealers.insert(context, Arc::downgrade(&sealer));
        sealer
    }

    pub(super) fn enter(&self, watcher: &Arc<Watcher>) -> Entered {
        let mut state = self.state();
        state.entered += 1;
        let number = state.entered;
        watcher.enter(number);
        state.watchers.insert(number, Arc::clone(watcher));
        Entered { hub: self.clone(), number }
    }

    /// From now on a watcher is told what comes, unless the publisher is ahead of it already; then it reads once more.
    pub(super) fn join(&self, watcher: &Arc<Watcher>) {
        let mut state = self.state();
        let State { watchers, tenants, reads, .. } = &mut *state;
        let number = watcher.number();
        if !watchers.contains_key(&number) {
            return;
        }
        let tenant = tenants.entry(watcher.watched.parent().tenant().clone()).or_insert_with(|| Tenant {
            watched: watcher.watched.clone(),
            through: watcher.through(),
            runs: HashMap::new(),
            watchers: HashMap::new(),
        });
        if tenant.through > watcher.through() {
            return;
        }
        watcher.join(*reads);
        tenant.watchers.insert(number, Arc::clone(watcher));
        drop(state);
        // What was committed since its own read is to be told, though nobody has been watching then.
        self.0.joined.notify_one();
    }

    /// Returns once somebody has joined since the last time.
    pub(super) async fn joined(&self) {
        self.0.joined.notified().await;
    }

    /// All whose streams are open.
    pub(super) fn all(&self) -> Vec<Arc<Watcher>> {
        self.state().watchers.values().cloned().collect()
    }

    /// Begins a read for all who watch: its number, and what is to be read since when. Nothing while nobody watches.
    pub(super) fn begin_read(&self) -> Option<(u64, Vec<(Watched, u64)>)> {
        let mut state = self.state();
        if state.tenants.is_empty() {
            return None;
        }
        state.reads += 1;
        let since = state.tenants.values().map(|tenant| (tenant.watched.clone(), tenant.through));
        Some((state.reads, since.collect()))
    }

    /// Tells what was read. Changes go to everybody before what has moved is noted, so that whoever takes the newest of
    /// a run has its changes before.
    pub(super) fn tell(&self, read: u64, news: Vec<WatchNews>) {
        let mut state = self.state();
        for news in news {
            let Some(tenant) = state.tenants.get_mut(&news.tenant) else { continue };
            for change in news.changes {
                tenant.change(Arc::new(change.into()));
            }
            tenant.through = tenant.through.max(news.through);
            if !news.more {
                for run in news.moving {
                    tenant.moves(Arc::new(run));
                }
            }
            for watcher in tenant.watchers.values() {
                watcher.told(read);
            }
        }
    }
}

impl Tenant {
    fn change(&mut self, change: Arc<Change>) {
        if change.number <= self.through {
            return;
        }
        for watcher in self.watchers.values() {
            watcher.offer(&change);
        }
        self.through = change.number;
        let run = &change.run;
        if run.state.is_terminal() {
            self.runs.remove(&run.name.run);
        } else if let Some(moving) = self.runs.get(&run.name.run) {
            moving.set(Arc::clone(run));
        } else {
            self.runs.insert(run.name.run.clone(), Arc::new(Moving::new(Arc::clone(run))));
        }
    }

    fn moves(&mut self, run: Arc<Run>) {
        let moving = match self.runs.get(&run.name.run) {
            Some(moving) => {
                let known = moving.newest();
                if run.version <= known.version {
                    return;
                }
                if !goes_on(&known, &run) {
                    // Nobody sees a counter go back; the end of the run says what is true.
                    tracing::error!(run = %run.name, before = ?known.counts, now = ?run.counts, "counters of a run went back");
                    return;
                }
                moving.set(Arc::clone(&run));
                Arc::clone(moving)
            }
            None => {
                let moving = Arc::new(Moving::new(Arc::clone(&run)));
                self.runs.insert(run.name.run.clone(), Arc::clone(&moving));
                moving
            }
        };
        for watcher in self.watchers.values() {
            watcher.moved(&moving, &run);
        }
    }
}

/// Whether no counter of outcomes is lower than it was.
fn goes_on(before: &Run, now: &Run) -> bool {
    let outcomes = |counts: &Counts| {
        [counts.confirmed, counts.refused, counts.unknown, counts.removals_confirmed, counts.removals_refused]
    };
    let (before, now) =
        ((outcomes(&before.counts), before.batches_settled), (outcomes(&now.counts), now.batches_settled));
    before.1 <= now.1 && before.0.iter().zip(&now.0).all(|(before, now)| before <= now)
}
