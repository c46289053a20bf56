//! Questions to a destination while a caller waits. Each takes a slot of the account's lane, like every request of a
//! run: so they count for its limits, and respect a wait that the destination asked for.

use ferry_destinations::activecampaign::{AccountUser, ActiveCampaign, CallError, Fields};
use ferry_domain::authz::action::GetConnection;
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{ConnectionName, Error, Result, Timestamp};
use ferry_lanes::{Class, Lane, Slot};
use ferry_store::Store;
use ferry_telemetry::Asks;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a question waits for its slot: a caller is better told to come back than kept.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait after a rate limit answer that names none (the destination's time).
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(1);

/// What the destination answered, or why it did not.
type Answer<T> = std::result::Result<T, CallError>;

/// A question is not put later than this after the look at the store that saw the connection in its place. Whoever
/// removes one waits for longer than that.
const ASK_BY: Duration = Duration::from_millis(400);

/// The stored connection that an account is asked for.
pub(crate) struct Stored {
    pub(crate) store: Store,
    /// Whoever may ask for it may read it.
    pub(crate) actor: Actor,
    pub(crate) name: ConnectionName,
    pub(crate) uid: String,
}

/// An account that may be asked.
pub(crate) struct Inquiry {
    destination: ActiveCampaign,
    lane: Lane,
    /// Nothing while it is only to be stored.
    connection: Option<Stored>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Inquiry {
    pub(crate) fn new(
        destination: ActiveCampaign,
        lane: Lane,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self { destination, lane, connection: None, clock }
    }

    /// For a connection that is stored: nothing is asked once it was removed.
    pub(crate) fn while_stored(self, connection: Stored) -> Self {
        Self { connection: Some(connection), ..self }
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
        if let Err(error) = self.must_be_stored().await {
            slot.unused();
            return Err(error);
        }
        let exchange = self.lane.telemetry().request(Asks {
            destination: self.lane.destination(),
            class: Class::Other.into(),
            attempt: 1,
            batch: None,
            waited: slot.waited(),
        });
        let answer = exchange.around(question).await;
        drop(exchange);
        if let Err(CallError::RateLimited { retry_after }) = &answer {
            self.lane.asked_to_wait(retry_after.unwrap_or(RATE_LIMIT_WAIT), (self.clock)()).await?;
        }
        slot.answered();
        Ok(answer)
    }

    async fn must_be_stored(&self) -> Result<()> {
        let Some(Stored { store, actor, name, uid }) = &self.connection else { return Ok(()) };
        loop {
            let begun = Instant::now();
            let reading = store.connection_get(permit::<GetConnection>(actor, name.clone())?);
            let found = reading.await?;
            if found.uid != *uid {
                return Err(Error::NotFound { kind: "connection", name: name.to_string() });
            }
            if begun.elapsed() < ASK_BY {
                return Ok(());
            }
        }
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
