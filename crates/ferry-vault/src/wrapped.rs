//! A wrapped data key: `length of the id (2) | id of the key-encryption key | sealed data key`.

use crate::VaultError;
use crate::aead::{self, KEY_BYTES, Key};
use crate::key_ring::KeyRing;
use zeroize::Zeroizing;

pub(crate) struct Wrapped<'a> {
    kek_id: &'a str,
    sealed: &'a [u8],
}

impl<'a> Wrapped<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, VaultError> {
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(VaultError::Sealed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (kek_id, sealed) = rest.split_at_checked(length).ok_or(VaultError::Sealed)?;
        let kek_id = std::str::from_utf8(kek_id).map_err(|_| VaultError::Sealed)?;
        Ok(Self { kek_id, sealed })
    }

    /// Which key-encryption key it names.
    pub(crate) fn kek_id(&self) -> &'a str {
        self.kek_id
    }

    pub(crate) fn open(&self, ring: &KeyRing, name: &str) -> Result<Key, VaultError> {
        let kek = ring.get(self.kek_id).ok_or_else(|| unknown_kek(self.kek_id, name))?;
        let opened = aead::unseal(kek, &context(self.kek_id, name), self.sealed)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(Some(opened.as_slice()).filter(|key| key.len() == KEY_BYTES).ok_or(VaultError::Sealed)?);
        Ok(key)
    }
}

/// Wraps a data key by the current key-encryption key, for one name.
pub(crate) fn wrap(ring: &KeyRing, name: &str, key: &Key) -> Result<Vec<u8>, VaultError> {
    let (kek_id, kek) = ring.current();
    let sealed = aead::seal(kek, &context(kek_id, name), key.as_slice())?;
    let length = u16::try_from(kek_id.len()).map_err(|_| VaultError::KeyName(kek_id.to_owned()))?;
    let mut bytes = Vec::with_capacity(2 + kek_id.len() + sealed.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(kek_id.as_bytes());
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

pub(crate) fn unknown_kek(kek_id: &str, name: &str) -> VaultError {
    VaultError::Setup(format!(
        "there is no key `{kek_id}`, which the data key `{name}` is wrapped by; put it back into the keys, beside the \
         others"
    ))
}

fn context(kek_id: &str, name: &str) -> Vec<u8> {
    aead::framed(&[b"data key", kek_id.as_bytes(), name.as_bytes()])
}
