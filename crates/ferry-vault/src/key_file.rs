//! The key file: key-encryption keys by id, and which of them is current.
//!
//! ```text
//! current = 2026-11
//! 2026-11 = <32 bytes in base64>
//! ```

use crate::VaultError;
use crate::aead::{KEY_BYTES, random_key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

pub(crate) struct KeyFile {
    keys: HashMap<String, Zeroizing<[u8; KEY_BYTES]>>,
    current: String,
}

impl KeyFile {
    pub(crate) fn create(path: &Path) -> Result<(), VaultError> {
        let key = random_key()?;
        let text = Zeroizing::new(format!("current = key-1\nkey-1 = {}\n", STANDARD.encode(key.as_slice())));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(VaultError::io("the key file cannot be made (an existing one is never replaced)"))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(VaultError::io("the key file cannot be written"))
    }

    pub(crate) fn read(path: &Path) -> Result<Self, VaultError> {
        let metadata = std::fs::metadata(path).map_err(VaultError::io("the key file cannot be read"))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::Setup(format!(
                "the key file has mode {mode:o}; nobody but its owner may read it: chmod 600"
            )));
        }
        let text =
            Zeroizing::new(std::fs::read_to_string(path).map_err(VaultError::io("the key file cannot be read"))?);
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, VaultError> {
        let malformed = |line: usize| VaultError::Setup(format!("line {line} of the key file is not `id = value`"));
        let mut keys = HashMap::new();
        let mut current = None;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (id, value) = line.split_once('=').ok_or_else(|| malformed(number + 1))?;
            let (id, value) = (id.trim(), value.trim());
            if id == "current" {
                current = Some(value.to_owned());
                continue;
            }
            let bytes = Zeroizing::new(STANDARD.decode(value).map_err(|_| malformed(number + 1))?);
            let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| malformed(number + 1))?;
            keys.insert(id.to_owned(), Zeroizing::new(key));
        }
        let current = current.ok_or_else(|| VaultError::Setup("the key file names no current key".to_owned()))?;
        if !keys.contains_key(&current) {
            return Err(VaultError::Setup(format!("the key file does not hold its current key `{current}`")));
        }
        Ok(Self { keys, current })
    }

    pub(crate) fn current(&self) -> (&str, Option<&[u8; KEY_BYTES]>) {
        (&self.current, self.get(&self.current))
    }

    pub(crate) fn get(&self, id: &str) -> Option<&[u8; KEY_BYTES]> {
        self.keys.get(id).map(|key| &**key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_key_file_is_private_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        KeyFile::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(KeyFile::read(&path).is_ok());
        assert!(KeyFile::create(&path).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(KeyFile::read(&path).is_err(), "others may read it");
    }

    #[test]
    fn a_key_file_without_its_current_key_is_refused() {
        for text in [
            "",
            "current = a\n",
            "current = a\na = AAAA\n",
            "nonsense\n",
            "current = a\nb = QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n",
        ] {
            assert!(KeyFile::parse(text).is_err(), "{text:?}");
        }
    }
}
