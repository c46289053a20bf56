//! S1 and S2: a sealed value or a wrapped key that was moved or changed does not open.

use super::{FIELD, keys, opens, secret, store_secret};
use crate::{KeyId, Purpose, Vault, VaultError};

#[test]
fn s1_a_sealed_value_opens_in_no_other_row() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let ids: Vec<KeyId> =
        (0..100).map(|number| secret(["acme", "globex"][number % 2], &format!("c{}", number / 2), 1)).collect();
    let sealed: Vec<Vec<u8>> = ids.iter().map(|id| store_secret(&vault, id)).collect();
    let mut swaps = 0;
    for (row, id) in ids.iter().enumerate() {
        assert!(opens(&vault, id, &sealed[row]));
        for (other, moved) in sealed.iter().enumerate().filter(|(other, _)| *other != row) {
            assert!(matches!(vault.unseal(id, FIELD, moved), Err(VaultError::Sealed)), "row {other} opens in {row}");
            swaps += 1;
        }
    }
    assert_eq!(swaps, 9_900);
}

#[test]
fn s1_a_sealed_value_opens_as_no_other_field_and_no_other_version() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let id = secret("acme", "c1", 1);
    let sealed = store_secret(&vault, &id);
    for field in ["", "api_key2", "API_KEY", "password"] {
        assert!(vault.unseal(&id, field, &sealed).is_err(), "{field}");
    }
    let others = [
        secret("acme", "c1", 2),
        secret("acme", "c2", 1),
        secret("acme-2", "c1", 1),
        KeyId::new("acme", "c1", Purpose::File).unwrap(),
        KeyId::new("acme", "", Purpose::Identity).unwrap(),
    ];
    for other in &others {
        vault.ensure_key(other).unwrap();
        assert!(vault.unseal(other, FIELD, &sealed).is_err(), "{other:?}");
    }
}

/// Each row has a key of its own, which alone would refuse a swap. What a value is of must be authenticated even so:
/// here every row has the same key, as after a copied key store.
#[test]
fn s1_under_the_same_key_the_row_the_field_and_the_version_are_still_told_apart() {
    let key = crate::aead::random_key().unwrap();
    let contexts = [
        secret("acme", "c1", 1).context(FIELD),
        secret("acme", "c1", 2).context(FIELD),
        secret("acme", "c2", 1).context(FIELD),
        secret("globex", "c1", 1).context(FIELD),
        secret("acme", "c1", 1).context("other"),
    ];
    for (row, context) in contexts.iter().enumerate() {
        let sealed = crate::aead::seal(&key, context, b"a secret").unwrap();
        for (other, moved) in contexts.iter().enumerate() {
            assert_eq!(crate::aead::unseal(&key, moved, &sealed).is_ok(), row == other, "{row} in {other}");
        }
    }
}

#[test]
fn s2_a_wrapped_key_in_another_place_does_not_open() {
    let (_folder, config) = keys();
    let ids: Vec<KeyId> = (0..20).map(|number| secret("acme", &format!("c{number}"), 1)).collect();
    let vault = Vault::open(&config).unwrap();
    ids.iter().for_each(|id| vault.ensure_key(id).unwrap());
    let places: Vec<_> = ids.iter().map(|id| config.key_store.join(id.file_name())).collect();
    for (row, id) in ids.iter().enumerate() {
        let own = std::fs::read(&places[row]).unwrap();
        for other in (0..ids.len()).filter(|other| *other != row) {
            std::fs::copy(&places[other], &places[row]).unwrap();
            assert!(matches!(vault.data_key(id), Err(VaultError::Sealed)), "key {other} opens as {row}");
        }
        std::fs::write(&places[row], own).unwrap();
    }
    ids.iter().for_each(|id| drop(vault.data_key(id).unwrap()));
}

#[test]
fn s2_a_wrapped_key_that_was_cut_or_changed_is_refused() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let id = secret("acme", "c1", 1);
    let sealed = store_secret(&vault, &id);
    let place = config.key_store.join(id.file_name());
    let whole = std::fs::read(&place).unwrap();
    let refused = |bytes: &[u8], what: String| {
        std::fs::write(&place, bytes).unwrap();
        vault.cache().forget(&id.file_name());
        assert!(matches!(vault.data_key(&id), Err(VaultError::Sealed | VaultError::Setup(_))), "{what}");
    };
    for length in 0..whole.len() {
        refused(&whole[..length], format!("cut at {length}"));
    }
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        refused(&changed, format!("bit {bit} changed"));
    }
    refused(&[whole.as_slice(), b"x"].concat(), "one byte more".to_owned());
    std::fs::write(&place, &whole).unwrap();
    assert!(opens(&vault, &id, &sealed));
}
