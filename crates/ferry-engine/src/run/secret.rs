//! The secret of a run's connection, opened or read when the run begins.

use super::{retry, vault_failure};
use crate::context::Context;
use crate::failure::{self, Stop};
use ferry_domain::{Connection, Culprit, Reason, Severity};
use ferry_secrets::{SecretError, SecretReference};
use ferry_store::{Lease, StoredSecret};
use ferry_vault::{KeyId, Purpose, VaultError};
use secrecy::SecretString;

/// Times that a store of secrets is asked before the run gives up (about half a minute in all).
const ATTEMPTS: u32 = 5;

pub(super) async fn open(
    shared: &Context,
    lease: &Lease,
    connection: &Connection,
    secret: StoredSecret,
) -> Result<SecretString, Stop> {
    let (mut version, mut secret) = (connection.secret_version, secret);
    loop {
        let sealed = match &secret {
            StoredSecret::Reference(text) => return resolve(shared, lease.run().tenant.as_str(), text).await,
            StoredSecret::Sealed(sealed) => sealed,
        };
        let tenant = lease.run().tenant.as_str();
        let id = KeyId::new(tenant, &connection.uid, Purpose::Secret { version }).map_err(vault_failure)?;
        match shared.vault.unseal(&id, StoredSecret::FIELD, sealed) {
            Ok(key) => return Ok(SecretString::from(String::from_utf8_lossy(&key).into_owned())),
            // Replaced between the claim and now, and the old key destroyed: the new one holds.
            Err(VaultError::NoKey) => match shared.store.secret_in_force(lease).await? {
                Some((newer, stored)) if newer > version => (version, secret) = (newer, stored),
                _ => return Err(vault_failure(VaultError::NoKey)),
            },
            Err(error) => return Err(vault_failure(error)),
        }
    }
}

/// The secret that a connection names, read now: one that was changed or taken back there holds for this run.
async fn resolve(shared: &Context, tenant: &str, text: &str) -> Result<SecretString, Stop> {
    let reference = SecretReference::parse(text).map_err(|error| {
        tracing::error!(%error, "a stored reference to a secret cannot be read");
        failure::internal("the reference to this connection's secret cannot be read")
    })?;
    let mut attempt = 0;
    loop {
        let error = match shared.secrets.resolve(tenant, &reference).await {
            Ok(secret) => return Ok(secret),
            Err(error) => error,
        };
        attempt += 1;
        if !error.is_temporary() {
            return Err(secret_unavailable(Severity::Permanent, &error));
        }
        if attempt >= ATTEMPTS {
            return Err(secret_unavailable(Severity::Temporary, &error));
        }
        tokio::select! {
            () = shared.shutdown.cancelled() => return Err(Stop::Shutdown),
            () = tokio::time::sleep(retry::backoff(attempt - 1, retry::random())) => {}
        }
    }
}

fn secret_unavailable(severity: Severity, error: &SecretError) -> Stop {
    failure::failed(Reason::SecretUnavailable, Culprit::User, severity, error.to_string())
}
