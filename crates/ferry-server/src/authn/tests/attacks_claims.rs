//! Attacks through what a well signed token says.

use super::bench::*;
use crate::authn::Refused;
use serde_json::{Value, json};

#[tokio::test]
async fn a_good_token_is_believed_and_times_are_read() {
    let bench = Bench::new(Signer::ed()).await;
    let token = bench.claims(&claims()).await.unwrap();
    assert_eq!((token.subject.as_str(), token.tenants.len(), token.operator), ("ada", 1, false));
    assert_eq!(token.issue_time.as_millis(), NOW * 1_000);
    assert!(bench.claim("operator", json!(true)).await.unwrap().operator);
    let unissued = bench.without("iat").await.unwrap();
    assert_eq!(unissued.issue_time.as_millis(), (NOW + 600 - 86_400) * 1_000, "the earliest it can be");
}

#[tokio::test]
async fn attacks_18_to_21_and_24_expiry() {
    let bench = Bench::new(Signer::ed()).await;
    assert_eq!(bench.without("exp").await, Err(Refused::Claims));
    for exp in [json!("9999999999"), json!(1.5), json!(-1), json!(1e300), json!(9_223_372_036_854_775_808_u64)] {
        assert_eq!(bench.claim("exp", exp.clone()).await, Err(Refused::Claims), "{exp}");
    }
    assert!(bench.claim("exp", json!(NOW - 1)).await.is_ok(), "clocks may differ by the leeway");
    assert!(bench.claim("exp", json!(NOW)).await.is_ok());
    assert!(bench.claim("exp", json!(NOW - 29)).await.is_ok());
    for past in [30, 31, 59] {
        assert_eq!(bench.claim("exp", json!(NOW - past)).await, Err(Refused::Lifetime), "{past} s ago");
    }
    for far in [NOW + 86_401, 253_402_300_799, i64::MAX] {
        assert_eq!(bench.claim("exp", json!(far)).await, Err(Refused::Lifetime), "{far}");
    }
    assert!(bench.claim("exp", json!(NOW + 86_400)).await.is_ok());
}

#[tokio::test]
async fn attack_22_clock_of_a_replica() {
    for (offset, good) in [(-300, false), (-25, true), (25, true), (300, false)] {
        let bench = Bench::new(Signer::ed()).await;
        bench.time.forward(offset);
        let mut short = claims();
        short["exp"] = json!(NOW + 1);
        assert_eq!(bench.claims(&short).await.is_ok(), good, "{offset} s");
    }
}

#[tokio::test]
async fn attacks_25_and_26_not_yet() {
    let bench = Bench::new(Signer::ed()).await;
    for name in ["nbf", "iat"] {
        assert!(bench.claim(name, json!(NOW + 30)).await.is_ok());
        for later in [31, 61, 300] {
            assert_eq!(bench.claim(name, json!(NOW + later)).await, Err(Refused::Lifetime), "{name} {later}");
        }
        for other in [json!("soon"), json!(null), json!(1.5), json!(-1)] {
            assert_eq!(bench.claim(name, other.clone()).await, Err(Refused::Claims), "{name} {other}");
        }
    }
}

#[tokio::test]
async fn attacks_27_to_29_issuer() {
    let bench = Bench::new(Signer::ed()).await;
    assert_eq!(bench.without("iss").await, Err(Refused::Claims));
    for iss in [json!(7), json!(null), json!({"a": ISSUER}), json!(["evil", ISSUER]), json!([ISSUER]), json!("")] {
        assert_eq!(bench.claim("iss", iss.clone()).await, Err(Refused::Claims), "{iss}");
    }
    let alike = ["https://issuer.test/", "HTTPS://issuer.test", "https://Issuer.test", "https://\u{456}ssuer.test"];
    for iss in alike.into_iter().chain(["https://issuer.tes", "https://issuer.test ", "https://evil.test"]) {
        assert_eq!(bench.claim("iss", json!(iss)).await, Err(Refused::Claims), "{iss}");
    }
}

#[tokio::test]
async fn attack_30_audience_is_ours_or_a_list_with_ours() {
    let bench = Bench::new(Signer::ed()).await;
    assert_eq!(bench.without("aud").await, Err(Refused::Claims));
    for aud in [json!(7), json!(null), json!("other"), json!(["other"]), json!([]), json!(["ferry", 1]), json!("FERRY")]
    {
        assert_eq!(bench.claim("aud", aud.clone()).await, Err(Refused::Claims), "{aud}");
    }
    assert!(bench.claim("aud", json!(["other", "ferry"])).await.is_ok());
}

#[tokio::test]
async fn attack_31_subject() {
    let bench = Bench::new(Signer::ed()).await;
    assert_eq!(bench.without("sub").await, Err(Refused::Claims));
    for sub in [json!(""), json!("a\u{0}b"), json!("a".repeat(256)), json!(7), json!(null)] {
        assert_eq!(bench.claim("sub", sub).await, Err(Refused::Claims));
    }
    assert_eq!(bench.claim("sub", json!("a".repeat(10_240))).await, Err(Refused::TooLong));
}

#[tokio::test]
async fn attacks_32_and_33_tenants_and_roles() {
    let bench = Bench::new(Signer::ed()).await;
    assert!(bench.without("tenants").await.unwrap().tenants.is_empty(), "no claim, no rights");
    let tenants = [json!([]), json!("acme"), json!(null), json!({"ACME": "viewer"}), json!({"": "viewer"})];
    let roles =
        [json!("root"), json!(["viewer"]), json!(["viewer", "administrator"]), json!(1), json!(null), json!("")];
    for claim in tenants.into_iter().chain(roles.into_iter().map(|role| json!({"acme": role}))) {
        assert_eq!(bench.claim("tenants", claim.clone()).await, Err(Refused::Claims), "{claim}");
    }
    for operator in [json!("true"), json!(1), json!(null)] {
        assert_eq!(bench.claim("operator", operator).await, Err(Refused::Claims));
    }
}

