//! Whether a run may still ask the destination something.
//!
//! Each intent is refused once the run is to stop, and is good for a while only ([`SEND_BY`]). What sends nobody needs
//! no intent, but it must end with the connection too: so nothing is asked of the destination but within that while
//! after the store was seen to hold the connection. Whoever removes one waits for longer than that.

use super::RunContext;
use crate::context::Context;
use crate::failure::Stop;
use ferry_store::{Asked, Lease};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An intent that was not sent this long after it was begun is void: the process may have been frozen in between. A
/// question is not put later than this after the look at the store.
pub(super) const SEND_BY: Duration = Duration::from_millis(400);
/// A look at the store is good for several questions.
const FRESH: Duration = Duration::from_millis(200);

/// When the last look at the store began that found the connection in its place.
#[derive(Default)]
pub(super) struct Seen(Mutex<Option<Instant>>);

/// Why the run is to stop, if it is.
pub(super) async fn stop_asked(shared: &Context, lease: &Lease) -> Result<Option<Stop>, Stop> {
    Ok(match shared.store.run_asked(lease).await? {
        Asked::GoesOn => None,
        Asked::Stop => Some(Stop::Cancelled),
        Asked::Removed => Some(Stop::Removed),
    })
}

/// To be called right before a question is put to the destination. A run that was cancelled still asks what became of
/// what it sent.
pub(super) async fn may_ask(context: &RunContext) -> Result<(), Stop> {
    if context.seen.at().is_some_and(|seen| seen.elapsed() < FRESH) {
        return Ok(());
    }
    look(context, |stop| matches!(stop, Stop::Removed)).await
}

/// The same before a question that a run which was stopped, in whatever way, does not put any more.
pub(super) async fn may_begin(context: &RunContext) -> Result<(), Stop> {
    look(context, |_| true).await
}

async fn look(context: &RunContext, ends: fn(&Stop) -> bool) -> Result<(), Stop> {
    loop {
        let begun = Instant::now();
        if let Some(stop) = stop_asked(&context.shared, &context.lease).await?.filter(ends) {
            return Err(stop);
        }
        context.seen.note(begun);
        if begun.elapsed() < SEND_BY {
            return Ok(());
        }
    }
}

impl Seen {
    fn at(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, begun: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
    }
}
