//! Against a real environment function, real files and a real server on loopback.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod env;
mod file;
mod kv_server;
mod reference;
mod vault_kv;

use crate::{SecretError, SecretReference, SecretStores, SecretStoresConfig};
use ferry_egress::{Egress, EgressConfig};
use secrecy::ExposeSecret;
use std::sync::Arc;

const TENANT: &str = "acme";

fn egress() -> Egress {
    Egress::new(EgressConfig::default()).unwrap()
}

fn reference(text: &str) -> SecretReference {
    SecretReference::parse(text).unwrap()
}

/// No store at all; a test adds its own.
fn config() -> SecretStoresConfig {
    SecretStoresConfig { env_prefix: None, environment: Arc::new(|_| None), file_root: None, vault: None }
}

async fn resolve(stores: &SecretStores, text: &str) -> Result<String, SecretError> {
    let secret = stores.resolve(TENANT, &reference(text)).await?;
    assert!(!format!("{secret:?}").contains(secret.expose_secret()));
    Ok(secret.expose_secret().to_owned())
}
