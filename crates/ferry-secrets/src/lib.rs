//! Secrets that stay in the operator's own store: a connection holds a reference, and the secret is read when it is
//! needed.
//!
//! A tenant writes the reference, so a reference reaches nothing but what the operator has laid out for that tenant:
//! `env:` a variable with the operator's prefix and the tenant's name, `file:` a file in the tenant's folder, `vault:`
//! a path below the tenant's in a HashiCorp Vault KV v2 store. Which stores there are, and where, is the operator's
//! configuration alone.
//!
//! Nothing is kept: each use asks the store, so a secret that is taken back stops with the next run.

mod env;
mod error;
mod file;
mod reference;
mod stores;
mod value;
mod vault_kv;

pub use env::Environment;
pub use error::{ConfigError, SecretError, StoreKind};
pub use reference::{ReferenceError, SecretReference};
pub use stores::{SecretStores, SecretStoresConfig};
pub use vault_kv::VaultKvConfig;

#[cfg(test)]
mod tests;
