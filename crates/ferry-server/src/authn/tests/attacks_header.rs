//! Attacks through the token's form and its header.

use super::bench::*;
use crate::authn::{DevelopmentIssuer, KeySource, Refused, Verifier};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use ferry_egress::{Egress, EgressConfig};
use serde_json::json;

#[tokio::test]
async fn attack_01_no_algorithm() {
    let bench = Bench::new(Signer::ed()).await;
    for name in ["none", "None", "nOnE", "", "HS256", "ES384", "eddsa"] {
        let header = part(&json!({"alg": name, "typ": "at+jwt", "kid": "main"}));
        assert_eq!(bench.token(&format!("{header}.{}.", part(&claims()))).await, Err(Refused::Algorithm), "{name}");
        assert_eq!(bench.header_with("alg", json!(name)).await, Err(Refused::Algorithm), "{name}");
    }
    assert_eq!(bench.header_with("alg", json!(["EdDSA"])).await, Err(Refused::Algorithm));
}

#[tokio::test]
async fn attacks_08_and_09_key_ids() {
    let bench = Bench::new(Signer::ed()).await;
    let long = "k".repeat(256);
    for kid in ["other", "' OR 1=1 --", "../../dev/null", "https://evil.test/key", "main\u{0}", "MAIN", ""] {
        assert_eq!(bench.header_with("kid", json!(kid)).await, Err(Refused::UnknownKey), "{kid}");
    }
    for kid in [json!(7), json!(null), json!(["main"]), json!(long)] {
        assert_eq!(bench.header_with("kid", kid).await, Err(Refused::Header));
    }
    assert_eq!(bench.header_with("kid", json!("k".repeat(1_048_576))).await, Err(Refused::TooLong));
    assert_eq!(bench.header(&json!({"alg": "EdDSA", "typ": "at+jwt"})).await, Err(Refused::Header));
}

#[tokio::test]
async fn attack_11_keys_that_a_token_brings_are_not_fetched_nor_used() {
    let bench = Bench::new(Signer::ed()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let thief = Signer::ed();
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!([STANDARD.encode("certificate")])),
        ("jwk", thief.jwk("main")),
    ] {
        let mut header = thief.header("main");
        header[name] = value.clone();
        assert_eq!(bench.token(&thief.good("main")).await, Err(Refused::Signature));
        let forged = thief.token(&part(&header), &part(&claims()));
        assert_eq!(bench.token(&forged).await, Err(Refused::Signature), "{name}");
        header["kid"] = json!("thief");
        let forged = thief.token(&part(&header), &part(&claims()));
        assert_eq!(bench.token(&forged).await, Err(Refused::UnknownKey), "{name}");
    }
    // Nobody is in the queue: a connection would be there before our own.
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, ours.local_addr().unwrap(), "somebody connected to the address in the token");
}

#[tokio::test]
async fn attacks_12_to_15_what_changes_how_a_token_is_read() {
    let bench = Bench::new(Signer::ed()).await;
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
    ] {
        assert_eq!(bench.header_with(name, value).await, Err(Refused::Header), "{name}");
    }
    let good = bench.signer.good("main");
    let nested = bench.signer.token(&part(&bench.signer.header("main")), &URL_SAFE_NO_PAD.encode(&good));
    assert_eq!(bench.token(&nested).await, Err(Refused::Claims));
    for other in [format!("{good}.a.b"), json!({"payload": good}).to_string(), "a.b".to_owned()] {
        assert_eq!(bench.token(&other).await, Err(Refused::NotBearer));
    }
}

