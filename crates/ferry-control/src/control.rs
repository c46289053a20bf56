//! What the use cases share.

use ferry_destinations::activecampaign::{ActiveCampaign, CallError};
use ferry_domain::{Connection, Error, Reason, Result, Timestamp};
use ferry_egress::{Egress, HostName};
use ferry_store::Store;
use ferry_vault::{KeyId, Purpose, Vault, VaultError};
use secrecy::SecretString;
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
    /// The folder with a folder of segments for each tenant.
    pub segments_root: PathBuf,
    /// The folder of sealed files.
    pub data_dir: PathBuf,
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// The control plane. Clones share their parts.
#[derive(Clone)]
pub struct Control(pub(crate) Arc<ControlParts>);

/// The field under which API keys are sealed; the engine opens them under the same.
const API_KEY_FIELD: &str = "api_key";

impl Control {
    /// Takes the parts.
    #[must_use]
    pub fn new(parts: ControlParts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Begins a store function with the permit that it takes. A permit must not live across an `await`, and in one
    /// expression with it, it would.
    pub(crate) fn granted<F>(&self, begin: impl FnOnce(&Store) -> Result<F>) -> Result<F> {
        begin(&self.0.store)
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// Seals an API key under a version's own data key, which is durable before anything refers to it.
    pub(crate) fn seal_key(&self, tenant: &str, uid: &str, version: u32, key: &[u8]) -> Result<Vec<u8>> {
        let vault = self.vault();
        let id = key_id(tenant, uid, Purpose::Secret { version })?;
        vault.ensure_key(&id).map_err(vault_failure)?;
        vault.seal(&id, API_KEY_FIELD, key).map_err(vault_failure)
    }

    /// The destination behind a stored connection, ready to be asked.
    pub(crate) fn destination(&self, connection: &Connection, sealed: &[u8]) -> Result<ActiveCampaign> {
        let tenant = connection.name.tenant.as_str();
        let id = key_id(tenant, &connection.uid, Purpose::Secret { version: connection.secret_version })?;
        let key = self.vault().unseal(&id, API_KEY_FIELD, sealed).map_err(vault_failure)?;
        self.destination_with(&connection.host, &key)
    }

    /// The destination at a host with a key.
    pub(crate) fn destination_with(&self, host: &str, key: &[u8]) -> Result<ActiveCampaign> {
        let not_allowed = |text: String| Error::precondition(Reason::HostNotAllowed, "HOST", host, text);
        let name = HostName::parse(host).map_err(|error| not_allowed(error.to_string()))?;
        let key = SecretString::from(String::from_utf8_lossy(key).into_owned());
        ActiveCampaign::new(&self.0.egress, &name, key).map_err(|error| not_allowed(error.to_string()))
    }
}

pub(crate) fn key_id(tenant: &str, uid: &str, purpose: Purpose) -> Result<KeyId> {
    KeyId::new(tenant, uid, purpose).map_err(vault_failure)
}

pub(crate) fn vault_failure(error: VaultError) -> Error {
    Error::internal("the vault failed", error)
}

/// What a failed call to the destination means, as a reason and a text.
pub(crate) fn call_failure(error: &CallError, host: &str) -> (Reason, String) {
    match error {
        CallError::CredentialsRefused | CallError::Forbidden => (
            Reason::CredentialsRefused,
            format!("`{host}` refused the API key; check it in ActiveCampaign, Settings, Developer"),
        ),
        CallError::AccountLapsed => (Reason::AccountLapsed, format!("the account at `{host}` has lapsed")),
        CallError::NotFound => {
            (Reason::DestinationFailed, format!("`{host}` is not an ActiveCampaign account; check the host name"))
        }
        CallError::RateLimited { .. } => {
            (Reason::DestinationRateLimited, format!("the rate limit of `{host}` is exceeded; try again in a minute"))
        }
        CallError::Unreachable { .. } => {
            (Reason::HostUnreachable, format!("`{host}` cannot be reached; check the host name"))
        }
        CallError::Failed { .. } => (Reason::DestinationFailed, format!("`{host}` did not answer properly; try again")),
    }
}
