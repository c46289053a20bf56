//! The removal of a connection: tombstone, then keys, then the answer.

use crate::connection::parse;
use crate::export_run::new_run_id;
use crate::{Control, etag};
use ferry_domain::authz::action::DeleteConnection;
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{RemovalReceipt, Result, Violations};
use ferry_store::{Removal, RemovalAsked, RemovedConnection};
use serde::Serialize;
use std::time::Duration;

/// A removal that could not be finished, or a run whose end was not seen, is looked for again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// Longer than an intent, or a look at the store before a question, is good for (400 ms): what began before the tombstone
/// has been sent by then, or never is. No longer than it must be, since somebody waits.
const ALL_HAS_BEGUN: Duration = Duration::from_millis(450);

/// Removes a connection.
#[derive(Serialize)]
pub struct DeleteConnectionCommand {
    /// Which.
    pub name: String,
    /// The etag that was seen.
    pub etag: String,
    /// Although exports use it.
    pub force: bool,
    /// And take off the list those whom it put there.
    pub retract: bool,
    /// The caller's request id.
    pub request_id: String,
}

impl Control {
    /// Removes a connection. When it returns a receipt with a time, its keys are destroyed and no request to its
    /// destination begins any more.
    pub async fn delete_connection(&self, actor: &Actor, command: DeleteConnectionCommand) -> Result<RemovalReceipt> {
        let name = parse("name", &command.name)?;
        permit::<DeleteConnection>(actor, name.clone())?.spend();
        let mut violations = Violations::new();
        let seen_version = etag::parse("etag", &command.etag, &mut violations);
        if command.retract && !command.force {
            violations.add("retract", "needs force: its runs stop and its exports lose it");
        }
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        let (force, retract) = (command.force, command.retract);
        let asked = RemovalAsked { seen_version, force, retract, new_run: new_run_id };
        let removing =
            self.granted(|store| Ok(store.connection_delete(permit::<DeleteConnection>(actor, name)?, asked, write)))?;
        let control = self.clone();
        self.to_its_end(async move {
            match removing.await? {
                Removal::Told(receipt) => Ok(receipt),
                Removal::Tombstoned(removed) => control.after_tombstone(&removed).await,
            }
        })
        .await
    }

    async fn after_tombstone(&self, removed: &RemovedConnection) -> Result<RemovalReceipt> {
        ferry_domain::failpoint!("connection-tombstoned");
        // What still uses a key has it in memory, so nothing waits for what the other does.
        let ((), keys) = tokio::join!(tokio::time::sleep(ALL_HAS_BEGUN), self.destroy(removed));
        self.note_destroyed(removed, keys?).await
    }

    /// From then on nothing that was sealed for the connection can be opened, wherever a copy of it lies.
    async fn destroy(&self, removed: &RemovedConnection) -> Result<u64> {
        let (tenant, uid) = (removed.tenant().to_owned(), removed.uid().to_owned());
        let keys = self.keys(move |vault| vault.destroy_connection(&tenant, &uid)).await?;
        ferry_domain::failpoint!("connection-keys-destroyed");
        Ok(keys as u64)
    }

    async fn note_destroyed(&self, removed: &RemovedConnection, keys: u64) -> Result<RemovalReceipt> {
        let receipt = self.store().connection_destroyed(removed, keys, self.now()).await?;
        ferry_domain::failpoint!("connection-removal-recorded");
        Ok(receipt)
    }

    /// Finishes the removals that a crash interrupted, before anything else is done at a start.
    pub(crate) async fn finish_connection_removals(&self) -> Result<()> {
        for removed in self.store().connections_to_destroy().await? {
            tracing::info!(tenant = removed.tenant(), uid = removed.uid(), "the removal of a connection goes on");
            let finished = async { self.note_destroyed(&removed, self.destroy(&removed).await?).await };
            if let Err(error) = finished.await {
                tracing::error!(?error, "a connection's removal cannot be finished; call DeleteConnection again");
            }
        }
        Ok(())
    }

    /// Removes the connections of which the last person was taken off the lists. Runs until it is dropped.
    pub async fn remove_retracted(&self) {
        let mut changes = self.store().changes();
        loop {
            if let Err(error) = self.finish_retractions().await {
                tracing::error!(?error, "retracted connections could not be removed; trying again");
            }
            tokio::select! {
                _ = changes.changed() => {}
                // The end of a run wakes nobody.
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    async fn finish_retractions(&self) -> Result<()> {
        for removed in self.store().connections_retracted(self.now()).await? {
            let control = self.clone();
            self.to_its_end(async move { control.after_tombstone(&removed).await }).await?;
        }
        Ok(())
    }
}
