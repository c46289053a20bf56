//! The publisher: one task that reads for all who watch.

use crate::Control;
use std::time::Duration;
use tokio::time::Instant;

/// Between two reads: so a run's progress is told at most five times a second, and no change waits longer.
const PACE: Duration = Duration::from_millis(200);
/// Between two reads where there is more: whoever reads takes what they were told meanwhile.
const BREATH: Duration = Duration::from_millis(10);
/// It is looked so often even if nothing was committed here: another process may have done it.
const FALLBACK: Duration = Duration::from_secs(1);

impl Control {
    /// Tells all who watch what happens, and looks after them, until it is dropped.
    pub async fn keep_watchers(&self) {
        tokio::join!(self.publish(), self.guard_watchers());
    }

    async fn publish(&self) {
        let mut committed = self.store().committed();
        let mut next = Instant::now();
        loop {
            tokio::select! {
                // The store is there as long as this.
                _changed = committed.changed() => {}
                () = self.hub.joined() => {}
                () = tokio::time::sleep(FALLBACK) => {}
            }
            tokio::time::sleep_until(next).await;
            committed.mark_unchanged();
            next = Instant::now() + PACE;
            while self.publish_once().await {
                tokio::time::sleep(BREATH).await;
            }
        }
    }

    /// Reads once and tells it. True if there is more to read.
    async fn publish_once(&self) -> bool {
        let Some((read, since)) = self.hub.begin_read() else { return false };
        let since: Vec<_> = since.iter().map(|(watched, number)| (watched, *number)).collect();
        match self.store().watch_news(&since).await {
            Ok(news) => {
                ferry_domain::failpoint!("changes-read");
                let more = news.iter().any(|news| news.more);
                self.hub.tell(read, news);
                more
            }
            Err(error) => {
                tracing::error!(?error, "what happens to runs cannot be read; trying again");
                tokio::time::sleep(FALLBACK).await;
                false
            }
        }
    }
}
