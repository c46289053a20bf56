//! S9: what a removal destroys cannot be had back, neither from the disk nor from a backup.

use super::{create, make_export, people, run};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::{Stage, TENANT, canary};
use ferry_vault::{KeyId, KeySource, Purpose, Vault, VaultConfig, VaultError};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use std::path::{Path, PathBuf};

/// The field under which a secret is sealed.
const FIELD: &str = "api_key";

fn vault(stage: &Stage) -> Vault {
    let keys = stage.path("keys");
    Vault::open(&VaultConfig { keys: KeySource::File(keys.join("keys.toml")), key_store: keys.join("store") }).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

/// Files that hold some bytes, as they are, in hex, or as a list of numbers.
fn holding(below: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = bytes.iter().map(u8::to_string).collect::<Vec<_>>();
    let forms = [
        bytes.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        numbers.join(",").into_bytes(),
        numbers.join(", ").into_bytes(),
    ];
    let holds = |path: &PathBuf| {
        let content = std::fs::read(path).unwrap_or_default();
        forms.iter().any(|form| content.windows(form.len()).any(|window| window == form.as_slice()))
    };
    files(below).into_iter().filter(holds).collect()
}

/// The sealed key of the one connection in a copy of the data folder.
async fn sealed_key(data: &Path) -> Vec<u8> {
    let database = Database::connect(format!("sqlite://{}?mode=ro", data.join("ferry.db").display())).await.unwrap();
    let query = Statement::from_string(DatabaseBackend::Sqlite, "SELECT sealed_secret FROM connections");
    let sealed = database.query_one_raw(query).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    database.close().await.unwrap();
    sealed
}

#[tokio::test]
async fn s9_neither_the_disk_nor_a_backup_with_todays_keys_yields_the_key_of_a_removed_connection() {
    let mut stage = Stage::new().await;
    stage.segment("people", "csv", people(10, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let connection = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await.name;
    assert_eq!(run(&mut client, &weekly).await.state(), State::Succeeded);
    assert_eq!(stage.stop().await.unwrap(), Some(0));

    let backup = tempfile::tempdir().unwrap();
    copy(&stage.path("data"), backup.path());
    let sealed = sealed_key(backup.path()).await;
    let (secret, file) = (Purpose::Secret { version: 1 }, Purpose::File);
    let ids = [secret, file].map(|purpose| KeyId::new(TENANT, &connection.uid, purpose).unwrap());
    let (mut data_keys, opened) = {
        let vault = vault(&stage);
        let data_keys: Vec<Vec<u8>> = ids.iter().map(|id| vault.data_key(id).unwrap().to_vec()).collect();
        (data_keys, vault.unseal(&ids[0], FIELD, &sealed).unwrap())
    };
    assert_eq!(opened.as_slice(), stage.api_key.as_bytes(), "with the keys of yesterday the backup opens");
    let store = stage.path("keys/store");
    let wrapped = files(&store).into_iter().filter(|path| path.display().to_string().contains(&connection.uid));
    // The last bytes are the sealed data key; what comes before them names the key-encryption key.
    let wrapped: Vec<Vec<u8>> = wrapped.map(|path| std::fs::read(path).unwrap().split_off(24)).collect();
    assert_eq!(wrapped.len(), 2);
    assert!(wrapped.iter().all(|key| !holding(&store, key).is_empty()), "the search finds what is there");
    assert!(wrapped.iter().all(|key| holding(backup.path(), key).is_empty()), "no wrapped key is in the data folder");
    data_keys.extend(wrapped);

    stage.start().await;
    let mut client = stage.client("administrator").await;
    let request = pb::DeleteConnectionRequest { name: connection.name, force: true, ..Default::default() };
    client.connections.delete_connection(request).await.unwrap();
    // While it runs, with its write-ahead log, and once it has ended.
    for running in [true, false] {
        if !running {
            stage.kill();
        }
        for place in [stage.path("data"), stage.path("keys"), backup.path().to_owned()] {
            for key in &data_keys {
                assert_eq!(holding(&place, key), Vec::<PathBuf>::new(), "a data key is there, running: {running}");
            }
            let found = canary::keys_in(&place);
            assert!(found.is_empty(), "the API key is there, running: {running}: {found:?}");
        }
    }
    let vault = vault(&stage);
    assert!(matches!(vault.unseal(&ids[0], FIELD, &sealed), Err(VaultError::NoKey)), "the backup opens");
    assert!(matches!(vault.data_key(&ids[1]), Err(VaultError::NoKey)), "its files open");
    drop(vault);
    stage.start().await;
}
