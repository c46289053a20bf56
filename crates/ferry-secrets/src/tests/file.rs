use super::{config, egress, resolve};
use crate::{ConfigError, SecretError, SecretStores, SecretStoresConfig, StoreKind};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MISSING: Result<String, SecretError> = Err(SecretError::Missing(StoreKind::File));

/// A root with folders of two tenants, and a key outside of it.
fn root() -> (TempDir, PathBuf, SecretStores) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("acme/deep/er")).unwrap();
    fs::create_dir_all(root.join("globex")).unwrap();
    fs::write(root.join("acme/key"), "acmes-key\n").unwrap();
    fs::write(root.join("acme/deep/er/key"), "deep-key").unwrap();
    fs::write(root.join("globex/key"), "globexs-key").unwrap();
    fs::write(dir.path().join("outside"), "outside").unwrap();
    let stores = stores(&root).unwrap();
    (dir, root, stores)
}

fn stores(root: &Path) -> Result<SecretStores, ConfigError> {
    SecretStores::new(SecretStoresConfig { file_root: Some(root.to_owned()), ..config() }, &egress())
}

#[tokio::test]
async fn a_file_in_the_tenants_folder_is_read_anew_each_time() {
    let (_dir, root, stores) = root();
    assert_eq!(resolve(&stores, "file:key").await.unwrap(), "acmes-key");
    assert_eq!(resolve(&stores, "file:deep/er/key").await.unwrap(), "deep-key");
    fs::write(root.join("acme/key"), "new-key").unwrap();
    assert_eq!(resolve(&stores, "file:key").await.unwrap(), "new-key");
    fs::remove_file(root.join("acme/key")).unwrap();
    assert_eq!(resolve(&stores, "file:key").await, MISSING);
}

#[tokio::test]
async fn a_link_anywhere_below_the_root_is_not_followed() {
    let (dir, root, stores) = root();
    let acme = root.join("acme");
    symlink(dir.path().join("outside"), acme.join("absolute")).unwrap();
    symlink("../../outside", acme.join("relative")).unwrap();
    symlink("../globex/key", acme.join("others")).unwrap();
    symlink("key", acme.join("own")).unwrap();
    symlink("../globex", acme.join("folder")).unwrap();
    symlink("/proc/self", acme.join("proc")).unwrap();
    symlink("nowhere", acme.join("dangling")).unwrap();
    for path in ["absolute", "relative", "others", "own", "folder/key", "proc/environ", "dangling"] {
        assert_eq!(resolve(&stores, &format!("file:{path}")).await, MISSING, "{path}");
    }
    fs::rename(&acme, root.join("real")).unwrap();
    symlink("globex", &acme).unwrap();
    assert_eq!(resolve(&stores, "file:key").await, MISSING);
}

#[tokio::test]
async fn a_root_may_be_a_link_of_the_operators() {
    let (dir, root, _) = root();
    symlink(&root, dir.path().join("link")).unwrap();
    let stores = stores(&dir.path().join("link")).unwrap();
    assert_eq!(resolve(&stores, "file:key").await.unwrap(), "acmes-key");
}

#[tokio::test]
async fn only_a_regular_file_of_the_size_of_a_key_is_read() {
    let (_dir, root, stores) = root();
    let acme = root.join("acme");
    mknodat(CWD, acme.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(acme.join("socket")).unwrap();
    for path in ["pipe", "deep", "key/below", "nothing", "nothing/at/all"] {
        assert_eq!(resolve(&stores, &format!("file:{path}")).await, MISSING, "{path}");
    }
    assert!(resolve(&stores, "file:socket").await.is_err());
    let malformed = Err(SecretError::Malformed(StoreKind::File));
    let contents = ["", "\n", "a\n\n", "a\r\n", "a b", "\u{feff}a", "ä"].map(|text| text.as_bytes().to_vec());
    for content in contents.into_iter().chain([vec![0xff], vec![b'x'; 1025], vec![b'x'; 4097], vec![b'x'; 1 << 24]]) {
        fs::write(acme.join("key"), &content).unwrap();
        assert_eq!(resolve(&stores, "file:key").await, malformed, "{} bytes", content.len());
    }
    fs::write(acme.join("key"), [b'x'; 1024]).unwrap();
    assert_eq!(resolve(&stores, "file:key").await.unwrap().len(), 1024);
}

#[tokio::test]
async fn a_file_without_permission_is_the_operators_to_open() {
    let (_dir, root, stores) = root();
    fs::set_permissions(root.join("acme/key"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything, so there the file is simply read.
    let expected = if fs::read(root.join("acme/key")).is_ok() {
        Ok("acmes-key".to_owned())
    } else {
        Err(SecretError::Denied(StoreKind::File))
    };
    assert_eq!(resolve(&stores, "file:key").await, expected);
}

#[test]
fn a_root_is_a_folder_by_its_whole_path() {
    let (dir, _, _) = root();
    for path in ["root".into(), dir.path().join("outside"), dir.path().join("nowhere"), PathBuf::new()] {
        assert!(matches!(stores(&path).err(), Some(ConfigError::FileRoot(_))), "{}", path.display());
    }
}

#[tokio::test]
async fn no_message_shows_the_operators_paths() {
    let (dir, _, stores) = root();
    let error = resolve(&stores, "file:nothing").await.unwrap_err();
    let text = format!("{error} {error:?} {stores:?}");
    assert!(!text.contains(dir.path().to_str().unwrap()) && !text.contains("acme"), "{text}");
}