#[tokio::test]
async fn attacks_16_and_17_too_large_and_too_deep() {
    let bench = Bench::new(Signer::ed()).await;
    for bytes in [9 * 1_024, 64 * 1_024, 8 * 1_048_576] {
        // No part of it is base64, which would be told apart if it were decoded.
        assert_eq!(bench.token(&"!".repeat(bytes)).await, Err(Refused::TooLong));
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let header = part(&bench.signer.header("main"));
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"a":{}}}"#, deep(2_500)));
    assert_eq!(bench.token(&bench.signer.token(&header, &payload)).await, Err(Refused::Claims));
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"a":{}}}"#, deep(2_500)));
    assert_eq!(bench.token(&bench.signer.token(&header, "e30")).await, Err(Refused::Header));
    let payload = URL_SAFE_NO_PAD.encode(deep(10_000));
    assert_eq!(bench.token(&bench.signer.token("e30", &payload)).await, Err(Refused::TooLong));
}

#[tokio::test]
async fn attack_34_a_doubled_name_in_the_header() {
    let bench = Bench::new(Signer::ed()).await;
    let text = r#"{"alg":"EdDSA","alg":"EdDSA","kid":"main"}"#;
    let token = bench.signer.token(&URL_SAFE_NO_PAD.encode(text), &part(&claims()));
    assert_eq!(bench.token(&token).await, Err(Refused::Header));
}

#[tokio::test]
async fn attack_39_other_spellings_of_base64() {
    let bench = Bench::new(Signer::ed()).await;
    let good = bench.signer.good("main");
    assert!(bench.token(&good).await.is_ok());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for spelled in
        [URL_SAFE.encode(&bytes), format!("{signature}+/"), format!("{signature} "), format!("{signature}\n")]
    {
        assert_eq!(bench.token(&format!("{message}.{spelled}")).await, Err(Refused::NotBearer));
    }
    // 64 bytes leave four bits of the last letter unused; any but zeros is another spelling of the same signature.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(signature.chars().last().unwrap()).unwrap();
    for bits in 1..16 {
        let letter = alphabet.chars().nth(last | bits).unwrap();
        let spelled = format!("{message}.{}{letter}", &signature[..signature.len() - 1]);
        assert_eq!(bench.token(&spelled).await, Err(Refused::Signature));
    }
}

#[tokio::test]
async fn attack_40_the_header_value_has_one_form() {
    let bench = Bench::new(Signer::ed()).await;
    let good = bench.signer.good("main");
    let bearer = format!("Bearer {good}");
    assert!(bench.verifier.verify(&[format!("bearer {good}").as_bytes()]).await.is_ok(), "RFC 7235: any case");
    assert_eq!(bench.verifier.verify(&[]).await, Err(Refused::NoToken));
    assert_eq!(bench.verifier.verify(&[bearer.as_bytes(), bearer.as_bytes()]).await, Err(Refused::NotBearer));
    for value in [
        good.clone(),
        format!("Basic {good}"),
        format!("Bearer\t{good}"),
        format!("Bearer  {good}"),
        format!(" Bearer {good}"),
        format!("Bearer {good}, Bearer {good}"),
        "Bearer ".to_owned(),
        String::new(),
    ] {
        assert_eq!(bench.verifier.verify(&[value.as_bytes()]).await, Err(Refused::NotBearer), "{value}");
    }
    assert_eq!(bench.verifier.verify(&[b"Bearer \xff.\xff.\xff"]).await, Err(Refused::NotBearer));
}

#[tokio::test]
async fn a_configuration_that_would_believe_everybody_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = DevelopmentIssuer::open(folder.path()).unwrap();
    let changes: [fn(&mut crate::authn::AuthnConfig); 6] = [
        |config| config.issuer.clear(),
        |config| config.audience.clear(),
        |config| config.issuer = " ".to_owned(),
        |config| config.leeway = std::time::Duration::from_secs(31),
        |config| config.max_lifetime = std::time::Duration::from_secs(86_401),
        |config| config.fetch_deadline = std::time::Duration::from_secs(11),
    ];
    for change in changes {
        let mut config = config(KeySource::File(issuer.jwks().to_owned()));
        change(&mut config);
        let egress = Egress::new(EgressConfig::default()).unwrap();
        assert!(Verifier::new(config, egress, Time::new().clock()).await.is_err());
    }
}
