//! What a data key is for.

use crate::VaultError;

/// The kind of thing that a data key seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// One version of a connection's credentials; or the signing secret of a webhook, whose uid stands in the place of a
    /// connection's.
    Secret {
        /// The version; each new API key has a new one.
        version: u32,
    },
    /// A connection's sealed files, for as long as it lives.
    File,
    /// A tenant's identity digests; it outlives connections, and its key names none.
    Identity,
}

/// The name of a data key: whose it is and what it seals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId {
    tenant: String,
    connection: String,
    purpose: Purpose,
}

impl KeyId {
    /// `connection` is the connection's uid; empty for [`Purpose::Identity`].
    pub fn new(tenant: &str, connection: &str, purpose: Purpose) -> Result<Self, VaultError> {
        let names_connection = purpose != Purpose::Identity;
        if !is_name(tenant)
            || (names_connection && !is_name(connection))
            || (!names_connection && !connection.is_empty())
        {
            return Err(VaultError::KeyName(format!("{tenant}/{connection}")));
        }
        Ok(Self { tenant: tenant.to_owned(), connection: connection.to_owned(), purpose })
    }

    /// The file's name in the key store; letters, digits and hyphens alone, so it cannot leave the folder.
    pub(crate) fn file_name(&self) -> String {
        let Self { tenant, connection, purpose } = self;
        match purpose {
            Purpose::Secret { version } => format!("{tenant}.{connection}.secret.{version}"),
            Purpose::File => format!("{tenant}.{connection}.file"),
            Purpose::Identity => format!("{tenant}.identity"),
        }
    }

    /// What the file names of all keys of a tenant begin with. No tenant's name holds a dot, so none begins another's.
    pub(crate) fn tenant_prefix(tenant: &str) -> Result<String, VaultError> {
        Self::new(tenant, "", Purpose::Identity)?;
        Ok(format!("{tenant}."))
    }

    /// The same, of all keys of a connection.
    pub(crate) fn connection_prefix(tenant: &str, connection: &str) -> Result<String, VaultError> {
        Self::new(tenant, connection, Purpose::File)?;
        Ok(format!("{tenant}.{connection}."))
    }

    /// The parts that every value under this key authenticates.
    pub(crate) fn context(&self, field: &str) -> Vec<u8> {
        let version = match self.purpose {
            Purpose::Secret { version } => version,
            Purpose::File | Purpose::Identity => 0,
        };
        crate::aead::framed(&[
            self.tenant.as_bytes(),
            self.connection.as_bytes(),
            field.as_bytes(),
            &version.to_be_bytes(),
        ])
    }
}

/// Whether a file in the key store can be one of its keys; a folder like `lost+found` is not.
pub(crate) fn is_file_name(text: &str) -> bool {
    let mut parts = text.split('.');
    text == crate::derive::ROOT
        || crate::audit::generation_of(text).is_some()
        || (parts.clone().count() > 1 && parts.all(is_name))
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(allowed)
}
