//! Keys that are derived from a root key, for what only this service reads. The root key lies in the key store,
//! wrapped like the others, so a new key-encryption key changes nothing that was derived.

use crate::aead::{self, KEY_BYTES, Key};
use crate::{Vault, VaultError};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

/// The root key's name in the key store. Every other key's name holds a dot.
pub(crate) const ROOT: &str = "root";
/// Random bytes in front of a token, from which its key is derived.
const TOKEN_SALT: usize = 16;

impl Vault {
    /// A key derived for one use, named by `label`; the same for as long as the key store lives.
    pub fn derive(&self, label: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        self.derive_from(&[label.as_bytes()])
    }

    /// Seals under a key that is bound to `label`; for tokens that only this service reads. Each token has a key of its
    /// own, so there is no bound on how many are made.
    pub fn seal_token(&self, label: &str, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut token = vec![0; TOKEN_SALT];
        aws_lc_rs::rand::fill(&mut token).map_err(|_| VaultError::Crypto)?;
        let key = self.derive_from(&[label.as_bytes(), &token])?;
        token.extend_from_slice(&aead::seal(&key, context, plaintext)?);
        Ok(token)
    }

    /// Opens what [`Vault::seal_token`] made for the same label and context.
    pub fn unseal_token(&self, label: &str, context: &[u8], token: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (salt, sealed) = token.split_at_checked(TOKEN_SALT).ok_or(VaultError::Sealed)?;
        aead::unseal(&self.derive_from(&[label.as_bytes(), salt])?, context, sealed)
    }

    fn derive_from(&self, info: &[&[u8]]) -> Result<Key, VaultError> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                KEY_BYTES
            }
        }
        let derived = Salt::new(HKDF_SHA256, b"ferry").extract(self.open_key(ROOT)?.as_slice());
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        derived
            .expand(&[&aead::framed(info)], Length)
            .and_then(|okm| okm.fill(key.as_mut()))
            .map_err(|_| VaultError::Crypto)?;
        Ok(key)
    }
}
