//! Which keys of an issuer's set can verify a token, and with which algorithms.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Issuers have a handful of keys; a set of more is not theirs.
const KEYS: usize = 100;
const RSA_BITS: usize = 2_048;

/// A key with the one family of algorithms that it is for.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) decoding: Arc<DecodingKey>,
    algorithms: &'static [Algorithm],
}

impl Key {
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The usable keys of a set; one that names a key id twice is refused as a whole. A key of a kind that is not known is
/// passed over, so that an issuer may add one (RFC 7517, 5).
pub(super) fn parse(bytes: &[u8]) -> Result<HashMap<String, Key>, String> {
    let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("it is no key set: {error}"))?;
    if set.keys.len() > KEYS {
        return Err(format!("it has {} keys; at most {KEYS} are taken", set.keys.len()));
    }
    let mut keys = HashMap::new();
    for jwk in set.keys.iter().filter_map(|key| Jwk::deserialize(key).ok()) {
        let Some(kid) = jwk.common.key_id.clone() else { continue };
        let Some(key) = usable(&jwk) else { continue };
        if keys.insert(kid, key).is_some() {
            return Err("it names a key id twice".to_owned());
        }
    }
    Ok(keys)
}

fn usable(jwk: &Jwk) -> Option<Key> {
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    if jwk.common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let algorithms: &'static [Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if bits(&rsa.n)? >= RSA_BITS => &[Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    // A key that names its algorithm is for that one alone.
    let named = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
    let algorithms = match named.as_deref() {
        None => algorithms,
        Some("RS256") if algorithms.contains(&Algorithm::RS256) => &[Algorithm::RS256],
        Some("PS256") if algorithms.contains(&Algorithm::PS256) => &[Algorithm::PS256],
        Some("ES256") if algorithms.contains(&Algorithm::ES256) => algorithms,
        Some("EdDSA") if algorithms.contains(&Algorithm::EdDSA) => algorithms,
        Some(_) => return None,
    };
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { decoding: Arc::new(decoding), algorithms })
}

/// The length of a modulus. Leading zeros would make a short one look long.
fn bits(modulus: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    let leading = usize::try_from(bytes[first].leading_zeros()).ok()?;
    Some((bytes.len() - first) * 8 - leading)
}
