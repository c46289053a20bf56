use super::{TENANT, config, egress, reference};
use crate::{ReferenceError, SecretError, SecretReference, SecretStores, StoreKind};
use proptest::prelude::*;

#[test]
fn a_reference_gives_its_text_back() {
    for text in [
        "env:A",
        "env:ACTIVECAMPAIGN_KEY_2",
        "env:A_1",
        "file:key",
        "file:a/b/c.txt",
        "file:..key",
        "file:.hidden/...",
        "vault:key#value",
        "vault:a/b.c/-_d#api.key",
    ] {
        assert_eq!(reference(text).to_string(), text);
    }
}

#[test]
fn what_could_lead_out_of_a_tenants_part_is_no_reference() {
    for (text, error) in [
        ("", ReferenceError::Kind),
        ("env", ReferenceError::Kind),
        ("ENV:A", ReferenceError::Kind),
        (" env:A", ReferenceError::Kind),
        ("https://vault/x", ReferenceError::Kind),
        ("aws:secret", ReferenceError::Kind),
        ("plain-old-key", ReferenceError::Kind),
        ("env:", ReferenceError::Name),
        ("env:a", ReferenceError::Name),
        ("env:1A", ReferenceError::Name),
        ("env:_A", ReferenceError::Name),
        ("env:A_", ReferenceError::Name),
        ("env:A__B", ReferenceError::Name),
        ("env:A=B", ReferenceError::Name),
        ("env:A B", ReferenceError::Name),
        ("env:A\0", ReferenceError::Name),
        ("env:Ä", ReferenceError::Name),
        ("env:PATH\n", ReferenceError::Name),
        ("file:", ReferenceError::Path),
        ("file:/etc/passwd", ReferenceError::Path),
        ("file://key", ReferenceError::Path),
        ("file:..", ReferenceError::Path),
        ("file:.", ReferenceError::Path),
        ("file:../globex/key", ReferenceError::Path),
        ("file:a/../../globex/key", ReferenceError::Path),
        ("file:a/./b", ReferenceError::Path),
        ("file:a//b", ReferenceError::Path),
        ("file:a/", ReferenceError::Path),
        ("file:~/key", ReferenceError::Path),
        ("file:a\\b", ReferenceError::Path),
        ("file:a%2f..%2fb", ReferenceError::Path),
        ("file:a\0b", ReferenceError::Path),
        ("file:a b", ReferenceError::Path),
        ("file:..\u{2215}key", ReferenceError::Path),
        ("vault:key", ReferenceError::Field),
        ("vault:key#", ReferenceError::Field),
        ("vault:key#a#b", ReferenceError::Field),
        ("vault:key#a/b", ReferenceError::Field),
        ("vault:#value", ReferenceError::Path),
        ("vault:../globex/key#value", ReferenceError::Path),
        ("vault:/sys/seal#value", ReferenceError::Path),
        ("vault:key?version=1#value", ReferenceError::Path),
        ("vault:%2e%2e/globex#value", ReferenceError::Path),
        ("vault:http://evil.test/x#value", ReferenceError::Path),
    ] {
        assert_eq!(SecretReference::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_reference_has_at_most_255_bytes() {
    assert!(SecretReference::parse(&format!("file:{}", "a".repeat(250))).is_ok());
    assert_eq!(SecretReference::parse(&format!("file:{}", "a".repeat(251))), Err(ReferenceError::Length));
}

#[tokio::test]
async fn a_store_that_is_not_set_up_cannot_be_named() {
    for stores in [SecretStores::none(), SecretStores::new(config(), &egress()).unwrap()] {
        for (text, kind) in
            [("env:KEY", StoreKind::Env), ("file:key", StoreKind::File), ("vault:key#value", StoreKind::Vault)]
        {
            let refused = SecretError::NotConfigured(kind);
            assert_eq!(stores.check(TENANT, &reference(text)), Err(refused));
            assert_eq!(stores.resolve(TENANT, &reference(text)).await.err(), Some(refused));
        }
    }
}

proptest! {
    #[test]
    fn no_path_that_is_taken_has_a_way_up_or_out(text in "(file|vault):[a-zA-Z0-9./\\\\%#_-]{0,30}") {
        if let Ok(parsed) = SecretReference::parse(&text) {
            prop_assert_eq!(parsed.to_string(), text.clone());
            let path = text.split_once(':').unwrap().1.split('#').next().unwrap();
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert!(parts.iter().all(|part| !["", ".", ".."].contains(part)), "{}", text);
            let url = format!("/v1/secret/data/acme/{path}");
            prop_assert!(!url.contains(['\\', '%', '?']));
        }
    }
}
