//! Tests of the vault as its users see it, over real folders.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stderr, reason = "the rate of a rotation is of interest")]

mod audit;
mod derive;
mod destroy;
mod rotation;
mod sealed;
mod setup;

use crate::{KeyId, KeySource, Purpose, Vault, VaultConfig};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const FIELD: &str = "api_key";

/// A folder with a key file.
fn keys() -> (TempDir, VaultConfig) {
    let folder = tempfile::tempdir().unwrap();
    let config =
        VaultConfig { keys: KeySource::File(folder.path().join("keys.toml")), key_store: folder.path().join("store") };
    Vault::create_key_file(key_file(&config)).unwrap();
    (folder, config)
}

fn key_file(config: &VaultConfig) -> &Path {
    match &config.keys {
        KeySource::File(path) => path,
        KeySource::Text(_) => panic!("these keys are in no file"),
    }
}

fn secret(tenant: &str, connection: &str, version: u32) -> KeyId {
    KeyId::new(tenant, connection, Purpose::Secret { version }).unwrap()
}

/// Makes a key and seals its own name under it.
fn store_secret(vault: &Vault, id: &KeyId) -> Vec<u8> {
    vault.ensure_key(id).unwrap();
    vault.seal(id, FIELD, id.file_name().as_bytes()).unwrap()
}

fn opens(vault: &Vault, id: &KeyId, sealed: &[u8]) -> bool {
    vault.unseal(id, FIELD, sealed).is_ok_and(|opened| opened.as_slice() == id.file_name().as_bytes())
}

/// Every file in the key store, hidden ones too.
fn files(config: &VaultConfig) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(&config.key_store).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
