#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

/// A certificate and its key.
fn pair(host: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}

struct Folder(TempDir);

impl Folder {
    fn new(cert: &str, key: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("cert.pem", cert);
        folder.write("key.pem", key);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn files(&self, clients: ClientCertificates) -> TlsFiles {
        TlsFiles { cert: self.0.path().join("cert.pem"), key: self.0.path().join("key.pem"), clients }
    }

    async fn open(&self) -> Result<Tls, TlsError> {
        Tls::open(self.files(ClientCertificates::None)).await
    }
}

#[tokio::test]
async fn a_start_with_files_that_cannot_be_used_says_which_and_why() {
    let (cert, key) = pair("ferry.test");
    let (_, other) = pair("ferry.test");
    let cut = &cert[..cert.len() / 2];
    let cases = [
        (cert.as_str(), other.as_str(), "is not the key of the first certificate"),
        (cut, key.as_str(), "cert.pem holds no certificate in PEM form"),
        ("", key.as_str(), "cert.pem holds no certificate in PEM form"),
        (cert.as_str(), cert.as_str(), "key.pem holds no private key in PEM form"),
    ];
    for (cert, key, expected) in cases {
        let text = Folder::new(cert, key).open().await.err().unwrap().to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("PRIVATE"), "no part of a key is told");
    }
    let folder = Folder::new(&cert, &key);
    std::fs::remove_file(folder.0.path().join("key.pem")).unwrap();
    assert!(matches!(folder.open().await.err().unwrap(), TlsError::Unreadable { .. }));
    folder.write("key.pem", &key);
    folder.write("ca.pem", "nothing");
    let files = folder.files(ClientCertificates::Required(folder.0.path().join("ca.pem")));
    assert!(matches!(Tls::open(files).await.err().unwrap(), TlsError::Empty { .. }));
}

#[tokio::test]
async fn a_new_pair_is_taken_whole_or_not_at_all() {
    let (cert, key) = pair("ferry.test");
    let (new_cert, new_key) = pair("ferry.test");
    let folder = Folder::new(&cert, &key);
    let tls = folder.open().await.unwrap();
    let first = Arc::clone(&tls.current.borrow().config);
    let same = || Arc::ptr_eq(&first, &tls.current.borrow().config);
    assert_eq!(tls.look().await, Ok(false), "nothing has changed");
    folder.write("cert.pem", &new_cert);
    assert!(matches!(tls.look().await, Err(TlsError::OtherKey { .. })));
    assert!(same(), "half of a pair");
    folder.write("key.pem", &new_key[..new_key.len() / 2]);
    assert!(tls.look().await.is_err() && same(), "a key that is still being written");
    folder.write("key.pem", &new_key);
    assert_eq!(tls.look().await, Ok(true));
    assert!(!same());
    assert_eq!(tls.look().await, Ok(false));
}
