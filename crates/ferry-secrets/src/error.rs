//! What a tenant and what an operator is told. Neither text holds a secret, and a tenant's holds nothing of the
//! operator's: no path, address, prefix or variable.

use std::fmt;

/// The kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// The environment of the service.
    Env,
    /// Files.
    File,
    /// HashiCorp Vault, KV version 2.
    Vault,
}

/// A reference that gives no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The operator has not set up this kind of store.
    #[error("this service has no store for `{0}:` references; ask its operator, or give the key itself")]
    NotConfigured(StoreKind),
    /// The name of the tenant cannot name anything in a store.
    #[error("this tenant may not use `{0}:` references")]
    NotAllowed(StoreKind),
    /// Nothing is there, or it has been deleted.
    #[error("the `{0}:` reference names no secret of this tenant; check its spelling, or put the secret there")]
    Missing(StoreKind),
    /// The store does not let the service read it.
    #[error("the store of the `{0}:` reference refuses this service; its operator must let it read the secret")]
    Denied(StoreKind),
    /// The store asks for fewer requests.
    #[error("the store of the `{0}:` reference is busy; try again later")]
    Busy(StoreKind),
    /// The store is sealed or under maintenance.
    #[error("the store of the `{0}:` reference is sealed or under maintenance; its operator must unseal it")]
    Sealed(StoreKind),
    /// The store gives no usable answer.
    #[error("the store of the `{0}:` reference cannot be read; try again later, or ask the operator")]
    Unreachable(StoreKind),
    /// What is there is no API key.
    #[error("what the `{0}:` reference names is no key: it must be a text of 1 to 1024 visible ASCII characters")]
    Malformed(StoreKind),
}

/// A configuration of stores that cannot be used. For the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The prefix of variables has another form.
    #[error("`{0}` is no prefix of variables: it must begin with A to Z and consist of A to Z, 0 to 9 and `_`")]
    EnvPrefix(String),
    /// The root is no folder, or not by its whole path.
    #[error("`{0}` is no folder for secrets: it must exist and be given by its whole path")]
    FileRoot(String),
    /// A mount, prefix or namespace has another form.
    #[error("`{0}` is no path in a store: it must be parts of letters, digits, `.`, `_` and `-`, separated by `/`")]
    VaultPath(String),
    /// The client for the store cannot be made.
    #[error("the store's client cannot be made: {0}")]
    Client(#[from] ferry_egress::EgressError),
}

impl SecretError {
    /// Whether the same reference may give a secret later without anybody changing anything at it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Sealed(_) | Self::Unreachable(_) => true,
            Self::NotConfigured(_) | Self::NotAllowed(_) | Self::Missing(_) | Self::Denied(_) | Self::Malformed(_) => {
                false
            }
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Vault => "vault",
        })
    }
}
