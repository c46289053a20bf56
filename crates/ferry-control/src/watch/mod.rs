//! Watching runs: how a change of the store gets to everybody who looks on.
//!
//! ```text
//! commit ─▶ publisher: one read for all ─▶ hub: tenant, runs ─▶ each watcher's queue ─▶ Watch, polled by the transport
//! ```
//!
//! A watcher is no task and holds no connection of the database: it is a queue that the transport takes from. The
//! publisher fills the queues, the guard looks after them: rights, heartbeats, readers that do not read.

mod guard;
mod hub;
mod publish;
mod stream;
mod token;
mod watcher;

pub(crate) use hub::Hub;
pub use stream::{LastToken, Watch};

use crate::Control;
use ferry_domain::authz::action::WatchRuns;
use ferry_domain::authz::{Actor, Token, permit};
use ferry_domain::name::RunParent;
use ferry_domain::{Error, Result, Run, RunName};
use std::sync::Arc;
use token::Position;
use watcher::{Reader, Watcher};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct WatchQuery {
    /// `tenants/{tenant}/exports/{export}`, or all exports of the tenant.
    pub parent: String,
    /// One run's name, or nothing.
    pub run: String,
    /// Where to go on, or nothing.
    pub resume_token: String,
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A run as it is now.
    Run(Arc<Run>),
    /// All runs of the snapshot were told.
    SnapshotComplete,
    /// Nothing has happened for a while.
    Heartbeat,
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchItem {
    /// What happened.
    pub event: WatchEvent,
    /// All up to here has been told.
    pub token: Arc<str>,
}

impl Control {
    /// Begins to watch. The token is asked again what it opens while the stream goes on.
    pub async fn watch_runs(&self, (actor, token): (&Actor, Token), query: &WatchQuery) -> Result<Watch> {
        let parent = RunParent::parse(&query.parent).map_err(|error| Error::invalid("parent", error.to_string()))?;
        permit::<WatchRuns>(actor, parent.clone())?.spend();
        let one = match query.run.as_str() {
            "" => None,
            name => Some(RunName::parse(name).map_err(|error| Error::invalid("run", error.to_string()))?),
        };
        let begun = self.granted(|store| Ok(store.watch_begin(permit::<WatchRuns>(actor, parent)?, one)))?;
        let (watched, over) = begun.await?;
        let sealer = self.hub.sealer(self.vault(), &watched);
        let position = match query.resume_token.as_str() {
            "" => Position::Anew,
            token => sealer.open(token)?,
        };
        let reader = Reader { token, actor: actor.clone() };
        let watcher = Watcher::new(watched, reader, position, over);
        let mut watch = Watch::new(self.clone(), sealer, watcher);
        // Whatever cannot be begun is refused before the stream is.
        watch.read(position).await?;
        Ok(watch)
    }
}

#[cfg(test)]
mod tests;
