//! What the claims of a token must say.

use super::verify::{AuthnConfig, Refused};
use ferry_domain::authz::{Role, Token};
use ferry_domain::{TenantId, Timestamp};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const SUBJECT_BYTES: usize = 255;
/// Claims that no access token has: the hashes in an ID token of what was issued beside it (OpenID Connect Core, 3.3.2.11;
/// `s_hash` is FAPI's), and the events of a logout token (RFC 8417, 2.2).
const OF_OTHERS: [&str; 4] = ["at_hash", "c_hash", "s_hash", "events"];

/// The token, if all its claims hold at `now`.
pub(super) fn read(config: &AuthnConfig, claims: &Map<String, Value>, now: Timestamp) -> Result<Token, Refused> {
    if !is_ours(config, claims.get("aud")) || claims.get("iss").and_then(Value::as_str) != Some(&config.issuer) {
        return Err(Refused::Claims);
    }
    let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| is_subject(subject));
    let subject = subject.ok_or(Refused::Claims)?.to_owned();
    let (issue_time, expire_time) = check_times(config, claims, now)?;
    let operator = match claims.get(&config.operator_claim) {
        None => false,
        Some(Value::Bool(operator)) => *operator,
        Some(_) => return Err(Refused::Claims),
    };
    let lists_tenants = claims.contains_key(&config.tenants_claim);
    let tenants = roles(claims.get(&config.tenants_claim))?;
    Ok(Token { subject, tenants, lists_tenants, operator, issue_time, expire_time })
}

/// Whether the claims are those of an access token. A header that says `at+jwt` (RFC 9068, 2.1; RFC 8725, 3.11) needs
/// no such look. Entra ID says `JWT` for access and ID tokens alike (its claims references), others say nothing, so
/// the rules for the kinds have to exclude each other (RFC 8725, 3.12):
///
/// - A token that names its kind is believed: Cognito's `token_use` is `access` or `id`; Keycloak's `typ` is `Bearer`,
///   or `ID`, `Refresh`, `Offline`, `Logout`, `DPoP`.
/// - `nonce` is for ID tokens (OpenID Connect Core, 2), but Keycloak before 25 put it into all its tokens (its upgrading
///   guide). So it ends a token that does not name its kind.
///
/// What stays: an ID token without a mark, from a client of our own name. `aud` tells it (RFC 8725, 3.9), so our name
/// must not be a client that people sign in to.
pub(super) fn is_access_token(claims: &Map<String, Value>) -> bool {
    let is = |name: &str, kind: &str| claims.get(name).map(|value| value == kind);
    let named = [is("token_use", "access"), is("typ", "Bearer")];
    let other = OF_OTHERS.iter().any(|name| claims.contains_key(*name));
    let nonce = claims.contains_key("nonce") && !named.contains(&Some(true));
    !named.contains(&Some(false)) && !other && !nonce
}

/// `aud` is our name or a list of names with ours among them (RFC 7519, 4.1.3).
fn is_ours(config: &AuthnConfig, audience: Option<&Value>) -> bool {
    let ours = |text: &str| text == config.audience;
    match audience {
        Some(Value::String(text)) => ours(text),
        Some(Value::Array(list)) => {
            list.iter().all(Value::is_string) && list.iter().filter_map(Value::as_str).any(ours)
        }
        _ => false,
    }
}

/// All times are whole seconds, and the token does not live for ever. When it was issued (at the earliest), and when
/// it ends.
fn check_times(
    config: &AuthnConfig,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Refused> {
    let now = now.as_millis() / 1_000;
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().filter(|time| *time >= 0).map(Some).ok_or(Refused::Claims),
    };
    let whole = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let (leeway, longest) = (whole(config.leeway), whole(config.max_lifetime));
    let exp = seconds("exp")?.ok_or(Refused::Claims)?;
    let claimed = seconds("iat")?;
    let begins = claimed.max(seconds("nbf")?).unwrap_or(now);
    if begins > now + leeway || exp <= now - leeway {
        return Err(Refused::Lifetime);
    }
    if exp.saturating_sub(claimed.unwrap_or(now).min(now)) > longest {
        return Err(Refused::Lifetime);
    }
    let issued = claimed.unwrap_or_else(|| exp.saturating_sub(longest));
    Ok((Timestamp::from_millis(issued.saturating_mul(1_000)), Timestamp::from_millis(exp.saturating_mul(1_000))))
}

fn is_subject(subject: &str) -> bool {
    !subject.is_empty() && subject.len() <= SUBJECT_BYTES && !subject.chars().any(char::is_control)
}

/// A word that is no role is not "no role": the token is refused. Without the claim there are no rights.
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
