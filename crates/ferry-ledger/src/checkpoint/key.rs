//! Ed25519 keys of a log, and their text form (C2SP signed-note, "vkey").

use crate::chain::over;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::{Debug, Display, Formatter};
use std::str::FromStr;

/// C2SP's number for Ed25519.
const ED25519_TYPE: u8 = 1;

/// Why a text or a seed is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form name, `+`, key id in hex, `+`, key in Base64.
    #[error("a verifier key looks like `<name>+<8 hex digits>+<base64>`, and this does not")]
    Form,
    /// A name that C2SP does not allow.
    #[error("the name of a key must not be empty and must not hold a space or a plus")]
    Name,
    /// Another algorithm.
    #[error("the key is not an Ed25519 key; others are not supported")]
    Algorithm,
    /// The key id does not belong to this name and key.
    #[error("the key id {0} does not belong to this name and key: has a character been lost or changed?")]
    Id(String),
    /// The library refuses the seed.
    #[error("the seed makes no key")]
    Seed,
}

/// What checks a log's signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '+') {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), public })
    }

    /// Whose key it is; of a log its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Four bytes that tell the keys of one name apart.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash = over(self.name.as_bytes(), &[b"\n", &[ED25519_TYPE], &self.public]);
        [hash[0], hash[1], hash[2], hash[3]]
    }

    pub(crate) fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(text, signature).is_ok()
    }
}

impl Display for VerifierKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(key))
    }
}

impl Debug for VerifierKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // The Base64 may hold a plus, the name may not.
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(KeyError::Form);
        let (name, id, key) = (part()?, part()?, part()?);
        let key = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let Some((&ED25519_TYPE, public)) = key.split_first() else { return Err(KeyError::Algorithm) };
        let key = Self::new(name, public.try_into().map_err(|_| KeyError::Form)?)?;
        if id != format!("{:08x}", u32::from_be_bytes(key.id())) {
            return Err(KeyError::Id(id.to_owned()));
        }
        Ok(key)
    }
}

/// What signs a log's checkpoints. The library wipes the private key's memory when it frees it.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: VerifierKey,
}

impl Signer {
    /// Of a seed, under a name. The seed stays the caller's to wipe.
    ///
    /// # Errors
    /// The name is none that C2SP allows.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Seed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Seed)?;
        Ok(Self { pair, key: VerifierKey::new(name, public)? })
    }

    /// What checks its signatures.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// The signed note of a text, which must end with a line feed.
    #[must_use]
    pub fn sign_note(&self, text: &str) -> String {
        format!("{text}\n{}", self.signature_line(text))
    }

    /// A signature line for a text, to add to a note that others have signed.
    #[must_use]
    pub fn signature_line(&self, text: &str) -> String {
        let mut signature = self.key.id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("\u{2014} {} {}\n", self.key.name, STANDARD.encode(signature))
    }
}

impl Debug for Signer {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.key)
    }
}
