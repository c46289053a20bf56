//! Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, by a secret that one webhook has alone.

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferry_domain::{Error, Result};
use ferry_vault::{KeyId, Vault, VaultError};
use secrecy::SecretString;
use std::ops::Deref;

/// Bytes of a secret; the specification takes 24 to 64.
const BYTES: usize = 32;
/// What a secret's text begins with.
const PREFIX: &str = "whsec_";

/// A signing secret. It cannot be printed.
pub(crate) struct SigningSecret<B>(B);

impl SigningSecret<[u8; BYTES]> {
    /// A new one.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).map_err(|error| Error::internal("a secret cannot be made", error))?;
        Ok(Self(bytes))
    }

    /// Seals it under the key of its webhook, which is durable before anything refers to it.
    pub(crate) fn seal(&self, vault: &Vault, id: &KeyId, field: &str) -> Result<Vec<u8>, VaultError> {
        vault.ensure_key(id)?;
        vault.seal(id, field, &self.0)
    }

    /// As its owner gets it, once.
    pub(crate) fn text(&self) -> SecretString {
        SecretString::from(format!("{PREFIX}{}", STANDARD.encode(self.0)))
    }
}

impl<B: Deref<Target = Vec<u8>>> SigningSecret<B> {
    /// One that the vault has opened.
    pub(crate) fn opened(bytes: B) -> Self {
        Self(bytes)
    }

    /// The value of the header `webhook-signature`. Neither id nor time may hold a full stop.
    pub(crate) fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut signed = hmac::Context::with_key(&key);
        signed.update(format!("{id}.{unix_seconds}.").as_bytes());
        signed.update(body);
        format!("v1,{}", STANDARD.encode(signed.sign()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use secrecy::ExposeSecret;

    /// Out of the tests of the reference libraries (`libraries/python/tests/test_webhooks.py`).
    #[test]
    fn the_published_vector_is_signed_as_published() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = SigningSecret::opened(Box::new(secret));
        let signature = signed.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_secret_is_32_bytes_that_nobody_had_before() {
        let [one, other] = [(); 2].map(|()| SigningSecret::random().unwrap().text().expose_secret().to_owned());
        assert_ne!(one, other);
        assert_eq!(STANDARD.decode(one.strip_prefix("whsec_").unwrap()).unwrap().len(), BYTES);
    }
}
