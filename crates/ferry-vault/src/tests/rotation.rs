//! S3: re-wrapping while others seal, open, make and destroy.

use super::{key_file, keys, opens, secret, store_secret};
use crate::{KeyId, Vault, VaultConfig, VaultError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

const SECRETS: usize = 10_000;

fn id(number: usize) -> KeyId {
    secret("acme", &format!("c{number}"), 1)
}

/// Secrets, made by several threads: each waits for the disk.
fn store_secrets(vault: &Vault, count: usize) -> Vec<Vec<u8>> {
    let numbers: Vec<usize> = (0..count).collect();
    std::thread::scope(|scope| {
        let store = |part: &[usize]| part.iter().map(|number| store_secret(vault, &id(*number))).collect::<Vec<_>>();
        let parts: Vec<_> = numbers.chunks(count.div_ceil(8)).map(|part| scope.spawn(move || store(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn rotate(vault: &Vault, config: &VaultConfig) -> usize {
    let id = Vault::add_key(config).unwrap();
    assert_eq!(vault.reload_keys().unwrap(), Some(id));
    vault.rewrap_keys(|| true).unwrap()
}

/// Secrets from `LIVE` on are destroyed while all are re-wrapped; those before stay and must open at any time.
const LIVE: usize = SECRETS * 9 / 10;

struct Load<'a> {
    vault: &'a Vault,
    sealed: &'a [Vec<u8>],
    over: AtomicBool,
    opened: AtomicUsize,
}

impl Load<'_> {
    fn open_and_seal(&self, offset: usize) {
        for number in (0..LIVE).cycle().skip(offset) {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            // From the file, not from the cache: that is where a rotation could be seen.
            self.vault.cache().forget(&id(number).file_name());
            assert!(opens(self.vault, &id(number), &self.sealed[number]), "secret {number} does not open");
            self.vault.seal(&id(number), "other", b"value").unwrap();
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn make(&self) -> usize {
        let mut made = 0;
        while !self.over.load(Ordering::Relaxed) {
            let id = secret("globex", &format!("c{made}"), 1);
            assert!(opens(self.vault, &id, &store_secret(self.vault, &id)));
            made += 1;
        }
        made
    }

    fn destroy(&self) {
        for number in (LIVE..SECRETS).rev() {
            self.vault.destroy(&id(number)).unwrap();
        }
    }
}

#[test]
fn s3_ten_thousand_secrets_are_rewrapped_under_load_and_none_is_lost_or_comes_back() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let sealed = store_secrets(&vault, SECRETS);
    let load = Load { vault: &vault, sealed: &sealed, over: AtomicBool::new(false), opened: AtomicUsize::new(0) };
    let made = std::thread::scope(|scope| {
        scope.spawn(|| load.open_and_seal(0));
        scope.spawn(|| load.open_and_seal(LIVE / 2));
        let making = scope.spawn(|| load.make());
        let destroying = scope.spawn(|| load.destroy());
        let begun = Instant::now();
        let done = rotate(&vault, &config);
        let rate = done as f64 / begun.elapsed().as_secs_f64();
        destroying.join().unwrap();
        load.over.store(true, Ordering::Relaxed);
        let opened = load.opened.load(Ordering::Relaxed);
        let made = making.join().unwrap();
        eprintln!("re-wrapped {done} keys, {rate:.0} a second, while {opened} opened and {made} were made");
        made
    });
    let survey = Vault::survey(&config).unwrap();
    assert!(survey.is_settled(), "{survey:?}");
    assert_eq!(survey.keys["key-1"], 0);
    assert_eq!(survey.keys["key-2"], LIVE + made + 1, "with the root key");
    assert_eq!(Vault::retire_keys(&config).unwrap(), ["key-1"]);
    vault.reload_keys().unwrap();
    drop(vault);
    let vault = Vault::open(&config).unwrap();
    for (number, sealed) in sealed.iter().enumerate() {
        let found = vault.unseal(&id(number), super::FIELD, sealed);
        match found {
            Ok(_) => assert!(number < LIVE, "secret {number} was destroyed and came back"),
            Err(VaultError::NoKey) => assert!(number >= LIVE, "secret {number} is lost"),
            Err(error) => panic!("secret {number}: {error}"),
        }
    }
}

#[test]
fn a_rewrapping_that_is_cut_off_anywhere_goes_on_at_the_next_start() {
    let (_folder, config) = keys();
    let sealed = store_secrets(&Vault::open(&config).unwrap(), 20);
    for limit in 0..=20 {
        let vault = Vault::open(&config).unwrap();
        Vault::add_key(&config).unwrap();
        vault.reload_keys().unwrap();
        let asked = AtomicUsize::new(0);
        vault.rewrap_keys(|| asked.fetch_add(1, Ordering::Relaxed) < limit).unwrap();
        assert_eq!(Vault::survey(&config).unwrap().is_settled(), limit == 20);
        assert_eq!(Vault::retire_keys(&config).is_ok(), limit == 20, "cut off after {limit}");
        assert!(sealed.iter().enumerate().all(|(number, sealed)| opens(&vault, &id(number), sealed)));
        drop(vault);
        let vault = Vault::open(&config).unwrap();
        assert!(sealed.iter().enumerate().all(|(number, sealed)| opens(&vault, &id(number), sealed)));
        vault.rewrap_keys(|| true).unwrap();
        assert!(Vault::survey(&config).unwrap().is_settled());
    }
    assert_eq!(Vault::survey(&config).unwrap().keys.len(), 1, "all but the last key could be retired");
}

#[test]
fn a_key_file_that_is_broken_or_lacks_a_key_leaves_the_keys_from_before_in_use() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let sealed = store_secrets(&vault, 3);
    let path = key_file(&config);
    let good = std::fs::read_to_string(path).unwrap();
    let other = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    let broken = [
        String::new(),
        good[..good.len() / 2].to_owned(),
        format!("current = other\nother = {other}\n"),
        format!("current = key-1\nkey-1 = {other}\n"),
    ];
    for text in broken {
        std::fs::write(path, &text).unwrap();
        assert!(vault.reload_keys().is_err());
        assert!(vault.reload_keys().is_err(), "it is told until it is mended");
        vault.rewrap_keys(|| true).unwrap();
        (0..3).for_each(|number| vault.cache().forget(&id(number).file_name()));
        assert!(sealed.iter().enumerate().all(|(number, sealed)| opens(&vault, &id(number), sealed)));
        vault.ensure_key(&secret("acme", "new", 1)).unwrap();
    }
    std::fs::remove_file(path).unwrap();
    assert!(vault.reload_keys().is_err());
    std::fs::write(path, &good).unwrap();
    set_private(path);
    assert_eq!(vault.reload_keys().unwrap().as_deref(), Some("key-1"));
    assert_eq!(vault.reload_keys().unwrap(), None, "an unchanged file is not read again");
    assert_eq!(Vault::survey(&config).unwrap().keys["key-1"], 5);
}

fn set_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn one_damaged_key_keeps_the_old_key_and_nobody_else_from_being_rewrapped() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    let sealed = store_secrets(&vault, 10);
    std::fs::write(config.key_store.join(id(4).file_name()), b"\x00").unwrap();
    vault.cache().forget(&id(4).file_name());
    Vault::add_key(&config).unwrap();
    vault.reload_keys().unwrap();
    let told = vault.rewrap_keys(|| true).unwrap_err().to_string();
    assert!(told.contains("`acme.c4.secret.1`") && told.contains("restore it from a backup"), "{told}");
    let survey = Vault::survey(&config).unwrap();
    assert_eq!((survey.keys["key-1"], survey.keys["key-2"]), (1, 9), "the root key waits");
    assert!(Vault::retire_keys(&config).unwrap_err().to_string().contains("`acme.c4.secret.1` is damaged"));
    for (number, sealed) in sealed.iter().enumerate() {
        assert_eq!(opens(&vault, &id(number), sealed), number != 4);
    }
    vault.destroy(&id(4)).unwrap();
    assert_eq!(vault.rewrap_keys(|| true).unwrap(), 1);
    assert_eq!(Vault::retire_keys(&config).unwrap(), ["key-1"]);
}

#[test]
fn no_key_is_retired_that_a_service_may_still_wrap_by() {
    let (_folder, config) = keys();
    Vault::add_key(&config).unwrap();
    let told = Vault::retire_keys(&config).unwrap_err().to_string();
    assert!(told.contains("no service has used the key store yet"), "{told}");
    let vault = Vault::open(&config).unwrap();
    Vault::add_key(&config).unwrap();
    let told = Vault::retire_keys(&config).unwrap_err().to_string();
    assert!(told.contains("1 data keys are not wrapped by the current key `key-3`"), "{told}");
    vault.ensure_key(&id(0)).unwrap();
    vault.reload_keys().unwrap();
    assert_eq!(vault.rewrap_keys(|| true).unwrap(), 2);
    assert_eq!(Vault::retire_keys(&config).unwrap(), ["key-1", "key-2"]);
    assert!(Vault::retire_keys(&config).unwrap().is_empty());
}

/// Few keys and many rounds, so that a destruction meets the re-wrapping of the same key often.
#[test]
fn s3_a_key_that_is_destroyed_while_it_is_rewrapped_does_not_come_back() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    for round in 0..40 {
        let ids: Vec<KeyId> = (0..4).map(|number| id(round * 4 + number)).collect();
        ids.iter().for_each(|id| vault.ensure_key(id).unwrap());
        Vault::add_key(&config).unwrap();
        vault.reload_keys().unwrap();
        let (begun, vault) = (&AtomicUsize::new(0), &vault);
        std::thread::scope(|scope| {
            for (number, id) in ids.iter().enumerate() {
                scope.spawn(move || {
                    while begun.load(Ordering::Relaxed) <= number {
                        std::hint::spin_loop();
                    }
                    vault.destroy(id).unwrap();
                });
            }
            vault
                .rewrap_keys(|| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    true
                })
                .unwrap();
            begun.store(ids.len(), Ordering::Relaxed);
        });
        for id in &ids {
            assert!(matches!(vault.data_key(id), Err(VaultError::NoKey)), "round {round}: it came back");
        }
        Vault::retire_keys(&config).unwrap();
    }
}
