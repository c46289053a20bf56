//! The stores that the operator has set up, and the way to them.

use crate::env::EnvStore;
use crate::file::FileStore;
use crate::reference::Form;
use crate::vault_kv::VaultKvStore;
use crate::{ConfigError, Environment, SecretError, SecretReference, VaultKvConfig};
use ferry_domain::TenantId;
use ferry_egress::Egress;
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;

/// What the operator has set up. What is not there cannot be named.
pub struct SecretStoresConfig {
    /// `env:NAME` is the variable of this prefix, the tenant in capitals with `_` for `-`, `__` and the name.
    pub env_prefix: Option<String>,
    /// Reads a variable of the environment.
    pub environment: Environment,
    /// `file:PATH` is the file of this path in the tenant's folder in this folder.
    pub file_root: Option<PathBuf>,
    /// `vault:PATH#FIELD` is a field of the secret of this path below the tenant's in this store.
    pub vault: Option<VaultKvConfig>,
}

/// Reads secrets. Clones share the stores.
#[derive(Clone)]
pub struct SecretStores(Arc<Inner>);

#[derive(Default)]
struct Inner {
    env: Option<EnvStore>,
    file: Option<FileStore>,
    vault: Option<VaultKvStore>,
}

impl SecretStores {
    /// Checks the configuration. Nothing is read yet.
    pub fn new(config: SecretStoresConfig, egress: &Egress) -> Result<Self, ConfigError> {
        let SecretStoresConfig { env_prefix, environment, file_root, vault } = config;
        Ok(Self(Arc::new(Inner {
            env: env_prefix.map(|prefix| EnvStore::new(prefix, environment)).transpose()?,
            file: file_root.map(FileStore::new).transpose()?,
            vault: vault.map(|vault| VaultKvStore::new(vault, egress)).transpose()?,
        })))
    }

    /// No store: every reference is refused.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Whether the store is there and this tenant may name something in it. Nothing is read.
    pub fn check(&self, tenant: &str, reference: &SecretReference) -> Result<(), SecretError> {
        self.allowed(tenant, reference).map(|_| ())
    }

    /// Reads the secret from its store, now.
    pub async fn resolve(&self, tenant: &str, reference: &SecretReference) -> Result<SecretString, SecretError> {
        let tenant = self.allowed(tenant, reference)?;
        let missing = SecretError::NotConfigured(reference.kind());
        match &reference.0 {
            Form::Env { name } => self.0.env.as_ref().ok_or(missing)?.read(&tenant, name),
            Form::File { path } => self.0.file.as_ref().ok_or(missing)?.read(&tenant, path).await,
            Form::Vault { path, field } => self.0.vault.as_ref().ok_or(missing)?.read(&tenant, path, field).await,
        }
    }

    /// The tenant's name becomes part of a variable and of paths; whoever calls, it has the form of one.
    fn allowed(&self, tenant: &str, reference: &SecretReference) -> Result<TenantId, SecretError> {
        let kind = reference.kind();
        let configured = match reference.0 {
            Form::Env { .. } => self.0.env.is_some(),
            Form::File { .. } => self.0.file.is_some(),
            Form::Vault { .. } => self.0.vault.is_some(),
        };
        if !configured {
            return Err(SecretError::NotConfigured(kind));
        }
        TenantId::parse(tenant).map_err(|_| SecretError::NotAllowed(kind))
    }
}

impl std::fmt::Debug for SecretStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { env, file, vault } = &*self.0;
        let there = [("env", env.is_some()), ("file", file.is_some()), ("vault", vault.is_some())];
        f.debug_list().entries(there.iter().filter(|(_, there)| *there).map(|(kind, _)| kind)).finish()
    }
}
