//! Tokens that must not be believed, and those that must.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::authn::DevelopmentIssuer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferry_egress::EgressConfig;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

struct Bench {
    issuer: DevelopmentIssuer,
    verifier: Verifier,
    _folder: tempfile::TempDir,
}

fn system_now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let issuer = DevelopmentIssuer::open(folder.path()).unwrap();
    let keys = KeySource::File(issuer.jwks().to_owned());
    let config = AuthnConfig::new("https://issuer.test".to_owned(), "ferry".to_owned(), keys);
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let clock = Arc::new(|| Timestamp::from_millis(system_now() * 1_000));
    let verifier = Verifier::new(config, egress, clock).await.unwrap();
    Bench { issuer, verifier, _folder: folder }
}

fn claims() -> Value {
    let now = system_now();
    json!({"iss": "https://issuer.test", "aud": "ferry", "sub": "ada", "iat": now, "exp": now + 600,
        "tenants": {"acme": "administrator"}})
}

impl Bench {
    async fn token(&self, token: &str) -> Result<Actor, Refused> {
        self.verifier.verify(&[format!("Bearer {token}").as_bytes()]).await
    }

    async fn claims(&self, claims: &Value) -> Result<Actor, Refused> {
        self.token(&self.issuer.sign(claims).unwrap()).await
    }

    async fn with(&self, name: &str, value: Value) -> Result<Actor, Refused> {
        let mut changed = claims();
        changed[name] = value;
        self.claims(&changed).await
    }
}

#[tokio::test]
async fn a_good_token_becomes_an_actor() {
    let bench = bench().await;
    let actor = bench.claims(&claims()).await.unwrap();
    assert_eq!(actor.subject(), "ada");
    assert_eq!(actor.role_in(&TenantId::parse("acme").unwrap()), Some(Role::Administrator));
    assert!(!actor.is_operator());
    assert!(bench.with("aud", json!(["other", "ferry"])).await.is_ok(), "a list that holds our name");
    assert!(bench.with("operator", json!(true)).await.unwrap().is_operator());
}

#[tokio::test]
async fn claims_that_are_missing_or_of_another_kind_are_refused() {
    let bench = bench().await;
    for name in ["iss", "aud", "sub", "exp"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        assert!(bench.claims(&without).await.is_err(), "{name} is missing");
        for value in [json!(null), json!(7.5), json!({"a": 1}), json!(true), json!([1]), json!("")] {
            assert!(bench.with(name, value.clone()).await.is_err(), "{name} is {value}");
        }
    }
    assert!(bench.with("iss", json!(["evil", "https://issuer.test"])).await.is_err());
    for issuer in ["https://issuer.test/", "HTTPS://issuer.test", "https://issuer.tes", "https://issuer.test "] {
        assert!(bench.with("iss", json!(issuer)).await.is_err(), "{issuer}");
    }
    assert!(bench.with("aud", json!(["ferry", 1])).await.is_err());
    assert!(bench.with("sub", json!("a\u{0}b")).await.is_err());
    assert!(bench.with("sub", json!("a".repeat(256))).await.is_err());
}

#[tokio::test]
async fn times_are_kept() {
    let bench = bench().await;
    let now = system_now();
    for (name, value) in [
        ("exp", json!(now - 60)),
        ("exp", json!(now + 100_000)),
        ("exp", json!(-1)),
        ("exp", json!("9999999999")),
        ("exp", json!(1e300)),
        ("exp", json!(253_402_300_799_i64)),
        ("nbf", json!(now + 300)),
        ("nbf", json!("soon")),
        ("iat", json!(now + 300)),
        ("iat", json!(now - 100_000)),
    ] {
        assert!(bench.with(name, value.clone()).await.is_err(), "{name} {value}");
    }
    assert!(bench.with("exp", json!(now - 5)).await.is_ok(), "clocks may differ a little");
}

