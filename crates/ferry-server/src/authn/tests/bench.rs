//! An issuer with a key of each kind, a verifier, and a clock that tests move.

use super::super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferry_domain::Timestamp;
use ferry_domain::authz::Token;
use ferry_egress::{Egress, EgressConfig};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://issuer.test";

/// A time that stands still until it is moved.
#[derive(Clone)]
pub(super) struct Time(Arc<AtomicI64>);

impl Time {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NOW * 1_000)))
    }

    pub(super) fn forward(&self, seconds: i64) {
        self.forward_millis(seconds * 1_000);
    }

    pub(super) fn forward_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(super) fn clock(&self) -> Clock {
        let time = Arc::clone(&self.0);
        Arc::new(move || Timestamp::from_millis(time.load(Ordering::SeqCst)))
    }
}

pub(super) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A signing key, and how it stands in the set.
pub(super) enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding, &'static str),
}

impl Signer {
    pub(super) fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    pub(super) fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn rs() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), &signature::RSA_PKCS1_SHA256, "RS256")
    }

    pub(super) fn ps() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), &signature::RSA_PSS_SHA256, "PS256")
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Ec(_) => "ES256",
            Self::Rsa(_, _, name) => name,
        }
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(pair.public_key().as_ref())})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Self::Rsa(pair, _, _) => {
                let public = pair.public_key();
                let n = text(public.modulus().big_endian_without_leading_zero());
                let e = text(public.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": kid, "n": n, "e": e})
            }
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair, padding, _) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &SystemRandom::new(), message, &mut signed).unwrap();
                signed
            }
        }
    }

    /// A token of these two parts, whatever they say.
    pub(super) fn token(&self, header: &str, payload: &str) -> String {
        let message = format!("{header}.{payload}");
        let signed = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signed}")
    }

    pub(super) fn header(&self, kid: &str) -> Value {
        json!({"alg": self.algorithm(), "typ": "at+jwt", "kid": kid})
    }

    pub(super) fn good(&self, kid: &str) -> String {
        self.token(&part(&self.header(kid)), &part(&claims()))
    }
}

pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "ferry", "sub": "ada", "iat": NOW, "exp": NOW + 600,
        "tenants": {"acme": "administrator"}})
}

pub(super) fn config(keys: KeySource) -> AuthnConfig {
    AuthnConfig::new(ISSUER.to_owned(), "ferry".to_owned(), keys)
}

pub(super) struct Bench {
    pub(super) signer: Signer,
    pub(super) verifier: Verifier,
    pub(super) time: Time,
    folder: tempfile::TempDir,
}

impl Bench {
    /// A verifier that knows one key, `main`.
    pub(super) async fn new(signer: Signer) -> Self {
        let set = json!({"keys": [signer.jwk("main")]});
        Self::with(signer, &set).await.unwrap()
    }

    pub(super) async fn with(signer: Signer, set: &Value) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        std::fs::write(&path, set.to_string()).unwrap();
        let time = Time::new();
        let egress = Egress::new(EgressConfig::default()).unwrap();
        let verifier = Verifier::new(config(KeySource::File(path)), egress, time.clock()).await?;
        Ok(Self { signer, verifier, time, folder })
    }

    pub(super) fn set(&self, set: &Value) {
        std::fs::write(self.folder.path().join("jwks.json"), set.to_string()).unwrap();
    }

    pub(super) async fn token(&self, token: &str) -> Result<Token, Refused> {
        self.verifier.verify(&[format!("Bearer {token}").as_bytes()]).await
    }

    /// A well signed token with this header.
    pub(super) async fn header(&self, header: &Value) -> Result<Token, Refused> {
        self.token(&self.signer.token(&part(header), &part(&claims()))).await
    }

    /// A well signed token with one header parameter that differs.
    pub(super) async fn header_with(&self, name: &str, value: Value) -> Result<Token, Refused> {
        let mut header = self.signer.header("main");
        header[name] = value;
        self.header(&header).await
    }

    /// A well signed token with these claims.
    pub(super) async fn claims(&self, claims: &Value) -> Result<Token, Refused> {
        self.token(&self.signer.token(&part(&self.signer.header("main")), &part(claims))).await
    }

    /// A well signed token with one claim that differs.
    pub(super) async fn claim(&self, name: &str, value: Value) -> Result<Token, Refused> {
        let mut changed = claims();
        changed[name] = value;
        self.claims(&changed).await
    }

    /// A well signed token without one claim.
    pub(super) async fn without(&self, name: &str) -> Result<Token, Refused> {
        let mut changed = claims();
        changed.as_object_mut().unwrap().remove(name);
        self.claims(&changed).await
    }
}
