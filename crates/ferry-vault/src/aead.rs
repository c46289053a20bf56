//! AES-256-GCM with a random nonce in front: `format (1) | nonce (12) | ciphertext | tag (16)`.
//!
//! Two values under one key must never share a nonce. Random ones of 96 bits are safe for 2^32 values under one key
//! (the chance that any two are the same is then below 2^-32). No key here comes near, so there is no counter:
//!
//! - A secret's data key seals the fields of one version of one connection's credentials: one value, or as many as a
//!   request to store them is repeated.
//! - A key-encryption key wraps a data key when it is made and when it is re-wrapped: once for each file in the key
//!   store, and 2^32 files do not fit into one.
//! - A token's key is derived anew for each token, see [`crate::Vault::seal_token`].
//! - File keys and identity keys seal nothing here; they are handed to formats of their own.

use crate::VaultError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Raised when the bytes of a sealed value change their meaning.
const FORMAT: u8 = 1;
const HEADER: usize = 1 + NONCE_LEN;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// A key, wiped when it is dropped.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// A new random key.
pub(crate) fn random_key() -> Result<Key, VaultError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| VaultError::Crypto)?;
    Ok(key)
}

/// Joins parts so that no two lists of parts give the same bytes.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

pub(crate) fn seal(key: &Key, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut nonce = [0; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| VaultError::Crypto)?;
    // The plaintext is copied to where it is sealed, so no second copy of it is left behind.
    let mut sealed = Zeroizing::new(Vec::with_capacity(HEADER + plaintext.len() + AES_256_GCM.tag_len()));
    sealed.push(FORMAT);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let text = sealed.get_mut(HEADER..).ok_or(VaultError::Crypto)?;
    let tag = cipher(key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), text)
        .map_err(|_| VaultError::Crypto)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(std::mem::take(&mut *sealed))
}

pub(crate) fn unseal(key: &Key, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let (header, text) = sealed.split_at_checked(HEADER).ok_or(VaultError::Sealed)?;
    let (format, nonce) = header.split_first().ok_or(VaultError::Sealed)?;
    if *format != FORMAT {
        return Err(VaultError::Sealed);
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Sealed)?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = cipher(key)?
        .open_in_place(nonce, Aad::from(context), text.as_mut_slice())
        .map_err(|_| VaultError::Sealed)?
        .len();
    text.truncate(length);
    Ok(text)
}

fn cipher(key: &Key) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new).map_err(|_| VaultError::Crypto)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let key = random_key().unwrap();
        let sealed = seal(&key, b"context", b"a secret").unwrap();
        assert_eq!(unseal(&key, b"context", &sealed).unwrap().as_slice(), b"a secret");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&key, b"context", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(unseal(&key, b"context", &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn another_context_is_refused_and_contexts_cannot_be_confused() {
        let key = random_key().unwrap();
        let sealed = seal(&key, &framed(&[b"ab", b"c"]), b"a secret").unwrap();
        assert!(unseal(&key, &framed(&[b"a", b"bc"]), &sealed).is_err());
        assert!(unseal(&key, &framed(&[b"ab", b"c", b""]), &sealed).is_err());
    }

    /// S6, scaled down: by chance alone, a repeat of 96 random bits in so many has odds of 1 to 10^17.
    #[test]
    fn no_nonce_comes_twice_in_a_million_seals() {
        let key = random_key().unwrap();
        let mut seen = std::collections::HashSet::with_capacity(1_000_000);
        for number in 0..1_000_000 {
            let sealed = seal(&key, b"", b"").unwrap();
            assert!(seen.insert(sealed[1..HEADER].to_vec()), "the nonce of seal {number} is an old one");
        }
    }
}
