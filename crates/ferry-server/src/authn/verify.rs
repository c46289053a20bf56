//! The checks, in their order: form, header, key, signature, claims.

use super::claims;
use super::keys::{KeySource, Keys};
use super::strict::Strict;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferry_domain::Timestamp;
use ferry_domain::authz::Token;
use ferry_egress::Egress;
use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// The one clock that decides about tokens and about the age of keys.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What is believed.
#[derive(Debug, Clone)]
pub struct AuthnConfig {
    /// The one issuer.
    pub issuer: String,
    /// Our name in `aud`.
    pub audience: String,
    /// Its keys.
    pub keys: KeySource,
    /// The claim with the roles, from tenant to role.
    pub tenants_claim: String,
    /// The claim that opens the operator's plane.
    pub operator_claim: String,
    /// Tokens that live longer are refused; at most a day.
    pub max_lifetime: Duration,
    /// How far clocks may differ; at most 30 s.
    pub leeway: Duration,
    /// How long reading the key set may take; at most 10 s.
    pub fetch_deadline: Duration,
}

impl AuthnConfig {
    /// The usual names and bounds.
    #[must_use]
    pub fn new(issuer: String, audience: String, keys: KeySource) -> Self {
        Self {
            issuer,
            audience,
            keys,
            tenants_claim: "tenants".to_owned(),
            operator_claim: "operator".to_owned(),
            max_lifetime: LONGEST_LIFETIME,
            leeway: LONGEST_LEEWAY,
            fetch_deadline: LONGEST_FETCH,
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.issuer.trim().is_empty() || self.audience.trim().is_empty() {
            return Err("an issuer and an audience must be configured; without them any token would do".to_owned());
        }
        if self.leeway > LONGEST_LEEWAY {
            return Err(format!("the leeway of token times is at most {} s", LONGEST_LEEWAY.as_secs()));
        }
        if self.max_lifetime > LONGEST_LIFETIME {
            return Err(format!("the lifetime of tokens is at most {} s", LONGEST_LIFETIME.as_secs()));
        }
        if self.fetch_deadline > LONGEST_FETCH {
            return Err(format!("the deadline of reading the key set is at most {} s", LONGEST_FETCH.as_secs()));
        }
        Ok(())
    }
}

/// A token that is not believed. The reason is for the log; callers get one text for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Refused {
    NoToken,
    NotBearer,
    TooLong,
    Header,
    Algorithm,
    UnknownKey,
    Signature,
    Claims,
    Lifetime,
}

/// Tokens are at most this long.
const TOKEN_BYTES: usize = 8 * 1024;
const KID_BYTES: usize = 255;
const LONGEST_LEEWAY: Duration = Duration::from_secs(30);
const LONGEST_FETCH: Duration = Duration::from_secs(10);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// Verifies tokens.
pub struct Verifier {
    config: AuthnConfig,
    keys: Keys,
    clock: Clock,
}

impl Verifier {
    /// Refuses a configuration that would believe everybody, and a key file that cannot be read. An issuer that cannot
    /// be reached is waited for, see [`Verifier::ready`].
    pub async fn new(config: AuthnConfig, egress: Egress, clock: Clock) -> Result<Self, String> {
        config.check()?;
        let keys = Keys::load(config.keys.clone(), config.fetch_deadline, egress, Arc::clone(&clock)).await;
        let keys = keys.map_err(|error| format!("the issuer's key set cannot be read: {error}"))?;
        Ok(Self { config, keys, clock })
    }

    /// Whether the issuer's keys were ever read. Before, every token is refused.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.keys.are_known()
    }

    /// Asks the issuer until its keys were read once, at most every 30 s.
    pub async fn ready(&self) {
        self.keys.known().await;
    }

    /// Verifies the values of the `authorization` header.
    pub async fn verify(&self, values: &[&[u8]]) -> Result<Token, Refused> {
        let token = bearer(values)?;
        let (message, signature) = token.rsplit_once('.').ok_or(Refused::NotBearer)?;
        let (header, payload) = message.split_once('.').ok_or(Refused::NotBearer)?;
        let header = object(header).ok_or(Refused::Header)?;
        let is_marked = check_header(&header)?;
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(algorithm).ok_or(Refused::Algorithm)?;
        let kid = header.get("kid").and_then(Value::as_str).filter(|kid| kid.len() <= KID_BYTES);
        let key = self.keys.find(kid.ok_or(Refused::Header)?).await.ok_or(Refused::UnknownKey)?;
        if !key.is_for(algorithm) {
            return Err(Refused::Algorithm);
        }
        if !crypto::verify(signature, message.as_bytes(), &key.decoding, algorithm).is_ok_and(|good| good) {
            return Err(Refused::Signature);
        }
        let claims = object(payload).ok_or(Refused::Claims)?;
        if !is_marked && !claims::is_access_token(&claims) {
            return Err(Refused::Claims);
        }
        claims::read(&self.config, &claims, (self.clock)())
    }
}

/// The one token of the one header.
fn bearer<'a>(values: &[&'a [u8]]) -> Result<&'a str, Refused> {
    let [value] = values else {
        return Err(if values.is_empty() { Refused::NoToken } else { Refused::NotBearer });
    };
    if value.len() > TOKEN_BYTES + "Bearer ".len() {
        return Err(Refused::TooLong);
    }
    let text = std::str::from_utf8(value).map_err(|_| Refused::NotBearer)?;
    let (scheme, token) = text.split_once(' ').ok_or(Refused::NotBearer)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !scheme.eq_ignore_ascii_case("bearer") || !token.bytes().all(plain) || token.split('.').count() != 3 {
        return Err(Refused::NotBearer);
    }
    Ok(token)
}

/// A part of a token, in its one encoding.
fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match serde_json::from_slice(&bytes).ok()? {
        Strict(Value::Object(map)) => Some(map),
        Strict(_) => None,
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "PS256" => Some(Algorithm::PS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// What would change how the token is read is refused; keys that it brings along (`jwk`, `jku`, `x5u`, `x5c`) are
/// never looked at. Whether it is marked as an access token.
fn check_header(header: &Map<String, Value>) -> Result<bool, Refused> {
    if ["crit", "b64", "zip", "enc", "cty"].iter().any(|name| header.contains_key(*name)) {
        return Err(Refused::Header);
    }
    let Some(typ) = header.get("typ") else { return Ok(false) };
    match typ.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("at+jwt" | "application/at+jwt") => Ok(true),
        Some("jwt") => Ok(false),
        _ => Err(Refused::Header),
    }
}
