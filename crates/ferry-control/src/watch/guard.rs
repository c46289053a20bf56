//! The guard: asks again what the token of each watcher opens, keeps quiet streams alive, and ends those that nobody
//! reads. It looks at all streams, also at one that the transport does not poll since its reader does not read.

use super::watcher::Watcher;
use crate::Control;
use ferry_domain::authz::action::WatchRuns;
use ferry_domain::authz::{Actor, Denial, Token, permit};
use ferry_domain::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often all are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is asked what their tokens open: a right that was lost ends a stream within five seconds.
const ASK: Duration = Duration::from_secs(2);

impl Control {
    pub(super) async fn guard_watchers(&self) {
        let mut asked = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            let watchers = self.hub.all();
            let (now, time) = (Instant::now(), self.now());
            for watcher in &watchers {
                if time >= watcher.reader.token.expire_time {
                    watcher.close(Error::Unauthenticated);
                }
                watcher.look_after(now);
            }
            if asked.elapsed() >= ASK {
                asked = Instant::now();
                self.ask_again(&watchers).await;
            }
        }
    }

    /// Each token is asked once, whoever shares it.
    async fn ask_again(&self, watchers: &[Arc<Watcher>]) {
        let mut by_subject: HashMap<&str, Vec<(&Token, Vec<&Watcher>)>> = HashMap::new();
        for watcher in watchers.iter().filter(|watcher| !watcher.has_ended()) {
            let token = &watcher.reader.token;
            let tokens = by_subject.entry(&token.subject).or_default();
            match tokens.iter_mut().find(|(known, _)| *known == token) {
                Some((_, holders)) => holders.push(watcher),
                None => tokens.push((token, vec![watcher])),
            }
        }
        for (token, holders) in by_subject.into_values().flatten() {
            let admitted = self.admit(token.clone()).await;
            for watcher in holders {
                if let Err(error) = still_allowed(watcher, &admitted) {
                    watcher.close(self.on_record(watcher, &admitted, error).await);
                }
            }
        }
    }

    /// A right that was lost meanwhile is a refused call like any other: on record before it is told.
    async fn on_record(&self, watcher: &Watcher, admitted: &Result<Actor>, error: Error) -> Error {
        let (Some(refusal), Ok(actor)) = (error.refusal(), admitted) else { return error };
        let actor = actor.clone().calling(watcher.reader.actor.call().clone());
        match self.denied(Denial::of(&actor, refusal)).await {
            Ok(()) => error,
            Err(unavailable) => unavailable,
        }
    }
}

fn still_allowed(watcher: &Watcher, admitted: &Result<Actor>) -> Result<()> {
    match admitted {
        Ok(actor) => permit::<WatchRuns>(actor, watcher.watched.parent().clone()).map(|permit| drop(permit.spend())),
        Err(error) => Err(Error::Unavailable(ferry_domain::error::Inside(format!(
            "what a watcher's token opens cannot be asked: {error:?}"
        )))),
    }
}
