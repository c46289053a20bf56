//! Resume tokens: sealed like page tokens, and bound to the tenant, the parent and the run.

use crate::control::vault_failure;
use ferry_domain::name::RunParent;
use ferry_domain::{Error, Result, hex};
use ferry_store::Watched;
use ferry_vault::Vault;
use std::sync::{Arc, Mutex, PoisonError};

const LABEL: &str = "resume-token";
/// Bytes of a token, as the API says.
const BYTES: usize = 1_024;
/// The first byte of what is sealed.
const FORMAT: u8 = 1;

/// Up to where a watcher has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Not even the snapshot is whole: it begins with one.
    Anew,
    /// All up to this number of the tenant's log, and all that the snapshot held.
    Through(u64),
}

/// Makes the tokens of one tenant, parent and run. All who watch the same share one, and with it the newest token.
pub(super) struct Sealer {
    vault: Vault,
    context: Vec<u8>,
    newest: Mutex<Option<(Position, Arc<str>)>>,
}

impl Sealer {
    pub(super) fn new(vault: &Vault, watched: &Watched) -> Self {
        Self { vault: vault.clone(), context: context(watched), newest: Mutex::new(None) }
    }

    /// The token of a position.
    pub(super) fn seal(&self, position: Position) -> Result<Arc<str>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, token)) = newest.as_ref().filter(|(at, _)| *at == position) {
            return Ok(Arc::clone(token));
        }
        let mut content = vec![FORMAT];
        if let Position::Through(number) = position {
            content.extend_from_slice(&number.to_be_bytes());
        }
        let sealed = self.vault.seal_token(LABEL, &self.context, &content).map_err(vault_failure)?;
        let token: Arc<str> = hex::encode(&sealed).into();
        *newest = Some((position, Arc::clone(&token)));
        Ok(token)
    }

    /// Reads a token that was sealed for the same tenant, parent and run.
    pub(super) fn open(&self, token: &str) -> Result<Position> {
        let opened = Some(token)
            .filter(|token| token.len() <= BYTES)
            .and_then(hex::decode)
            .and_then(|sealed| self.vault.unseal_token(LABEL, &self.context, &sealed).ok());
        let position = opened.as_ref().and_then(|content| match content.split_first()? {
            (&FORMAT, []) => Some(Position::Anew),
            (&FORMAT, number) => Some(Position::Through(u64::from_be_bytes(number.try_into().ok()?))),
            _ => None,
        });
        position.ok_or_else(|| {
            Error::invalid("resume_token", "is not a token of this parent and run; begin again without one")
        })
    }
}

/// What a token is bound to, and what those have in common who share a [`Sealer`].
pub(super) fn context(watched: &Watched) -> Vec<u8> {
    let (tenant, export) = match watched.parent() {
        RunParent::Tenant(tenant) => (tenant, "-"),
        RunParent::Export(export) => (&export.tenant, export.export.as_str()),
    };
    let run = watched.run().map_or("", |run| run.as_str());
    let mut context = Vec::new();
    for part in [tenant.as_str(), watched.tenant_uid(), export, run] {
        context.extend_from_slice(&(part.len() as u64).to_be_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    context
}
