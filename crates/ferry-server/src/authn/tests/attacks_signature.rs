//! Attacks on the signature and on what it is verified with.

use super::bench::*;
use crate::authn::Refused;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

#[tokio::test]
async fn every_algorithm_of_the_list_is_believed() {
    for signer in [Signer::ed(), Signer::ec(), Signer::rs(), Signer::ps()] {
        let bench = Bench::new(signer).await;
        assert!(bench.claims(&claims()).await.is_ok(), "{}", bench.signer.algorithm());
    }
}

/// In lines of 64, as key files have them.
fn pem(name: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: String = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n").collect();
    format!("-----BEGIN {name}-----\n{lines}-----END {name}-----\n")
}

#[tokio::test]
async fn attack_02_the_public_key_as_a_shared_secret() {
    let bench = Bench::new(Signer::rs()).await;
    let jwk = bench.signer.jwk("main");
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let Signer::Rsa(pair, ..) = &bench.signer else { unreachable!("the signer has an RSA key") };
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap().as_ref().to_vec();
    let pkcs1 = pair.public_key().as_ref().to_vec();
    let (long, short) = (pem("PUBLIC KEY", &spki), pem("RSA PUBLIC KEY", &pkcs1));
    let cut = long.trim_end().to_owned();
    let texts = [jwk.to_string(), long, cut, short].map(String::into_bytes);
    for secret in texts.into_iter().chain([modulus, spki, pkcs1]) {
        for algorithm in ["HS256", "RS256"] {
            let header = part(&json!({"alg": algorithm, "typ": "at+jwt", "kid": "main"}));
            let message = format!("{header}.{}", part(&claims()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
            let expected = if algorithm == "HS256" { Refused::Algorithm } else { Refused::Signature };
            assert_eq!(bench.token(&token).await, Err(expected));
        }
    }
}

#[tokio::test]
async fn attack_03_algorithms_swapped() {
    for signer in [Signer::ed(), Signer::ec(), Signer::rs(), Signer::ps()] {
        let bench = Bench::new(signer).await;
        for other in ["EdDSA", "ES256", "RS256", "PS256"].into_iter().filter(|name| *name != bench.signer.algorithm()) {
            assert!(bench.header_with("alg", json!(other)).await.is_err(), "{} as {other}", bench.signer.algorithm());
        }
    }
    let signer = Signer::ps();
    let mut jwk = signer.jwk("main");
    jwk["alg"] = json!("RS256");
    let bench = Bench::with(signer, &json!({"keys": [jwk]})).await.unwrap();
    assert_eq!(bench.claims(&claims()).await, Err(Refused::Algorithm), "the key is for RS256 alone");
}

#[tokio::test]
async fn attack_04_signatures_stripped_cut_padded_and_with_each_bit_flipped() {
    for signer in [Signer::ed(), Signer::ec(), Signer::rs(), Signer::ps()] {
        let bench = Bench::new(signer).await;
        let good = bench.signer.good("main");
        let (message, signature) = good.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let mut forged = vec![Vec::new(), signature[1..].to_vec(), signature[..signature.len() - 1].to_vec()];
        forged.push([signature.as_slice(), &[0]].concat());
        forged.push([&[0], signature.as_slice()].concat());
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            forged.push(flipped);
        }
        for bytes in forged {
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert_eq!(bench.token(&token).await, Err(Refused::Signature), "{}", bench.signer.algorithm());
        }
    }
}

#[tokio::test]
async fn attack_05_impossible_numbers_in_an_ecdsa_signature() {
    let bench = Bench::new(Signer::ec()).await;
    let good = bench.signer.good("main");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order = [
        [0xff; 4].as_slice(),
        &[0; 4],
        &[0xff; 8],
        b"\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51",
    ];
    let order = order.concat();
    let (r, s) = signature.split_at(32);
    let zero = [0; 32];
    let der = [&[0x30, 0x44, 0x02, 0x20], r, &[0x02, 0x20], s].concat();
    let pairs = [[&zero, s], [r, &zero], [&zero, &zero], [&order, s], [r, &order], [&[0xff; 32], &[0xff; 32]]];
    for bytes in pairs.map(|pair| pair.concat()).into_iter().chain([der]) {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&bytes));
        assert_eq!(bench.token(&token).await, Err(Refused::Signature));
    }
}

#[tokio::test]
async fn attack_06_short_rsa_keys_are_no_keys() {
    let bench = Bench::new(Signer::ed()).await;
    for bytes in [64, 128, 255] {
        // Leading zeros make a short modulus as long as a good one.
        for padding in [0, 256 - bytes] {
            let modulus = URL_SAFE_NO_PAD.encode([vec![0; padding], vec![0xff; bytes]].concat());
            bench.set(&json!({"keys": [{"kty": "RSA", "kid": "short", "n": modulus, "e": "AQAB"}]}));
            bench.time.forward(31);
            let header = part(&json!({"alg": "RS256", "typ": "at+jwt", "kid": "short"}));
            let token = format!("{header}.{}.{}", part(&claims()), URL_SAFE_NO_PAD.encode([1; 256]));
            assert_eq!(bench.token(&token).await, Err(Refused::UnknownKey), "{bytes} bytes after {padding}");
        }
    }
}

#[tokio::test]
async fn attack_07_keys_for_something_else() {
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES256")),
        ("alg", json!("HS256")),
        ("key_ops", json!(["sign"])),
        ("kty", json!("oct")),
    ] {
        let (signer, good) = (Signer::ed(), Signer::ed());
        let mut jwk = signer.jwk("main");
        jwk[name] = value;
        jwk["k"] = json!("c2VjcmV0");
        let bench = Bench::with(signer, &json!({"keys": [jwk, good.jwk("good")]})).await.unwrap();
        assert_eq!(bench.claims(&claims()).await, Err(Refused::UnknownKey), "{name}");
        assert!(bench.token(&good.good("good")).await.is_ok(), "the set was read: {name}");
    }
}

#[tokio::test]
async fn a_key_of_a_kind_that_is_not_known_does_not_spoil_the_set() {
    let signer = Signer::ed();
    let unknown =
        [json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "new", "pub": "AAAA"}), json!({"kid": "bare"}), json!(7)];
    let set = json!({"keys": unknown.into_iter().chain([signer.jwk("main")]).collect::<Vec<_>>()});
    let bench = Bench::with(signer, &set).await.unwrap();
    assert!(bench.claims(&claims()).await.is_ok());
    assert_eq!(bench.header_with("kid", json!("new")).await, Err(Refused::UnknownKey));
}

#[tokio::test]
async fn attack_10_two_keys_of_one_id() {
    let (signer, other) = (Signer::ed(), Signer::ed());
    let set = json!({"keys": [signer.jwk("main"), other.jwk("main")]});
    assert!(Bench::with(signer, &set).await.is_err());
}

#[tokio::test]
async fn attacks_45_and_46_a_signature_of_something_or_somebody_else() {
    let bench = Bench::new(Signer::ed()).await;
    let good = bench.signer.good("main");
    let rest = good.split_once('.').unwrap().1;
    let mut header = bench.signer.header("main");
    header["typ"] = json!("JWT");
    assert_eq!(bench.token(&format!("{}.{rest}", part(&header))).await, Err(Refused::Signature));
    assert_eq!(bench.token(&Signer::ed().good("main")).await, Err(Refused::Signature));
}
