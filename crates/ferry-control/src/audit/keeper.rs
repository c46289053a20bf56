//! Who signs: every minute, after a thousand new entries, and when somebody asks, if there is anything new.
//!
//! ```text
//! leaves, nodes, signed checkpoint: one transaction ─▶ copied outside of the database, synced ─▶ the next one
//! ```
//!
//! Where the copy cannot be written nothing more is signed, the log says so each minute, and it goes on by itself. Sending
//! goes on meanwhile: each entry is in the chain of its tenant all the same.

use super::pins::{Pins, refused};
use super::restored;
use crate::control::vault_failure;
use crate::segment::blocking;
use ferry_domain::{Error, Result, Timestamp};
use ferry_ledger::checkpoint::{Signer, VerifierKey};
use ferry_store::{AuditLog, Rotation, Signing, Store};
use ferry_vault::{AuditSeed, Vault};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a failure is told while it lasts.
const TOLD_EACH: Duration = Duration::from_secs(60);
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The parts a [`Keeper`] is made of.
pub struct KeeperParts {
    /// Where entries and checkpoints are.
    pub store: Store,
    /// Holds the signing keys.
    pub vault: Vault,
    /// Where the copy lies.
    pub pins: Pins,
    /// At most this long after an entry a checkpoint covers it.
    pub interval: Duration,
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Signs checkpoints and copies them. There is one for a database.
pub struct Keeper {
    pub(super) parts: KeeperParts,
    pub(super) keys: Keys,
    signer: Arc<Signer>,
}

/// The signing keys of all generations, each under the name of a log.
pub struct Keys(Vec<AuditSeed>);

impl Keys {
    /// Takes the seeds.
    #[must_use]
    pub fn new(seeds: Vec<AuditSeed>) -> Self {
        Self(seeds)
    }

    /// What checks the signatures of a log, by generation.
    #[must_use]
    pub fn of(&self, origin: &str) -> Vec<(u32, VerifierKey)> {
        let signers =
            self.0.iter().filter_map(|(generation, seed)| Some((*generation, Signer::new(origin, seed).ok()?)));
        signers.map(|(generation, signer)| (generation, signer.verifier_key().clone())).collect()
    }

    pub(super) fn newest(&self) -> u32 {
        self.0.last().map_or(0, |(generation, _)| *generation)
    }

    pub(super) fn signer(&self, origin: &str, generation: u32) -> Result<Arc<Signer>> {
        let seed = self.0.iter().find(|(found, _)| *found == generation).map(|(_, seed)| seed).ok_or_else(|| {
            refused(format!(
                "the key store lacks the audit log's signing key of generation {generation}; put the key store back \
                 that this database was used with"
            ))
        })?;
        let signer = Signer::new(origin, seed).map_err(|error| Error::internal("a signing key", error))?;
        Ok(Arc::new(signer))
    }
}

pub(super) fn new_origin() -> String {
    format!("ferry.audit/{}", uuid::Uuid::new_v4())
}

impl Keeper {
    /// Compares what lies outside with the database, and copies what is missing there. Refused where the database is not
    /// the one that was signed last: then nothing may be signed or sent. Begins the log of a new database.
    pub async fn open(parts: KeeperParts) -> Result<Self> {
        let keys = Self::keys(&parts.vault).await?;
        restored::copy_missing(&parts.store, &parts.pins, &keys).await?;
        restored::copy_suppressions(&parts.store, &parts.pins).await?;
        let log = parts.store.audit_log().await?;
        let (log, keys) = match log {
            Some(log) => (log, keys),
            None => Self::begin(&parts, keys).await?,
        };
        let signer = keys.signer(&log.origin, log.key_generation)?;
        Ok(Self { parts, keys, signer })
    }

    async fn begin(parts: &KeeperParts, keys: Keys) -> Result<(AuditLog, Keys)> {
        let generation = keys.newest().max(1);
        let vault = parts.vault.clone();
        blocking(move || vault.ensure_audit_seed(generation)).await?.map_err(vault_failure)?;
        let log = parts.store.audit_log_begin(&new_origin(), generation).await?;
        Ok((log, Self::keys(&parts.vault).await?))
    }

