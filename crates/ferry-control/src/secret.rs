//! The secret of a connection: typed in and sealed here, or named and left in an external store.

use crate::control::key_id;
use crate::inquiry::{Inquiry, Stored};
use crate::{Control, connection::ConnectionInput};
use ferry_destinations::activecampaign::ActiveCampaign;
use ferry_domain::authz::Actor;
use ferry_domain::error::Inside;
use ferry_domain::{Connection, Error, Reason, Result, TenantId, Violations, limits};
use ferry_egress::HostName;
use ferry_secrets::{SecretError, SecretReference};
use ferry_store::StoredSecret;
use ferry_vault::Purpose;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

const KEY: &str = "connection.settings.activecampaign.api_key";
const REFERENCE: &str = "connection.settings.activecampaign.secret_reference";

/// A secret as a caller gave it.
pub(crate) enum GivenSecret {
    Key(SecretString),
    Reference(SecretReference),
}

impl Control {
    /// The one secret of an input: a key or a reference, never both.
    pub(crate) fn given_secret(
        &self,
        tenant: &TenantId,
        input: &ConnectionInput,
        violations: &mut Violations,
    ) -> Option<GivenSecret> {
        if input.secret_reference.is_empty() {
            check_key(&input.api_key, violations);
            return Some(GivenSecret::Key(SecretString::from(input.api_key.clone())));
        }
        if !input.api_key.is_empty() {
            violations.add(REFERENCE, "stands beside api_key; give one of them");
            return None;
        }
        let reference = violations.check(REFERENCE, SecretReference::parse(&input.secret_reference))?;
        match self.parts.secrets.check(tenant.as_str(), &reference) {
            Ok(()) => Some(GivenSecret::Reference(reference)),
            Err(error @ SecretError::NotConfigured(_)) => {
                violations.add_because(Reason::NotImplemented, REFERENCE, error.to_string());
                None
            }
            Err(error) => {
                violations.add(REFERENCE, error.to_string());
                None
            }
        }
    }

    /// The secret itself, wherever it lies.
    pub(crate) async fn given_value(&self, tenant: &TenantId, given: &GivenSecret) -> Result<SecretString> {
        match given {
            GivenSecret::Key(key) => Ok(key.clone()),
            GivenSecret::Reference(reference) => self.resolve(tenant, reference).await,
        }
    }

    async fn resolve(&self, tenant: &TenantId, reference: &SecretReference) -> Result<SecretString> {
        let resolved = self.parts.secrets.resolve(tenant.as_str(), reference).await;
        resolved.map_err(|error| {
            if error.is_temporary() {
                return Error::Unavailable(Inside(error.to_string()));
            }
            Error::precondition(Reason::SecretUnavailable, "SECRET", reference.to_string(), error.to_string())
        })
    }

    /// Makes a secret storable: a key is sealed under its version's own data key, which is durable before anything
    /// refers to it.
    pub(crate) async fn store_secret(
        &self,
        tenant: &str,
        uid: &str,
        version: u32,
        given: GivenSecret,
    ) -> Result<StoredSecret> {
        let key = match given {
            GivenSecret::Reference(reference) => return Ok(StoredSecret::Reference(reference.to_string())),
            GivenSecret::Key(key) => key,
        };
        let id = key_id(tenant, uid, Purpose::Secret { version })?;
        let sealed = self.keys(move |vault| {
            vault.ensure_key(&id)?;
            vault.seal(&id, StoredSecret::FIELD, key.expose_secret().as_bytes())
        });
        Ok(StoredSecret::Sealed(sealed.await?))
    }

    /// The destination behind a stored connection, ready to be asked.
    pub(crate) async fn destination(
        &self,
        actor: &Actor,
        connection: &Connection,
        secret: &StoredSecret,
    ) -> Result<Inquiry> {
        let tenant = &connection.name.tenant;
        let key = match secret {
            StoredSecret::Sealed(sealed) => {
                let purpose = Purpose::Secret { version: connection.secret_version };
                let id = key_id(tenant.as_str(), &connection.uid, purpose)?;
                let sealed = sealed.clone();
                let key = self.keys(move |vault| vault.unseal(&id, StoredSecret::FIELD, &sealed)).await?;
                SecretString::from(String::from_utf8_lossy(&key).into_owned())
            }
            StoredSecret::Reference(text) => {
                let reference = SecretReference::parse(text)
                    .map_err(|error| Error::internal("a stored reference cannot be read", error))?;
                self.resolve(tenant, &reference).await?
            }
        };
        let (store, actor) = (self.store().clone(), actor.clone());
        let stored = Stored { store, actor, name: connection.name.clone(), uid: connection.uid.clone() };
        Ok(self.destination_with(&connection.host, key).await?.while_stored(stored))
    }

    /// The destination at a host with a key.
    pub(crate) async fn destination_with(&self, host: &str, key: SecretString) -> Result<Inquiry> {
        let not_allowed = |text: String| Error::precondition(Reason::HostNotAllowed, "HOST", host, text);
        let name = HostName::parse(host).map_err(|error| not_allowed(error.to_string()))?;
        let destination = ActiveCampaign::new(&self.parts.egress, &name, key);
        let destination = destination.map_err(|error| not_allowed(error.to_string()))?;
        let lane = self.parts.lanes.lane(host, self.now()).await?;
        Ok(Inquiry::new(destination, lane, Arc::clone(&self.parts.clock)))
    }
}

fn check_key(key: &str, violations: &mut Violations) {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > limits::API_KEY_BYTES || !visible {
        violations.add(KEY, format!("must have 1 to {} visible ASCII characters", limits::API_KEY_BYTES));
    }
}
