//! The sender of notifications: claims what is due and POSTs it, many at once, one at a time to each webhook and a few
//! to those of one tenant, so that a receiver that is slow or dead keeps nobody else's waiting.
//!
//! What is due is a row; nothing here is kept in memory that matters. A process that dies leaves its claims to their
//! lease, and then they are due again: what was sent is sent again then, under the same id.

use crate::Control;
use crate::cloud_event::CloudEvent;
use crate::post::Posted;
use ferry_domain::Result;
use ferry_store::{Delivery, DeliveryOutcome, DueWebhook};
use ferry_telemetry::{Delivered, Telemetry};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_secs(1);
/// Attempts at once.
const AT_ONCE: usize = 256;
/// Of one tenant.
const OF_A_TENANT: usize = 4;
/// Nothing is sent later than this after the look at the store that saw the webhook and its tenant in their place.
const SEND_BY: Duration = Duration::from_millis(400);
/// Waits between attempts, as Standard Webhooks recommends; after the last attempt it is given up.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(20 * 3_600),
    Duration::from_secs(24 * 3_600),
];
/// The longest wait that a receiver may ask for.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

impl Control {
    /// Sends what is due until it is dropped. What was on its way then is sent again by the next start.
    pub async fn keep_deliveries(&self, telemetry: Telemetry) {
        for outcome in Delivered::ALL {
            telemetry.delivered(outcome, 0);
        }
        let mut sending = Sending::default();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => self.finish_webhook_removals().await,
                Some(ended) = sending.tasks.join_next_with_id() => sending.ended(ended),
            }
            if let Err(error) = self.send_due(&mut sending, &telemetry).await {
                tracing::error!(?error, "what is to be sent to webhooks cannot be read; trying again");
            }
        }
    }

    /// Begins attempts until nothing is due that may begin now.
    async fn send_due(&self, sending: &mut Sending, telemetry: &Telemetry) -> Result<()> {
        loop {
            let free = AT_ONCE.saturating_sub(sending.tasks.len());
            if free == 0 {
                return Ok(());
            }
            let (webhooks, tenants) = (sending.webhooks(), sending.full_tenants());
            let due = self.store().deliveries_due(self.now(), (&webhooks, &tenants), free as u64).await?;
            if due.is_empty() {
                return Ok(());
            }
            for due in due {
                if sending.of_tenant(due.tenant()) < OF_A_TENANT {
                    let (control, telemetry) = (self.clone(), telemetry.clone());
                    sending.begin(due.clone(), async move { control.deliver(due, &telemetry).await });
                }
            }
        }
    }

    /// One attempt, from its claim to what came of it on record.
    async fn deliver(self, due: DueWebhook, telemetry: &Telemetry) {
        let webhook = due.uid().to_owned();
        if let Err(error) = self.attempt(due, telemetry).await {
            // The claim's lease ends by itself. Without a pause a store that fails would be asked all the time.
            tracing::error!(webhook, ?error, "a notification cannot be sent; trying again");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn attempt(&self, due: DueWebhook, telemetry: &Telemetry) -> Result<()> {
        let begun = Instant::now();
        let Some(delivery) = self.store().delivery_claim(due, self.now()).await? else { return Ok(()) };
        ferry_domain::failpoint!("delivery-claimed");
        if begun.elapsed() >= SEND_BY {
            return self.store().delivery_record(&delivery, DeliveryOutcome::NotTried, self.now()).await;
        }
        let event = CloudEvent::of(&delivery.notification);
        let posted = self.post(&delivery.webhook, delivery.sealed_secret.clone(), &event).await;
        // A key or a row that cannot be used is a failed attempt too: for ever is too long.
        let posted = posted.unwrap_or_else(|error| {
            tracing::error!(webhook = %delivery.webhook.name, ?error, "a notification cannot be signed or sent");
            Posted::failed()
        });
        ferry_domain::failpoint!("delivery-answered");
        let (outcome, told) = self.outcome(&delivery, &posted);
        self.store().delivery_record(&delivery, outcome, self.now()).await?;
        telemetry.delivered(told, 1);
        let (name, notification) = (delivery.webhook.name.to_string(), delivery.notification.name.to_string());
        let (status, cause) = (posted.status, posted.message);
        match told {
            Delivered::Taken => tracing::debug!(webhook = name, notification, "a notification was taken"),
            Delivered::Failed => tracing::debug!(webhook = name, notification, status, cause, "not taken; again later"),
            Delivered::GivenUp => {
                tracing::warn!(
                    webhook = name,
                    notification,
                    status,
                    cause,
                    "a notification is given up: nobody took it"
                );
            }
            Delivered::Gone => tracing::warn!(webhook = name, "the receiver is gone (410); the webhook is disabled"),
        }
        Ok(())
    }

    fn outcome(&self, delivery: &Delivery, posted: &Posted) -> (DeliveryOutcome, Delivered) {
        if posted.is_taken() {
            return (DeliveryOutcome::Taken, Delivered::Taken);
        }
        if posted.is_gone() {
            return (DeliveryOutcome::Gone, Delivered::Gone);
        }
        let Some(wait) = wait(delivery.attempts, posted.retry_after, jitter()) else {
            return (DeliveryOutcome::GivenUp, Delivered::GivenUp);
        };
        // A simulated receiver has its own time, as simulated destinations have.
        let wait = if posted.is_development { self.parts.lanes.scale().real(wait) } else { wait };
        (DeliveryOutcome::Again(self.now().plus(wait)), Delivered::Failed)
    }
}

/// How long to wait after so many attempts before and one that has just failed; nothing after the last. A receiver may
/// ask for more, within bounds, and not for less.
fn wait(attempts_before: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
    let wait = WAITS.get(usize::try_from(attempts_before).ok()?)?.mul_f64(1.0 + jitter / 5.0);
    Some(wait.max(asked.unwrap_or_default().min(LONGEST)))
}

/// From 0 to 1, so that what failed together is not repeated together.
fn jitter() -> f64 {
    let mut byte = [0; 1];
    // Without randomness there is no jitter, and nothing worse.
    let _none = aws_lc_rs::rand::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

/// The attempts that are on their way, by the tasks that make them.
#[derive(Default)]
struct Sending {
    tasks: JoinSet<()>,
    of: HashMap<tokio::task::Id, DueWebhook>,
}

impl Sending {
    fn begin(&mut self, due: DueWebhook, attempt: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(attempt);
        self.of.insert(task.id(), due);
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(?error, "an attempt to send a notification ended badly");
                error.id()
            }
        };
        self.of.remove(&id);
    }

    fn webhooks(&self) -> Vec<String> {
        self.of.values().map(|due| due.uid().to_owned()).collect()
    }

    fn of_tenant(&self, tenant: &str) -> usize {
        self.of.values().filter(|due| due.tenant() == tenant).count()
    }

    fn full_tenants(&self) -> Vec<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for due in self.of.values() {
            *counts.entry(due.tenant()).or_default() += 1;
        }
        let full = counts.into_iter().filter(|(_, count)| *count >= OF_A_TENANT);
        full.map(|(tenant, _)| tenant.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_end_and_are_no_shorter_than_asked_within_bounds() {
        let day = Duration::from_secs(24 * 3_600);
        assert_eq!(wait(0, None, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(wait(0, None, 1.0), Some(Duration::from_secs(6)));
        assert_eq!(wait(8, None, 0.0), Some(day));
        assert_eq!(wait(9, None, 0.0), None, "ten attempts");
        assert_eq!(wait(0, Some(Duration::from_secs(90)), 0.5), Some(Duration::from_secs(90)));
        assert_eq!(wait(1, Some(Duration::from_secs(1)), 0.0), Some(Duration::from_secs(300)));
        assert_eq!(wait(0, Some(day * 9), 0.0), Some(day), "nobody is kept for longer");
    }
}
