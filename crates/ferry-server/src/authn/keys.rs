//! The issuer's public keys: a file or an address, read again when they may have changed.

use ferry_egress::Egress;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Where the key set is.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file in JWKS form.
    File(PathBuf),
    /// An https address (or http on loopback) that answers in JWKS form.
    Url(String),
}

/// Nobody can make us fetch more often than this, whatever key ids their tokens name.
const FETCH_FLOOR: Duration = Duration::from_secs(30);
/// Keys are read again after this even if nothing is missing.
const FRESH: Duration = Duration::from_secs(300);
/// After an outage this long the last known keys are no longer believed.
const BELIEVED: Duration = Duration::from_secs(3_600);
const FETCH_DEADLINE: Duration = Duration::from_secs(10);
const SET_BYTES: usize = 1024 * 1024;
/// A modulus of 2,048 bits in base64 without padding.
const RSA_MODULUS_CHARS: usize = 342;

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

struct Known {
    keys: HashMap<String, Key>,
    loaded: Option<Instant>,
    tried: Option<Instant>,
}

pub(super) struct Keys {
    source: KeySource,
    egress: Egress,
    known: Mutex<Known>,
}

impl Keys {
    pub(super) fn new(source: KeySource, egress: Egress) -> Self {
        Self { source, egress, known: Mutex::new(Known { keys: HashMap::new(), loaded: None, tried: None }) }
    }

    /// Reads the set now, to know at the start that it can be read.
    pub(super) async fn load(&self) -> Result<(), String> {
        let keys = self.fetch().await?;
        let mut known = self.known.lock().await;
        let now = Instant::now();
        *known = Known { keys, loaded: Some(now), tried: Some(now) };
        Ok(())
    }

    /// The key of this id.
    pub(super) async fn find(&self, kid: &str) -> Option<Key> {
        let mut known = self.known.lock().await;
        let stale = known.loaded.is_none_or(|at| at.elapsed() > FRESH) || !known.keys.contains_key(kid);
        if stale && known.tried.is_none_or(|at| at.elapsed() > FETCH_FLOOR) {
            known.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    known.keys = keys;
                    known.loaded = Some(Instant::now());
                }
                Err(error) => tracing::warn!(%error, "the issuer's key set cannot be read; the last known keys stay"),
            }
        }
        if known.loaded.is_none_or(|at| at.elapsed() > BELIEVED) {
            return None;
        }
        known.keys.get(kid).cloned()
    }

    async fn fetch(&self) -> Result<HashMap<String, Key>, String> {
        let bytes = match &self.source {
            KeySource::File(path) => {
                tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display()))?
            }
            KeySource::Url(url) => {
                let answer = self.egress.operator_get(url, SET_BYTES, FETCH_DEADLINE).await;
                answer.map_err(|error| format!("{url}: {error}"))?.to_vec()
            }
        };
        parse(&bytes)
    }
}

/// The usable keys of a set; one that names a key id twice is refused as a whole.
fn parse(bytes: &[u8]) -> Result<HashMap<String, Key>, String> {
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| format!("it is no key set: {error}"))?;
    let mut keys = HashMap::new();
    for jwk in &set.keys {
        let Some(kid) = jwk.common.key_id.clone() else { continue };
        let Some(key) = usable(jwk) else { continue };
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
    let algorithms: &'static [Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if rsa.n.len() >= RSA_MODULUS_CHARS => &[Algorithm::RS256, Algorithm::PS256],
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