#[tokio::test]
async fn roles_are_words_that_are_known() {
    let bench = bench().await;
    for tenants in [
        json!([]),
        json!("acme"),
        json!({"acme": "root"}),
        json!({"acme": ["viewer"]}),
        json!({"A": "viewer"}),
        json!({"acme": 1}),
    ] {
        assert!(bench.with("tenants", tenants.clone()).await.is_err(), "{tenants}");
    }
    assert!(bench.with("operator", json!("true")).await.is_err());
    let mut none = claims();
    none.as_object_mut().unwrap().remove("tenants");
    assert!(bench.claims(&none).await.is_ok(), "a token without roles is a token");
}

#[tokio::test]
async fn signatures_and_algorithms_are_kept() {
    let bench = bench().await;
    let good = bench.issuer.sign(&claims()).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, payload) = message.split_once('.').unwrap();
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None", "kid": "development"}),
        json!({"alg": "HS256", "kid": "development"}),
        json!({"alg": "ES256", "kid": "development"}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "EdDSA", "kid": "other"}),
        json!({"alg": "EdDSA", "kid": 7}),
        json!({"alg": "EdDSA", "kid": "development", "crit": ["x"]}),
        json!({"alg": "EdDSA", "kid": "development", "b64": false}),
        json!({"alg": "EdDSA", "kid": "development", "typ": "id_token"}),
    ] {
        let encoded = URL_SAFE_NO_PAD.encode(header.to_string());
        for end in [signature, ""] {
            assert!(bench.token(&format!("{encoded}.{payload}.{end}")).await.is_err(), "{header}");
        }
    }
    for cut in [signature.len() - 2, 10, 0] {
        assert!(bench.token(&format!("{message}.{}", &signature[..cut])).await.is_err());
    }
    let other = self::bench().await;
    let forged = encode(&header(), &claims(), &EncodingKey::from_secret(b"secret"));
    assert!(forged.is_err() || bench.token(&forged.unwrap()).await.is_err());
    assert!(bench.token(&other.issuer.sign(&claims()).unwrap()).await.is_err(), "another key of the same id");
}

fn header() -> Header {
    Header { kid: Some("development".to_owned()), ..Header::new(Algorithm::HS256) }
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused() {
    let bench = bench().await;
    let text = r#"{"alg":"EdDSA","alg":"EdDSA","kid":"development"}"#;
    let good = bench.issuer.sign(&claims()).unwrap();
    let (_, rest) = good.split_once('.').unwrap();
    assert!(bench.token(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(text))).await.is_err());
    let doubled = serde_json::from_str::<Strict>(r#"{"tenants":{"acme":"viewer","acme":"administrator"}}"#);
    assert!(doubled.is_err());
}

#[tokio::test]
async fn the_header_value_has_one_form() {
    let bench = bench().await;
    let token = bench.issuer.sign(&claims()).unwrap();
    let bearer = format!("Bearer {token}");
    assert!(bench.verifier.verify(&[bearer.as_bytes()]).await.is_ok());
    assert!(bench.verifier.verify(&[format!("bearer {token}").as_bytes()]).await.is_ok(), "the scheme's case is free");
    assert_eq!(bench.verifier.verify(&[]).await, Err(Refused::NoToken));
    assert_eq!(bench.verifier.verify(&[bearer.as_bytes(), bearer.as_bytes()]).await, Err(Refused::NotBearer));
    for value in [
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer  {token}"),
        format!("Bearer {token}="),
        "Bearer a.b".to_owned(),
        "Bearer a.b.c.d.e".to_owned(),
    ] {
        assert_eq!(bench.verifier.verify(&[value.as_bytes()]).await, Err(Refused::NotBearer));
    }
    let long = format!("Bearer {}", "a".repeat(9_000));
    assert_eq!(bench.verifier.verify(&[long.as_bytes()]).await, Err(Refused::TooLong));
}

#[tokio::test]
async fn without_issuer_or_audience_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = DevelopmentIssuer::open(folder.path()).unwrap();
    for (name, audience) in [("", "ferry"), ("https://issuer.test", "")] {
        let keys = KeySource::File(issuer.jwks().to_owned());
        let config = AuthnConfig::new(name.to_owned(), audience.to_owned(), keys);
        let egress = Egress::new(EgressConfig::default()).unwrap();
        assert!(Verifier::new(config, egress, Arc::new(|| Timestamp::from_millis(0))).await.is_err());
    }
}
