//! Whatever a caller sends: it is refused, and nothing panics.

use super::bench::*;
use crate::authn::Refused;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferry_domain::authz::Token;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// A verifier that knows one key, and what its calls run on.
fn bench(signer: Signer) -> (Runtime, Bench) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::new(signer));
    (runtime, bench)
}

fn ask((runtime, bench): &(Runtime, Bench), value: &[u8]) -> Result<Token, Refused> {
    runtime.block_on(bench.verifier.verify(&[value]))
}

/// One change of one place.
#[derive(Debug, Clone)]
enum Change {
    Put(char),
    Insert(char),
    Remove,
    Cut,
}

fn change() -> impl Strategy<Value = Change> {
    let letter = || proptest::char::ranges(vec!['!'..='~'].into());
    prop_oneof![
        4 => letter().prop_map(Change::Put),
        1 => letter().prop_map(Change::Insert),
        1 => Just(Change::Remove),
        1 => Just(Change::Cut),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof!["ferry", "access", "administrator", "at\\+jwt"].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn no_bytes_are_a_token() {
    let bench = bench(Signer::ed());
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..10_000))| {
        prop_assert!(ask(&bench, &bytes).is_err());
    });
    proptest!(|(text in "Bearer [A-Za-z0-9_.-]{0,300}")| {
        prop_assert!(ask(&bench, text.as_bytes()).is_err());
    });
}

#[test]
fn no_json_under_a_strange_signature_is_a_token() {
    let bench = bench(Signer::ed());
    proptest!(|(header in json_value(), payload in json_value(), signature in proptest::collection::vec(any::<u8>(), 0..600))| {
        let text = format!("Bearer {}.{}.{}", part(&header), part(&payload), URL_SAFE_NO_PAD.encode(&signature));
        prop_assert!(ask(&bench, text.as_bytes()).is_err());
        let known = part(&bench.1.signer.header("main"));
        let text = format!("Bearer {known}.{}.{}", part(&payload), URL_SAFE_NO_PAD.encode(&signature));
        prop_assert!(ask(&bench, text.as_bytes()).is_err());
    });
}

#[test]
fn a_good_token_with_any_one_change_is_none() {
    for signer in [Signer::ed(), Signer::ec(), Signer::rs(), Signer::ps()] {
        let bench = bench(signer);
        let good = bench.1.signer.good("main");
        assert!(ask(&bench, format!("Bearer {good}").as_bytes()).is_ok(), "the change alone makes it bad");
        proptest!(|(place in 0..good.len(), change in change())| {
            let mut changed = good.clone();
            match change {
                Change::Put(letter) => changed.replace_range(place..=place, letter.encode_utf8(&mut [0; 4])),
                Change::Insert(letter) => changed.insert(place, letter),
                Change::Remove => drop(changed.remove(place)),
                Change::Cut => changed.truncate(place),
            }
            prop_assume!(changed != good);
            prop_assert!(ask(&bench, format!("Bearer {changed}").as_bytes()).is_err(), "{}", changed);
        });
    }
}

#[test]
fn no_claim_or_header_of_a_well_signed_token_makes_a_panic_or_a_life_without_end() {
    let bench = bench(Signer::ed());
    let names = ["iss", "aud", "sub", "exp", "iat", "nbf", "tenants", "operator", "typ", "token_use", "alg", "kid"];
    proptest!(|(name in proptest::sample::select(names.to_vec()), value in json_value())| {
        let (mut header, mut payload) = (bench.1.signer.header("main"), claims());
        header[name] = value.clone();
        payload[name] = value.clone();
        for (header, payload) in [(bench.1.signer.header("main"), payload), (header, claims())] {
            let token = bench.1.signer.token(&part(&header), &part(&payload));
            if let Ok(token) = ask(&bench, format!("Bearer {token}").as_bytes()) {
                prop_assert!(token.expire_time.as_millis() <= (NOW + 86_400) * 1_000);
                prop_assert!(payload["iss"] == json!(ISSUER) && payload["aud"] != Value::Null);
            }
        }
    });
}
