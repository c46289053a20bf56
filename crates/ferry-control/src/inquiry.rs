//! Questions to a destination while a caller waits. Each takes a slot of the account's lane, like every request of a
//! run: so they count for its limits, and respect a wait that the destination asked for.

use ferry_destinations::activecampaign::{AccountUser, ActiveCampaign, CallError, Fields};
use ferry_domain::{Error, Result, Timestamp};
use ferry_lanes::{Class, Lane, Slot};
use std::sync::Arc;
use std::time::Duration;

/// How long a question waits for its slot: a caller is better told to come back than kept.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait after a rate limit answer that names none (the destination's time).
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(1);

/// What the destination answered, or why it did not.
type Answer<T> = std::result::Result<T, CallError>;

/// An account that may be asked.
pub(crate) struct Inquiry {
    destination: ActiveCampaign,
    lane: Lane,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Inquiry {
    pub(crate) fn new(
        destination: ActiveCampaign,
        lane: Lane,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self { destination, lane, clock }
    }

    /// Whether the account takes the key.
    pub(crate) async fn verify(&self) -> Result<Answer<AccountUser>> {
        self.ask(self.destination.verify()).await
    }

    /// The name of a list; nothing if there is none with this number.
    pub(crate) async fn list(&self, id: u32) -> Result<Answer<Option<String>>> {
        self.ask(self.destination.list(id)).await
    }

    /// The custom fields.
    pub(crate) async fn fields(&self) -> Result<Answer<Fields>> {
        let mut fields = Fields::default();
        while let Some(next) = fields.next_page() {
            match self.ask(self.destination.fields(next)).await? {
                Ok(page) => fields.add(page),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(fields))
    }

    async fn ask<T>(&self, question: impl Future<Output = Answer<T>>) -> Result<Answer<T>> {
        let slot = self.slot().await?;
        let answer = question.await;
        if let Err(CallError::RateLimited { retry_after }) = &answer {
            self.lane.asked_to_wait(retry_after.unwrap_or(RATE_LIMIT_WAIT), (self.clock)()).await?;
        }
        slot.answered();
        Ok(answer)
    }

    async fn slot(&self) -> Result<Slot> {
        let busy = || Error::DestinationBusy { retry_after: self.lane.held_for().unwrap_or(PATIENCE) };
        if self.lane.held_for().is_some_and(|wait| wait > PATIENCE) {
            return Err(busy());
        }
        let slot = tokio::time::timeout(PATIENCE, self.lane.slot(Class::Other)).await;
        slot.ok().flatten().ok_or_else(busy)
    }
}
