//! What is destroyed is gone, from the cache too, and nothing else is.

use super::{files, keys, opens, secret, store_secret};
use crate::{KeyId, Purpose, Vault, VaultError};

fn all_of(tenant: &str, connection: &str) -> Vec<KeyId> {
    let file = KeyId::new(tenant, connection, Purpose::File).unwrap();
    vec![secret(tenant, connection, 1), secret(tenant, connection, 12), file]
}

fn is_gone(vault: &Vault, id: &KeyId) -> bool {
    matches!(vault.data_key(id), Err(VaultError::NoKey))
}

#[test]
fn a_connections_keys_go_and_no_others() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let gone = all_of("acme", "c1");
    let mut kept: Vec<KeyId> =
        [("acme", "c12"), ("acme", "c1-1"), ("acme-2", "c1"), ("c1", "acme")].map(|(t, c)| all_of(t, c)).concat();
    kept.push(KeyId::new("acme", "", Purpose::Identity).unwrap());
    for id in gone.iter().chain(&kept) {
        assert!(opens(&vault, id, &store_secret(&vault, id)), "{id:?} is in the cache now");
    }
    for _ in 0..2 {
        vault.destroy_connection("acme", "c1").unwrap();
        assert!(gone.iter().all(|id| is_gone(&vault, id)));
        assert!(kept.iter().all(|id| vault.data_key(id).is_ok()));
    }
    assert_eq!(files(&config).len(), kept.len() + 2, "with the lock and the root key");
}

#[test]
fn a_tenants_keys_go_and_no_others() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let mut gone: Vec<KeyId> = [("acme", "c1"), ("acme", "c2"), ("acme", "acme-2")].map(|(t, c)| all_of(t, c)).concat();
    gone.push(KeyId::new("acme", "", Purpose::Identity).unwrap());
    let mut kept: Vec<KeyId> =
        [("acme-2", "c1"), ("acm", "c1"), ("c1", "acme"), ("root", "c1")].map(|(t, c)| all_of(t, c)).concat();
    kept.push(KeyId::new("acme-2", "", Purpose::Identity).unwrap());
    for id in gone.iter().chain(&kept) {
        assert!(opens(&vault, id, &store_secret(&vault, id)), "{id:?} is in the cache now");
    }
    let derived = vault.derive("label").unwrap();
    for _ in 0..2 {
        vault.destroy_tenant("acme").unwrap();
        assert!(gone.iter().all(|id| is_gone(&vault, id)));
        assert!(kept.iter().all(|id| vault.data_key(id).is_ok()));
    }
    vault.destroy_tenant("root").unwrap();
    assert_eq!(vault.derive("label").unwrap(), derived, "a tenant may have the root key's name");
}

/// A crash can end a destruction after any of its steps; what it leaves is one of these.
#[test]
fn a_destruction_that_was_cut_off_is_finished_by_the_next_one_and_by_the_next_start() {
    let (_folder, config) = keys();
    let id = secret("acme", "c1", 1);
    let name = id.file_name();
    let place = config.key_store.join(&name);
    for leftover in [format!(".{name}.gone"), format!(".{name}.new")] {
        let leftover = config.key_store.join(leftover);
        let again: [fn(&Vault, &KeyId); 4] = [
            |vault, id| vault.destroy(id).unwrap(),
            |vault, _| assert!(vault.destroy_connection("acme", "c1").is_ok()),
            |vault, _| vault.destroy_tenant("acme").unwrap(),
            |_, _| {},
        ];
        for finish in again {
            let vault = Vault::open(&config).unwrap();
            vault.ensure_key(&id).unwrap();
            std::fs::rename(&place, &leftover).unwrap();
            finish(&vault, &id);
            drop(vault);
            let vault = Vault::open(&config).unwrap();
            assert!(!leftover.exists() && is_gone(&vault, &id));
        }
    }
}

#[test]
fn a_key_that_is_destroyed_while_it_is_read_is_not_read_from_the_cache_afterwards() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let id = secret("acme", "c1", 1);
    for round in 0..200 {
        vault.ensure_key(&id).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                // The first of them reads the file; which step of the destruction it meets is up to chance.
                while !matches!(vault.data_key(&id), Err(VaultError::NoKey)) {}
            });
            vault.destroy(&id).unwrap();
            assert!(is_gone(&vault, &id), "round {round}");
            reader.join().unwrap();
        });
    }
}

#[test]
fn two_who_make_the_same_key_get_the_one_that_stays() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    for number in 0..50 {
        let id = secret("acme", &format!("c{number}"), 1);
        let together = std::sync::Barrier::new(2);
        let make = || {
            together.wait();
            vault.ensure_key(&id).unwrap();
            vault.data_key(&id).unwrap()
        };
        let made = std::thread::scope(|scope| {
            let (one, two) = (scope.spawn(make), scope.spawn(make));
            [one.join().unwrap(), two.join().unwrap()]
        });
        vault.cache().forget(&id.file_name());
        let stored = vault.data_key(&id).unwrap();
        assert!(made.iter().all(|key| *key == stored), "key {number}");
    }
}
