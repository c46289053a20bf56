//! How many entries no checkpoint covers yet: what makes the next one due before its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// So many new entries are signed at once.
pub(crate) const MANY: u64 = 1_000;

tokio::task_local! {
    /// Of the writer's task, which alone appends.
    static OF_WRITER: Arc<NewEntries>;
}

/// Counts upwards from the last checkpoint. What an undone transaction appended is counted too, which makes a checkpoint
/// come early, and never late.
#[derive(Debug, Default)]
pub(crate) struct NewEntries {
    count: AtomicU64,
    due: Notify,
}

impl NewEntries {
    /// Runs the writer, so that whatever it appends is counted here.
    pub(crate) fn counting<F: Future>(self: Arc<Self>, writer: F) -> impl Future<Output = F::Output> {
        OF_WRITER.scope(self, writer)
    }

    /// Called by whatever appends entries, in the writer's task.
    pub(crate) fn appended(number: u64) {
        let _elsewhere = OF_WRITER.try_with(|entries| {
            let before = entries.count.fetch_add(number, Ordering::Relaxed);
            if before < MANY && before.saturating_add(number) >= MANY {
                entries.due.notify_one();
            }
        });
    }

    /// All that was appended so far is covered. Called in the writer's task.
    pub(crate) fn covered() {
        let _elsewhere = OF_WRITER.try_with(|entries| entries.count.store(0, Ordering::Relaxed));
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn soon(&self) {
        self.due.notify_one();
    }

    pub(crate) async fn due(&self) {
        self.due.notified().await;
    }
}
