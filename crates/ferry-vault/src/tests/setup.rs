//! S5: without the right keys nothing starts, and the error says what to do.

use super::{files, key_file, keys, opens, secret, store_secret};
use crate::{KeyId, KeySource, Purpose, Vault, VaultConfig, VaultError};
use zeroize::Zeroizing;

fn refusal(config: &VaultConfig) -> String {
    match Vault::open(config) {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn s5_without_a_key_file_nothing_starts() {
    let (_folder, config) = keys();
    std::fs::remove_file(key_file(&config)).unwrap();
    let told = refusal(&config);
    assert!(told.contains("there is no key file") && told.contains("`ferry keys create`"), "{told}");
    assert!(!key_file(&config).exists(), "no file is made by itself");
}

#[test]
fn s5_keys_that_do_not_open_the_store_start_nothing() {
    let (folder, config) = keys();
    let id = secret("acme", "c1", 1);
    let sealed = store_secret(&Vault::open(&config).unwrap(), &id);
    let right = folder.path().join("right");
    std::fs::rename(key_file(&config), &right).unwrap();
    Vault::create_key_file(key_file(&config)).unwrap();
    let told = refusal(&config);
    assert!(told.contains("another key by that id") && told.contains("put back"), "{told}");
    let text = std::fs::read_to_string(key_file(&config)).unwrap().replace("key-1", "key-9");
    std::fs::write(key_file(&config), text).unwrap();
    let told = refusal(&config);
    assert!(told.contains("there is no key `key-1`") && told.contains("put it back"), "{told}");
    std::fs::rename(&right, key_file(&config)).unwrap();
    assert!(opens(&Vault::open(&config).unwrap(), &id, &sealed));
}

#[test]
fn s5_keys_may_be_given_as_text_and_rotated_by_a_restart() {
    let (_folder, config) = keys();
    let text = Zeroizing::new(std::fs::read_to_string(key_file(&config)).unwrap());
    let given = VaultConfig { keys: KeySource::Text(text.clone()), ..config.clone() };
    assert_eq!(format!("{:?}", given.keys), "Text");
    let id = secret("acme", "c1", 1);
    let sealed = store_secret(&Vault::open(&given).unwrap(), &id);
    let told = Vault::add_key(&given).unwrap_err().to_string();
    assert!(told.contains("start the service anew"), "{told}");
    let new = format!(
        "current = new\nnew = QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n{}",
        &text["current = key-1\n".len()..]
    );
    let given = VaultConfig { keys: KeySource::Text(Zeroizing::new(new)), ..config };
    let vault = Vault::open(&given).unwrap();
    assert_eq!(vault.rewrap_keys(|| true).unwrap(), 2, "the secret's and the root key");
    assert!(opens(&vault, &id, &sealed));
    assert!(Vault::survey(&given).unwrap().is_settled());
    for text in ["", "current = key-1", &text["current = key-1\n".len()..]] {
        let half = VaultConfig { keys: KeySource::Text(Zeroizing::new(text.to_owned())), ..given.clone() };
        assert!(Vault::survey(&half).is_err(), "half of the keys");
    }
}

#[test]
fn one_process_holds_the_store_and_the_next_one_reads_it() {
    let (_folder, config) = keys();
    let id = secret("acme", "c1", 1);
    let sealed = {
        let vault = Vault::open(&config).unwrap();
        assert!(matches!(Vault::open(&config), Err(VaultError::InUse)));
        store_secret(&vault, &id)
    };
    assert!(opens(&Vault::open(&config).unwrap(), &id, &sealed));
}

#[test]
fn a_damaged_root_key_is_told_and_one_that_is_gone_is_made_anew() {
    let (_folder, config) = keys();
    let id = secret("acme", "c1", 1);
    let sealed = store_secret(&Vault::open(&config).unwrap(), &id);
    let root = config.key_store.join("root");
    std::fs::write(&root, b"").unwrap();
    assert!(refusal(&config).contains("`root` does not open"));
    std::fs::remove_file(&root).unwrap();
    assert!(opens(&Vault::open(&config).unwrap(), &id, &sealed));
}

#[test]
fn what_is_no_key_in_the_store_is_left_alone() {
    let (_folder, config) = keys();
    drop(Vault::open(&config).unwrap());
    std::fs::create_dir(config.key_store.join("lost+found")).unwrap();
    std::fs::write(config.key_store.join("README"), b"by hand").unwrap();
    drop(Vault::open(&config).unwrap());
    assert_eq!(files(&config).len(), 4, "with the lock and the root key");
}

#[test]
fn names_that_could_leave_the_folder_are_refused() {
    let (_folder, config) = keys();
    let vault = Vault::open(&config).unwrap();
    for name in ["", "../x", "a/b", "A", "a.b"] {
        assert!(KeyId::new(name, "c1", Purpose::File).is_err(), "{name}");
        assert!(KeyId::new("acme", name, Purpose::File).is_err(), "{name}");
        assert!(vault.destroy_tenant(name).is_err() && vault.destroy_connection("acme", name).is_err(), "{name}");
    }
}
