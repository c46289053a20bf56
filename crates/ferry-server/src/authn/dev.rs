//! An issuer for development: an Ed25519 key in a file, its key set beside it, and tokens.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const KID: &str = "development";

/// Signs tokens with a key of its own.
pub struct DevelopmentIssuer {
    key: EncodingKey,
    jwks: PathBuf,
}

impl DevelopmentIssuer {
    /// Opens the issuer in a folder, or makes one there.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let key_path = folder.join("signing-key.der");
        let failed = |what: &str| std::io::Error::other(what.to_owned());
        if !key_path.exists() {
            let pair = Ed25519KeyPair::generate().map_err(|_| failed("no key can be made"))?;
            let der = pair.to_pkcs8v1().map_err(|_| failed("no key can be made"))?;
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&key_path)?;
            file.write_all(der.as_ref())?;
        }
        let der = std::fs::read(&key_path)?;
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| failed("the signing key is malformed"))?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KID, "x": x}]});
        let jwks = folder.join("jwks.json");
        std::fs::write(&jwks, format!("{set:#}\n"))?;
        Ok(Self { key: EncodingKey::from_ed_der(&der), jwks })
    }

    /// The key set that verifies its tokens.
    #[must_use]
    pub fn jwks(&self) -> &Path {
        &self.jwks
    }

    /// A token with these roles.
    pub fn mint(
        &self,
        subject: &str,
        tenants: &[(String, String)],
        operator: bool,
        (issuer, audience): (&str, &str),
        lifetime: Duration,
    ) -> std::io::Result<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(std::io::Error::other)?.as_secs();
        let roles: Map<String, Value> = tenants.iter().map(|(tenant, role)| (tenant.clone(), json!(role))).collect();
        let claims = json!({
            "iss": issuer, "aud": audience, "sub": subject, "iat": now, "exp": now + lifetime.as_secs(),
            "tenants": roles, "operator": operator,
        });
        self.sign(&claims)
    }

    /// Any claims, signed; for tests of what is refused.
    pub fn sign(&self, claims: &Value) -> std::io::Result<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(KID.to_owned());
        encode(&header, claims, &self.key).map_err(std::io::Error::other)
    }
}