    pub(super) async fn keys(vault: &Vault) -> Result<Keys> {
        let vault = vault.clone();
        Ok(Keys(blocking(move || vault.audit_seeds()).await?.map_err(vault_failure)?))
    }

    /// Signs from time to time until `stop`, and once more then, so that the last entries are covered.
    pub async fn keep(self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let (mut told, mut is_first): (Option<Instant>, bool) = (None, true);
        loop {
            let failed = self.look(is_first, &mut told).await;
            is_first = is_first && failed;
            let store = &self.parts.store;
            let wait = if failed { AGAIN.min(self.parts.interval) } else { self.parts.interval };
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(wait) => {}
                // What cannot be signed does not get more so by more of it.
                () = store.checkpoint_due(), if !failed => {}
            }
        }
        self.look(is_first, &mut None).await;
    }

    /// Whether it failed.
    async fn look(&self, is_first: bool, told: &mut Option<Instant>) -> bool {
        // Before the first look nobody has counted what an earlier process left.
        if !is_first && told.is_none() && !self.parts.store.has_new_entries() {
            return false;
        }
        match self.sign().await {
            Ok(()) => {
                if told.take().is_some() {
                    tracing::warn!("the audit log's checkpoints are signed and copied again");
                }
                false
            }
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= TOLD_EACH) {
                    tracing::error!(
                        ?error,
                        "the audit log cannot be signed, or its checkpoint not be copied; new entries are not covered \
                         until it can"
                    );
                    *told = Some(Instant::now());
                }
                true
            }
        }
    }

    /// Signs what is new, and copies it.
    pub async fn sign(&self) -> Result<()> {
        let KeeperParts { store, pins, clock, .. } = &self.parts;
        if !store.has_unsigned_entries().await? {
            return restored::copy_uncopied(store, pins, &self.keys).await;
        }
        ferry_domain::failpoint!("checkpoint-begun");
        let signing = match store.checkpoint_sign(Arc::clone(&self.signer), clock()).await? {
            Signing::Uncopied => {
                restored::copy_missing(store, pins, &self.keys).await?;
                store.checkpoint_sign(Arc::clone(&self.signer), clock()).await?
            }
            signing => signing,
        };
        self.copied(signing).await
    }

    async fn copied(&self, signing: Signing) -> Result<()> {
        match signing {
            Signing::Nothing => Ok(()),
            Signing::Uncopied => Err(Error::internal("nothing is signed", "the last checkpoint is not copied")),
            Signing::Signed(_) => {
                ferry_domain::failpoint!("checkpoint-committed");
                restored::copy_missing(&self.parts.store, &self.parts.pins, &self.keys).await
            }
        }
    }

    /// Makes the next signing key, and has the old one name it in its last checkpoint. Returns the new key.
    pub async fn rotate_key(self) -> Result<VerifierKey> {
        let KeeperParts { store, vault, pins, clock, .. } = &self.parts;
        let log = store.audit_log().await?.ok_or_else(|| Error::internal("no key can be rotated", "no log"))?;
        let generation = log.key_generation + 1;
        let held = vault.clone();
        blocking(move || held.ensure_audit_seed(generation)).await?.map_err(vault_failure)?;
        let keys = Self::keys(vault).await?;
        let next = keys.signer(&log.origin, generation)?.verifier_key().clone();
        let rotation = Rotation { generation, next: next.clone() };
        let signing = store.checkpoint_rotate(Arc::clone(&self.signer), rotation, clock()).await?;
        match signing {
            Signing::Signed(_) => restored::copy_missing(store, pins, &keys).await?,
            Signing::Nothing | Signing::Uncopied => {
                return Err(Error::internal("the key was not rotated", "the last checkpoint is not copied"));
            }
        }
        Ok(next)
    }
}
