//! The stream of one watcher, as the transport polls it.

use super::token::{Position, Sealer};
use super::watcher::{Taken, Watcher};
use super::{WatchItem, hub};
use crate::Control;
use ferry_domain::{Error, Result, TenantId};
use ferry_store::WatchChanges;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

type Reading = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A watcher's stream. It does nothing while nobody polls it; when it is dropped, the watcher is gone.
pub struct Watch {
    control: Control,
    sealer: Arc<Sealer>,
    watcher: Arc<Watcher>,
    _entered: hub::Entered,
    /// More of the log, where there is more than one read of it.
    reading: Option<Reading>,
}

/// Tells the last token of a stream at its end, whatever ends it.
#[derive(Clone)]
pub struct LastToken {
    sealer: Arc<Sealer>,
    watcher: Arc<Watcher>,
}

impl LastToken {
    /// The token of all that was told; nothing if it cannot be sealed.
    #[must_use]
    pub fn get(&self) -> Option<Arc<str>> {
        let sealed = self.sealer.seal(self.watcher.position());
        sealed.inspect_err(|error| tracing::error!(?error, "a resume token cannot be sealed")).ok()
    }
}

impl Watch {
    pub(super) fn new(control: Control, sealer: Arc<Sealer>, watcher: Watcher) -> Self {
        let watcher = Arc::new(watcher);
        let entered = control.hub.enter(&watcher);
        Self { control, sealer, watcher, _entered: entered, reading: None }
    }

    /// The tenant whose runs are watched.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.watcher.watched.parent().tenant()
    }

    /// What tells its last token.
    #[must_use]
    pub fn last_token(&self) -> LastToken {
        LastToken { sealer: Arc::clone(&self.sealer), watcher: Arc::clone(&self.watcher) }
    }

    pub(super) async fn read(&mut self, position: Position) -> Result<()> {
        read(self.control.clone(), Arc::clone(&self.watcher), position).await
    }

    /// The next message; nothing once it is over.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<WatchItem>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(context));
                self.reading = None;
                if let Err(error) = read {
                    self.watcher.close(error);
                }
            }
            return Poll::Ready(match ready!(self.watcher.take(context)) {
                Taken::Event(event, position) => {
                    Some(self.sealer.seal(position).map(|token| WatchItem { event, token }))
                }
                Taken::Read(position) => {
                    self.reading = Some(Box::pin(read(self.control.clone(), Arc::clone(&self.watcher), position)));
                    continue;
                }
                Taken::Failed(error) => Some(Err(error)),
                Taken::Over => None,
            });
        }
    }
}

/// Reads the snapshot, or some of the changes since the token; once there is no more, the publisher goes on.
async fn read(control: Control, watcher: Arc<Watcher>, position: Position) -> Result<()> {
    match position {
        Position::Anew => watcher.begin(control.store().watch_snapshot(&watcher.watched).await?),
        Position::Through(_) => match control.store().watch_changes(&watcher.watched, watcher.through()).await? {
            WatchChanges::Cut => return Err(Error::ResumeTokenExpired),
            WatchChanges::These { changes, through, more } => watcher.go_on(changes, through, more),
        },
    }
    if !watcher.has_more() {
        control.hub.join(&watcher);
    }
    Ok(())
}
