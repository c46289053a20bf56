//! All that Ferry's files say of people, read with the real keys.

use ferry_segments::layout::{RunFile, StateName};
use ferry_segments::{
    Email, FileKey, Place, PlanReader, RejectedReader, StateEmails, StateFile, StateReader, identity_digest,
    read_samples,
};
use ferry_testkit::{Stage, TENANT, canary};
use ferry_vault::{KeyId, KeySource, Purpose, Vault, VaultConfig};
use std::path::{Path, PathBuf};

/// The texts and the digests of all files under the data directory. The service must not run.
pub(super) struct Everything {
    identity_key: [u8; 32],
    texts: Vec<String>,
    digests: Vec<[u8; 16]>,
    raw: Vec<(PathBuf, Vec<u8>)>,
    pub(super) sealed: usize,
}

impl Everything {
    /// `connection` is the uid of the one connection that everything is sealed for.
    pub(super) fn read(stage: &Stage, connection: &str) -> Self {
        let keys = stage.path("keys");
        let config = VaultConfig { keys: KeySource::File(keys.join("keys.toml")), key_store: keys.join("store") };
        let vault = Vault::open(&config).unwrap();
        let key = |uid: &str, purpose| *vault.data_key(&KeyId::new(TENANT, uid, purpose).unwrap()).unwrap();
        let identity_key = key("", Purpose::Identity);
        let file_key = FileKey::new(key(connection, Purpose::File));
        let mut all = Self { identity_key, texts: Vec::new(), digests: Vec::new(), raw: Vec::new(), sealed: 0 };
        all.folder(&stage.path("data"), connection, &file_key);
        all
    }

    fn folder(&mut self, folder: &Path, connection: &str, key: &FileKey) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.folder(&path, connection, key);
                continue;
            }
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let parquet = path.extension().is_some_and(|end| end == "parquet");
            self.sealed += usize::from(parquet);
            match stem.as_str() {
                _ if !parquet => self.raw.push((path.clone(), std::fs::read(&path).unwrap())),
                state if state.starts_with("state-") => self.state(&path, connection, key),
                run => self.of_run(&path, run, connection, key),
            }
        }
    }

    fn of_run(&mut self, path: &Path, kind: &str, connection: &str, key: &FileKey) {
        let run = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let place =
            |file: RunFile| Place { path: path.to_owned(), key: key.clone(), aad: file.aad(TENANT, connection, &run) };
        match kind {
            "plan" => {
                let place = place(RunFile::Plan);
                let mut plan = PlanReader::open(&place.path, &place.key, &place.aad).unwrap();
                for row in plan.read(usize::MAX).unwrap() {
                    self.digests.push(row.identity);
                    self.texts.push(String::from_utf8_lossy(&row.body).into_owned());
                }
            }
            "samples" => {
                let samples = read_samples(&place(RunFile::Samples)).unwrap();
                self.texts.extend(samples.into_iter().map(|sample| sample.email));
            }
            "rejected" | "refused" => {
                let place = place(if kind == "refused" { RunFile::Refused } else { RunFile::Rejected });
                let rows = RejectedReader::page(&place.path, &place.key, &place.aad, 0, usize::MAX).unwrap();
                self.texts.extend(rows.into_iter().filter_map(|row| row.email));
            }
            other => panic!("a sealed file `{other}` of a kind that this does not read: {}", path.display()),
        }
    }

    fn state(&mut self, path: &Path, connection: &str, key: &FileKey) {
        let folder = path.parent().unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut parts = name.rsplitn(3, '-');
        let (list, generation) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        let number = path.file_stem().unwrap().to_string_lossy().trim_start_matches("state-").parse().unwrap();
        let export_uid = folder.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let name =
            StateName { tenant: TENANT, export_uid: &export_uid, connection_uid: connection, generation, list, number };
        let place = Place { path: path.to_owned(), key: key.clone(), aad: name.aad() };
        // Another digest than that of the store shows only at the end.
        let mut state = StateReader::open(&StateFile { place, digest: [0; 32] }, StateEmails::Read).unwrap();
        while let Ok(Some(entry)) = state.next_entry() {
            self.digests.push(entry.identity);
            self.texts.push(entry.email);
        }
    }

    /// Where somebody stands: in the clear inside a sealed file, or as their digest in one or in any other.
    pub(super) fn places_of(&self, person: &str) -> Vec<String> {
        let email = canary::email(person);
        let digest = self.digest(person);
        let texts = self.texts.iter().filter(|text| text.to_lowercase().contains(&email.to_lowercase()));
        let mut found: Vec<String> = texts.map(|_| "an address in a sealed file".to_owned()).collect();
        found.extend(
            self.digests.iter().filter(|found| **found == digest).map(|_| "a digest in a sealed file".to_owned()),
        );
        // The database holds whom it suppresses.
        let others = self.raw.iter().filter(|(path, _)| !path.to_string_lossy().contains("ferry.db"));
        for (path, bytes) in others {
            if bytes.windows(16).any(|window| window == digest) {
                found.push(format!("a digest in {}", path.display()));
            }
        }
        found
    }

    pub(super) fn digest(&self, person: &str) -> [u8; 16] {
        identity_digest(&self.identity_key, &Email::parse(&canary::email(person)).unwrap())
    }
}
