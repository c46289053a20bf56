//! The signing keys of the audit log.

use super::{keys, opens, secret, store_secret};
use crate::{Vault, VaultError};

#[test]
fn a_signing_key_stays_the_same_through_starts_and_rotations() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    assert!(matches!(vault.audit_seed(1), Err(VaultError::NoKey)));
    vault.ensure_audit_seed(1).unwrap();
    vault.ensure_audit_seed(2).unwrap();
    let seeds = vault.audit_seeds().unwrap();
    assert_ne!(seeds[0].1, seeds[1].1);
    vault.ensure_audit_seed(1).unwrap();
    Vault::add_key(&config).unwrap();
    vault.reload_keys().unwrap();
    assert_eq!(vault.rewrap_keys(|| true).unwrap(), 3, "with the root key");
    assert_eq!(Vault::retire_keys(&config).unwrap(), ["key-1"]);
    vault.reload_keys().unwrap();
    assert_eq!(vault.audit_seeds().unwrap(), seeds);
    assert_eq!(Vault::read_audit_seeds(&config).unwrap(), seeds, "beside whoever holds the key store");
    drop(vault);
    assert_eq!(Vault::open(&config).unwrap().audit_seeds().unwrap(), seeds);
}

#[test]
fn a_tenant_called_audit_takes_no_signing_key_with_it() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    vault.ensure_audit_seed(1).unwrap();
    let id = secret("audit", "c", 1);
    let sealed = store_secret(&vault, &id);
    vault.destroy_tenant("audit").unwrap();
    assert!(!opens(&vault, &id, &sealed));
    assert_eq!(vault.audit_seeds().unwrap().len(), 1);
    assert!(vault.destroy_tenant("_audit").is_err(), "no tenant has such a name");
    let strangers = ["_audit.01", "_audit.x", "_audit.1.new", "_audit."];
    assert!(strangers.iter().all(|name| crate::audit::generation_of(name).is_none()));
}
