//! What the use cases share.

use crate::audit::pins::Pins;
use crate::probe::Probes;
use crate::segment::blocking;
use crate::watch::Hub;
use ferry_destinations::activecampaign::CallError;
use ferry_domain::{Error, Reason, Result, Timestamp};
use ferry_egress::Egress;
use ferry_lanes::Lanes;
use ferry_secrets::SecretStores;
use ferry_store::Store;
use ferry_vault::{KeyId, Purpose, Vault, VaultError};
use std::path::PathBuf;
use std::sync::Arc;

/// The parts a [`Control`] is made of.
pub struct ControlParts {
    /// Where everything is kept.
    pub store: Store,
    /// Seals keys and page tokens.
    pub vault: Vault,
    /// The way to destinations.
    pub egress: Egress,
    /// The ways to destination accounts, which runs take too.
    pub lanes: Arc<Lanes>,
    /// Where secrets lie that connections only name.
    pub secrets: SecretStores,
    /// The folder with a folder of segments for each tenant.
    pub segments_root: PathBuf,
    /// The folder of sealed files.
    pub data_dir: PathBuf,
    /// What lies outside of the database: checkpoints, and who is suppressed.
    pub pins: Pins,
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// The control plane. Clones share their parts.
#[derive(Clone)]
pub struct Control {
    pub(crate) parts: Arc<ControlParts>,
    pub(crate) probes: Probes,
    pub(crate) hub: Hub,
}

impl Control {
    /// Takes the parts.
    #[must_use]
    pub fn new(parts: ControlParts) -> Self {
        Self { parts: Arc::new(parts), probes: Probes::default(), hub: Hub::default() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Begins a store function with the permit that it takes. A permit must not live across an `await`, and in one
    /// expression with it, it would.
    pub(crate) fn granted<F>(&self, begin: impl FnOnce(&Store) -> Result<F>) -> Result<F> {
        begin(&self.parts.store)
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.parts.vault
    }

    /// Work on the key store, off the async threads: it waits for the disk.
    pub(crate) async fn keys<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Vault) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T> {
        let vault = self.vault().clone();
        blocking(move || work(&vault)).await?.map_err(vault_failure)
    }

    /// Carries on although the caller may go away: what comes after a commit must not be left to them. A crash is
    /// another matter.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        tokio::spawn(ferry_telemetry::inherited(work))
            .await
            .map_err(|error| Error::internal("a change ended badly", error))?
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.parts.clock)()
    }
}

pub(crate) fn key_id(tenant: &str, uid: &str, purpose: Purpose) -> Result<KeyId> {
    KeyId::new(tenant, uid, purpose).map_err(vault_failure)
}

pub(crate) fn vault_failure(error: VaultError) -> Error {
    Error::internal("the vault failed", error)
}

/// What a failed call to the destination means, as a reason and a text. `host` is how the text may call it: only
/// administrators may know its name.
pub(crate) fn call_failure(error: &CallError, host: &str) -> (Reason, String) {
    match error {
        CallError::CredentialsRefused | CallError::Forbidden => (
            Reason::CredentialsRefused,
            format!("{host} refused the API key; check it in ActiveCampaign, Settings, Developer"),
        ),
        CallError::AccountLapsed => (Reason::AccountLapsed, format!("the account at {host} has lapsed")),
        CallError::NotFound => {
            (Reason::DestinationFailed, format!("{host} is not an ActiveCampaign account; check the host name"))
        }
        CallError::RateLimited { .. } => {
            (Reason::DestinationRateLimited, format!("the rate limit of {host} is exceeded; try again in a minute"))
        }
        CallError::Unreachable { .. } => {
            (Reason::HostUnreachable, format!("{host} cannot be reached; check the host name"))
        }
        CallError::Failed { .. } => (Reason::DestinationFailed, format!("{host} did not answer properly; try again")),
    }
}
