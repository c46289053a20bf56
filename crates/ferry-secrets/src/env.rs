//! `env:` references: variables of the service's environment.

use crate::value::key;
use crate::{ConfigError, SecretError, StoreKind};
use ferry_domain::TenantId;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// Reads a variable. Only the binary knows the environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<SecretString> + Send + Sync>;

pub(crate) struct EnvStore {
    prefix: String,
    environment: Environment,
}

impl EnvStore {
    pub(crate) fn new(prefix: String, environment: Environment) -> Result<Self, ConfigError> {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if !prefix.starts_with(|first: char| first.is_ascii_uppercase()) || !prefix.bytes().all(plain) {
            return Err(ConfigError::EnvPrefix(prefix));
        }
        Ok(Self { prefix, environment })
    }

    pub(crate) fn read(&self, tenant: &TenantId, name: &str) -> Result<SecretString, SecretError> {
        let variable = variable(&self.prefix, tenant, name);
        let value = (self.environment)(&variable).ok_or(SecretError::Missing(StoreKind::Env))?;
        key(value.expose_secret(), StoreKind::Env)
    }
}

/// No two pairs of tenant and name have one variable: a name has no two underscores in a row and begins with a letter,
/// and a tenant ends with no hyphen, so the last two underscores in a row are always the ones in between. A tenant has
/// no capitals and no underscores, so nothing of it is lost.
pub(crate) fn variable(prefix: &str, tenant: &TenantId, name: &str) -> String {
    let tenant = tenant.as_str().to_ascii_uppercase().replace('-', "_");
    format!("{prefix}{tenant}__{name}")
}