#[tokio::test]
async fn attacks_34_and_38_doubled_names_and_other_encodings() {
    let bench = Bench::new(Signer::ed()).await;
    let signed = |text: &[u8]| {
        use base64::Engine;
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        bench.signer.token(&part(&bench.signer.header("main")), &payload)
    };
    let text = claims().to_string();
    assert!(bench.token(&signed(text.as_bytes())).await.is_ok());
    for doubled in [
        text.replace(r#""sub":"ada""#, r#""sub":"ada","sub":"ada""#),
        text.replace(r#""sub":"ada""#, r#""sub":"ada","s\u0075b":"eve""#),
        text.replace(r#""acme":"administrator""#, r#""acme":"viewer","acme":"administrator""#),
        format!("\u{feff}{text}"),
    ] {
        assert_ne!(doubled, text);
        assert_eq!(bench.token(&signed(doubled.as_bytes())).await, Err(Refused::Claims), "{doubled}");
    }
    let mut invalid = text.clone().into_bytes();
    let at = text.find("ada").unwrap();
    invalid[at] = 0xff;
    assert_eq!(bench.token(&signed(&invalid)).await, Err(Refused::Claims));
}

#[tokio::test]
async fn attack_35_tokens_of_another_kind() {
    let bench = Bench::new(Signer::ed()).await;
    for typ in [json!("id_token"), json!("dpop+jwt"), json!("logout+jwt"), json!(""), json!(7), json!(null)] {
        assert_eq!(bench.header_with("typ", typ).await, Err(Refused::Header));
    }
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT", "JWT"] {
        assert!(bench.header_with("typ", json!(typ)).await.is_ok(), "{typ}");
    }
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "main"});
    let with = |marks: &[(&str, Value)]| {
        let mut other = claims();
        for (name, value) in marks {
            other[*name] = value.clone();
        }
        bench.signer.token(&part(&header), &part(&other))
    };
    let nonce = ("nonce", json!("n"));
    let keycloak = ["ID", "Refresh", "Offline", "Logout", "DPoP", "bearer", ""];
    let kinds = keycloak.map(|kind| ("typ", json!(kind))).into_iter().chain([("token_use", json!("id"))]);
    let shapes = [("typ", json!(null)), ("token_use", json!(["access"]))];
    let hashes = ["at_hash", "c_hash", "s_hash"].map(|name| (name, json!("h")));
    let others = [nonce.clone(), ("events", json!({}))];
    for mark in kinds.chain(shapes).chain(hashes).chain(others) {
        assert_eq!(bench.token(&with(std::slice::from_ref(&mark))).await, Err(Refused::Claims), "{mark:?}");
    }
    for kind in [("typ", json!("Bearer")), ("token_use", json!("access"))] {
        assert!(bench.token(&with(std::slice::from_ref(&kind))).await.is_ok(), "{kind:?}");
        assert!(bench.token(&with(&[kind.clone(), nonce.clone()])).await.is_ok(), "{kind:?} of Keycloak before 25");
        let hashed = with(&[kind.clone(), ("at_hash", json!("h"))]);
        assert_eq!(bench.token(&hashed).await, Err(Refused::Claims), "{kind:?} with a hash");
    }
    let mixed = with(&[("typ", json!("Bearer")), ("token_use", json!("id"))]);
    assert_eq!(bench.token(&mixed).await, Err(Refused::Claims));
}

#[tokio::test]
async fn access_tokens_of_common_issuers_are_believed() {
    let bench = Bench::new(Signer::ed()).await;
    // As their documents show them, with our names in the place of theirs.
    let entra = json!({"ver": "2.0", "azp": "client", "azpacr": "1", "scp": "ferry.use", "oid": "o", "tid": "t",
        "uti": "u", "rh": "r", "nbf": NOW});
    let auth0 = json!({"aud": ["ferry", "https://issuer.test/userinfo"], "azp": "client", "scope": "openid profile"});
    let keycloak = json!({"typ": "Bearer", "azp": "client", "nonce": "n", "sid": "s", "acr": "1", "jti": "j"});
    let cognito = json!({"token_use": "access", "client_id": "client", "auth_time": NOW, "version": 2, "jti": "j"});
    for (issuer, theirs) in [("Entra ID", entra), ("Auth0", auth0), ("Keycloak", keycloak), ("Cognito", cognito)] {
        let mut all = claims();
        for (name, value) in theirs.as_object().unwrap() {
            all[name] = value.clone();
        }
        for header in [json!({"alg": "EdDSA", "typ": "JWT", "kid": "main"}), json!({"alg": "EdDSA", "kid": "main"})] {
            let token = bench.signer.token(&part(&header), &part(&all));
            assert!(bench.token(&token).await.is_ok(), "{issuer} {header}");
        }
    }
}

#[tokio::test]
async fn attack_36_another_environment_of_the_same_issuer_has_another_audience() {
    let bench = Bench::new(Signer::ed()).await;
    for aud in ["ferry-staging", "ferry.staging", "staging"] {
        assert_eq!(bench.claim("aud", json!(aud)).await, Err(Refused::Claims));
    }
}
