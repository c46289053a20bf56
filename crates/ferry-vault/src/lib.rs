//! Envelope encryption.
//!
//! Each secret and each connection's sealed files have a *data key* of their own. Data keys lie wrapped in the key
//! store, a folder outside the database; the *key-encryption keys* that wrap them lie in a key file. Destroying a data
//! key makes everything under it unreadable, whatever copies of the database exist.
//!
//! A new key-encryption key re-wraps the data keys and leaves what they seal as it is. The old one stays in the key file
//! until no data key names it; then it can be retired, and old copies of wrapped keys, in backups or in freed blocks of
//! the disk, open no more.
//!
//! Sealing is AES-256-GCM by aws-lc-rs. What a sealed value belongs to (tenant, connection, field, version, format) is
//! authenticated with it, so a value copied to another row does not open. There is no mode without encryption.

mod aead;
mod audit;
mod cache;
mod config;
mod derive;
mod key_file;
mod key_id;
mod key_ring;
mod key_store;
mod rewrap;
mod rotation;
#[cfg(test)]
mod tests;
mod vault;
mod wrapped;

pub use audit::AuditSeed;
pub use config::{KeySource, VaultConfig};
pub use key_id::{KeyId, Purpose};
pub use rotation::Survey;
pub use vault::Vault;

/// Why something could not be sealed or opened. Never holds a key or a plaintext.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file or the key store cannot be used as it is.
    #[error("{0}")]
    Setup(String),
    /// Another process holds the key store.
    #[error("the key store is in use by another process: a service, or `ferry keys rotate`; only one may hold it")]
    InUse,
    /// A file could not be read or written.
    #[error("{what}: {cause}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's word.
        cause: std::io::Error,
    },
    /// An identifier cannot be used in a key's name.
    #[error("`{0}` cannot name a key: only a to z, 0 to 9 and hyphens, at most 63 characters")]
    KeyName(String),
    /// The data key does not exist: it was never made, or was destroyed.
    #[error("the key does not exist; it was destroyed, or its store was not restored")]
    NoKey,
    /// It was sealed for something else, or was changed, or the key is another.
    #[error("a sealed value does not open: it was changed, moved, or sealed under another key")]
    Sealed,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl VaultError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| Self::Io { what, cause }
    }
}
