//! The checks.

use super::keys::{KeySource, Keys};
use super::strict::Strict;
use ferry_domain::authz::{Actor, Role};
use ferry_domain::{TenantId, Timestamp};
use ferry_egress::Egress;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    /// Tokens that live longer are refused.
    pub max_lifetime: Duration,
    /// How far clocks may differ; at most 30 s.
    pub leeway: Duration,
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
            max_lifetime: Duration::from_secs(24 * 3_600),
            leeway: Duration::from_secs(15),
        }
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
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
const SUBJECT_BYTES: usize = 255;

/// Verifies tokens.
pub struct Verifier {
    config: AuthnConfig,
    keys: Keys,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Verifier {
    /// Refuses a configuration that would believe everybody, and one whose keys cannot be read.
    pub async fn new(
        config: AuthnConfig,
        egress: Egress,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Self, String> {
        if config.issuer.is_empty() || config.audience.is_empty() {
            return Err("an issuer and an audience must be configured; without them any token would do".to_owned());
        }
        if config.leeway > Duration::from_secs(30) {
            return Err("the leeway of token times is at most 30 s".to_owned());
        }
        let keys = Keys::new(config.keys.clone(), egress);
        keys.load().await.map_err(|error| format!("the issuer's key set cannot be read: {error}"))?;
        Ok(Self { config, keys, clock })
    }

    /// Verifies the values of the `authorization` header.
    pub async fn verify(&self, values: &[&[u8]]) -> Result<Actor, Refused> {
        let token = bearer(values)?;
        let header_part = token.split('.').next().unwrap_or_default();
        let header = strict_header(header_part)?;
        let parsed = decode_header(token).map_err(|_| Refused::Header)?;
        check_header(&header)?;
        if !ALGORITHMS.contains(&parsed.alg) {
            return Err(Refused::Algorithm);
        }
        let kid = parsed.kid.as_deref().filter(|kid| kid.len() <= 255).ok_or(Refused::Header)?;
        let key = self.keys.find(kid).await.ok_or(Refused::UnknownKey)?;
        if !key.is_for(parsed.alg) {
            return Err(Refused::Algorithm);
        }
        let decoded = decode::<Strict>(token, &key.decoding, &self.validation(parsed.alg));
        let Strict(claims) = decoded.map_err(|_| Refused::Signature)?.claims;
        self.actor(claims.as_object().ok_or(Refused::Claims)?)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation
    }

    fn actor(&self, claims: &Map<String, Value>) -> Result<Actor, Refused> {
        let ours = |text: &str| text == self.config.audience;
        let audience = match claims.get("aud") {
            Some(Value::String(text)) => ours(text),
            Some(Value::Array(list)) => {
                list.iter().all(Value::is_string) && list.iter().filter_map(Value::as_str).any(ours)
            }
            _ => false,
        };
        let issuer = claims.get("iss").and_then(Value::as_str) == Some(self.config.issuer.as_str());
        let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| is_subject(subject));
        let (true, true, Some(subject)) = (audience, issuer, subject) else { return Err(Refused::Claims) };
        let expire_time = self.check_times(claims)?;
        let operator = match claims.get(&self.config.operator_claim) {
            None => false,
            Some(Value::Bool(operator)) => *operator,
            Some(_) => return Err(Refused::Claims),
        };
        let tenants = roles(claims.get(&self.config.tenants_claim))?;
        Ok(Actor::new(subject.to_owned(), tenants, operator, expire_time))
    }

    /// All times are whole seconds, and the token does not live for ever.
    fn check_times(&self, claims: &Map<String, Value>) -> Result<Timestamp, Refused> {
        let now = (self.clock)().as_millis() / 1_000;
        let seconds = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().filter(|time| *time >= 0).map(Some).ok_or(Refused::Claims),
        };
        let leeway = i64::try_from(self.config.leeway.as_secs()).unwrap_or(30);
        let longest = i64::try_from(self.config.max_lifetime.as_secs()).unwrap_or(i64::MAX);
        let exp = seconds("exp")?.ok_or(Refused::Claims)?;
        let issued = seconds("iat")?.unwrap_or(now);
        seconds("nbf")?;
        if issued > now + leeway || exp <= now - leeway {
            return Err(Refused::Lifetime);
        }
        if exp.saturating_sub(issued.min(now)) > longest {
            return Err(Refused::Lifetime);
        }
        Ok(Timestamp::from_millis(exp.saturating_mul(1_000)))
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

fn strict_header(part: &str) -> Result<Map<String, Value>, Refused> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Header)?;
    let Strict(header) = serde_json::from_slice(&bytes).map_err(|_| Refused::Header)?;
    match header {
        Value::Object(header) => Ok(header),
        _ => Err(Refused::Header),
    }
}

/// What would change how the token is read is refused; keys that it brings along are never looked at.
fn check_header(header: &Map<String, Value>) -> Result<(), Refused> {
    if ["crit", "b64", "zip", "enc"].iter().any(|name| header.contains_key(*name)) {
        return Err(Refused::Header);
    }
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(typ))
            if ["jwt", "at+jwt", "application/at+jwt"].contains(&typ.to_ascii_lowercase().as_str()) =>
        {
            Ok(())
        }
        Some(_) => Err(Refused::Header),
    }
}

fn is_subject(subject: &str) -> bool {
    !subject.is_empty() && subject.len() <= SUBJECT_BYTES && !subject.chars().any(char::is_control)
}

/// A word that is no role is not "no role": the token is refused.
fn roles(claim: Option<&Value>) -> Result<BTreeMap<TenantId, Role>, Refused> {
    let Some(claim) = claim else { return Ok(BTreeMap::new()) };
    let entries = claim.as_object().ok_or(Refused::Claims)?;
    entries
        .iter()
        .map(|(tenant, role)| {
            let tenant = TenantId::parse(tenant).map_err(|_| Refused::Claims)?;
            let role = role.as_str().and_then(Role::parse).ok_or(Refused::Claims)?;
            Ok((tenant, role))
        })
        .collect()
}
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
