//! The flags of external secret stores.

use anyhow::Context;
use clap::Args;
use ferry_egress::{Egress, OperatorOrigin};
use ferry_secrets::{SecretStores, SecretStoresConfig, VaultKvConfig};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;

/// Where connections may name their secret (`secret_reference`) instead of holding it. Nothing is set up unless given.
#[derive(Args, Default)]
#[command(next_help_heading = "Secrets")]
pub(crate) struct SecretArgs {
    /// `env:NAME` is the variable PREFIX, the tenant in capitals with _ for -, __ and NAME. The prefix ends with its
    /// own separator, like FERRY_SECRET_.
    #[arg(long, env = "FERRY_SECRET_ENV_PREFIX", value_name = "PREFIX")]
    secret_env_prefix: Option<String>,
    /// `file:PATH` is the file PATH in the tenant's folder below this one; no symbolic link is followed in it.
    #[arg(long, env = "FERRY_SECRET_FILE_ROOT", value_name = "FOLDER")]
    secret_file_root: Option<PathBuf>,
    /// `vault:PATH#FIELD` is a field of a secret in HashiCorp Vault (KV version 2) at this address.
    #[arg(long, env = "FERRY_VAULT_ADDR", value_name = "URL", requires = "vault_token_file")]
    vault_addr: Option<String>,
    /// The token for Vault, in a file that is read again for each request.
    #[arg(long, env = "FERRY_VAULT_TOKEN_FILE", value_name = "FILE", requires = "vault_addr")]
    vault_token_file: Option<PathBuf>,
    /// The authority that signed Vault's certificate, in PEM; the system's authorities unless given.
    #[arg(long, env = "FERRY_VAULT_CA", value_name = "FILE", requires = "vault_addr")]
    vault_ca: Option<PathBuf>,
    /// Where the KV engine is mounted in Vault.
    #[arg(long, env = "FERRY_VAULT_MOUNT", default_value = "secret", value_name = "PATH")]
    vault_mount: String,
    /// What stands before the tenant in a path of Vault.
    #[arg(long, env = "FERRY_VAULT_PREFIX", default_value = "ferry", value_name = "PATH")]
    vault_prefix: String,
    /// The namespace in Vault, where there are namespaces.
    #[arg(long, env = "FERRY_VAULT_NAMESPACE", value_name = "NAMESPACE", requires = "vault_addr")]
    vault_namespace: Option<String>,
}

impl SecretArgs {
    /// The stores that were set up.
    pub(crate) fn stores(&self, egress: &Egress) -> anyhow::Result<SecretStores> {
        let config = SecretStoresConfig {
            env_prefix: self.secret_env_prefix.clone(),
            environment: Arc::new(|name: &str| std::env::var(name).ok().map(SecretString::from)),
            file_root: self.secret_file_root.clone(),
            vault: self.vault()?,
        };
        SecretStores::new(config, egress).context("the external secret stores cannot be used")
    }

    fn vault(&self) -> anyhow::Result<Option<VaultKvConfig>> {
        let (Some(address), Some(token_file)) = (&self.vault_addr, &self.vault_token_file) else { return Ok(None) };
        let ca_pem = match &self.vault_ca {
            None => None,
            Some(path) => {
                let pem = std::fs::read_to_string(path);
                Some(pem.with_context(|| format!("--vault-ca: {} cannot be read", path.display()))?)
            }
        };
        Ok(Some(VaultKvConfig {
            address: OperatorOrigin::parse(address).with_context(|| format!("--vault-addr: `{address}`"))?,
            ca_pem,
            mount: self.vault_mount.clone(),
            prefix: self.vault_prefix.clone(),
            namespace: self.vault_namespace.clone(),
            token_file: token_file.clone(),
        }))
    }
}
