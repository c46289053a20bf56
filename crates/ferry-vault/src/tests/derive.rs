//! What is derived stays the same through a rotation and a restart.

use super::keys;
use crate::Vault;

#[test]
fn a_rotation_and_a_restart_change_nothing_that_is_derived() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let (derived, token) = (vault.derive("label").unwrap(), vault.seal_token("page", b"context", b"token").unwrap());
    Vault::add_key(&config).unwrap();
    vault.reload_keys().unwrap();
    vault.rewrap_keys(|| true).unwrap();
    Vault::retire_keys(&config).unwrap();
    drop(vault);
    let vault = Vault::open(&config).unwrap();
    assert_eq!(vault.derive("label").unwrap(), derived);
    assert_ne!(vault.derive("other").unwrap(), derived);
    assert_eq!(vault.unseal_token("page", b"context", &token).unwrap().as_slice(), b"token");
}

#[test]
fn a_token_opens_for_its_label_and_context_alone_and_unchanged() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let token = vault.seal_token("page", b"context", b"token").unwrap();
    assert!(vault.unseal_token("other", b"context", &token).is_err());
    assert!(vault.unseal_token("page", b"other", &token).is_err());
    for length in 0..token.len() {
        assert!(vault.unseal_token("page", b"context", &token[..length]).is_err(), "cut at {length}");
    }
    for bit in 0..token.len() * 8 {
        let mut changed = token.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(vault.unseal_token("page", b"context", &changed).is_err(), "bit {bit} changed");
    }
}
