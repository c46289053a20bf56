//! `vault:` references: fields of secrets in HashiCorp Vault, KV version 2.

use crate::reference::is_path;
use crate::value::{is_visible, key, line};
use crate::{ConfigError, SecretError, StoreKind};
use ferry_domain::TenantId;
use ferry_egress::{Egress, OperatorClient, OperatorOrigin, Request};
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// For the token's file, and for the answer: a run waits for both.
const DEADLINE: Duration = Duration::from_secs(5);
const ANSWER_BYTES: usize = 256 * 1024;
const TOKEN_BYTES: usize = 4096;
const KIND: StoreKind = StoreKind::Vault;

/// Where the store is.
#[derive(Debug, Clone)]
pub struct VaultKvConfig {
    /// The server.
    pub address: OperatorOrigin,
    /// The authority that signed its certificate, in PEM; the system's authorities if there is none.
    pub ca_pem: Option<String>,
    /// The path that the engine is mounted at, like `secret`.
    pub mount: String,
    /// What stands before the tenant in a path, like `ferry`; nothing if it is empty.
    pub prefix: String,
    /// The namespace, for servers that have them.
    pub namespace: Option<String>,
    /// The token, in a file that may be replaced at any time: it is read for each request.
    pub token_file: PathBuf,
}

pub(crate) struct VaultKvStore {
    client: OperatorClient,
    /// Everything before the tenant.
    base: String,
    namespace: Option<HeaderValue>,
    token_file: PathBuf,
}

/// `data` is null where the answer is about nothing, and in it once more where the newest version was deleted.
#[derive(Deserialize)]
struct Body {
    data: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    data: Option<Map<String, Value>>,
}

impl VaultKvStore {
    pub(crate) fn new(config: VaultKvConfig, egress: &Egress) -> Result<Self, ConfigError> {
        let VaultKvConfig { address, ca_pem, mount, prefix, namespace, token_file } = config;
        let namespace = match namespace {
            Some(text) if !is_path(&text) => return Err(ConfigError::VaultPath(text)),
            Some(text) => Some(HeaderValue::from_str(&text).map_err(|_| ConfigError::VaultPath(text))?),
            None => None,
        };
        if !is_path(&mount) {
            return Err(ConfigError::VaultPath(mount));
        }
        let base = match prefix.as_str() {
            "" => format!("/v1/{mount}/data"),
            prefix if is_path(prefix) => format!("/v1/{mount}/data/{prefix}"),
            _ => return Err(ConfigError::VaultPath(prefix)),
        };
        Ok(Self { client: egress.operator(&address, ca_pem.as_deref())?, base, namespace, token_file })
    }

    pub(crate) async fn read(&self, tenant: &TenantId, path: &str, field: &str) -> Result<SecretString, SecretError> {
        let token = tokio::time::timeout(DEADLINE, token(&self.token_file)).await.unwrap_or_else(|_| {
            tracing::error!("the file of the token for the secret store did not answer");
            Err(SecretError::Unreachable(KIND))
        })?;
        let request = Request::new(Method::GET, format!("{}/{tenant}/{path}", self.base), DEADLINE)
            .secret_header(TOKEN, token)
            .answer_limit(ANSWER_BYTES);
        let request = match &self.namespace {
            Some(namespace) => request.header(NAMESPACE, namespace.clone()),
            None => request,
        };
        let answer = self.client.send(request).await.map_err(|error| {
            tracing::warn!(%error, "the secret store gives no answer");
            SecretError::Unreachable(KIND)
        })?;
        usable(answer.status)?;
        value(&answer.body, field)
    }
}

/// The token is never part of a message, and neither is the file's content when it is none.
async fn token(path: &Path) -> Result<SecretString, SecretError> {
    let refused = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, file = %path.display(), "the token for the secret store cannot be read");
        SecretError::Unreachable(KIND)
    };
    let mut content = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES + 1));
    let file = tokio::fs::File::open(path).await.map_err(|error| refused(&error))?;
    file.take(TOKEN_BYTES as u64 + 1).read_to_end(&mut content).await.map_err(|error| refused(&error))?;
    let token = line(&content).filter(|token| content.len() <= TOKEN_BYTES && is_visible(token));
    token.map(SecretString::from).ok_or_else(|| refused(&"it is not one line of at most 4096 visible characters"))
}

/// As the documentation of Vault's API says what its statuses mean. 429, 472 and 473 are also those of a standby.
fn usable(status: StatusCode) -> Result<(), SecretError> {
    let error = match status.as_u16() {
        200 => return Ok(()),
        404 => return Err(SecretError::Missing(KIND)),
        403 => SecretError::Denied(KIND),
        412 | 429 | 472 | 473 => SecretError::Busy(KIND),
        503 => SecretError::Sealed(KIND),
        _ => SecretError::Unreachable(KIND),
    };
    tracing::warn!(status = status.as_u16(), "the secret store refuses");
    Err(error)
}

fn value(body: &[u8], field: &str) -> Result<SecretString, SecretError> {
    let body: Body = serde_json::from_slice(body).map_err(|_| {
        // The parser's own message may quote what it read.
        tracing::warn!("the secret store's answer is not one of a KV version 2 engine");
        SecretError::Unreachable(KIND)
    })?;
    let fields = body.data.and_then(|version| version.data).ok_or(SecretError::Missing(KIND))?;
    match fields.get(field) {
        None | Some(Value::Null) => Err(SecretError::Missing(KIND)),
        Some(Value::String(text)) => key(text, KIND),
        Some(_) => Err(SecretError::Malformed(KIND)),
    }
}
