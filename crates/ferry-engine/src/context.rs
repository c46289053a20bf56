//! What the engine works with.

use crate::lane::Lanes;
use crate::pace::TimeScale;
use ferry_domain::Timestamp;
use ferry_egress::Egress;
use ferry_secrets::SecretStores;
use ferry_store::Store;
use ferry_vault::Vault;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The parts an [`crate::Engine`] is made of.
pub struct EngineParts {
    /// Where runs are claimed and outcomes recorded.
    pub store: Store,
    /// Opens API keys and sealed files.
    pub vault: Vault,
    /// The way out.
    pub egress: Egress,
    /// Where secrets lie that connections only name.
    pub secrets: SecretStores,
    /// The folder with a folder of segments for each tenant.
    pub segments_root: PathBuf,
    /// The folder for sealed files.
    pub data_dir: PathBuf,
    /// The wall clock, for stored times only; waits use a monotonic one.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// How the destination's time relates to ours.
    pub scale: TimeScale,
    /// Names this process in the leases it takes.
    pub worker: String,
}

/// What every run of this process shares.
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) egress: Egress,
    pub(crate) secrets: SecretStores,
    pub(crate) segments_root: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) scale: TimeScale,
    pub(crate) lanes: Lanes,
    pub(crate) worker: String,
    pub(crate) shutdown: CancellationToken,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Context {
    pub(crate) fn new(parts: EngineParts, shutdown: CancellationToken) -> Self {
        let EngineParts { store, vault, egress, secrets, segments_root, data_dir, clock, scale, worker } = parts;
        let lanes = Lanes::new(store.clone(), scale);
        Self { store, vault, egress, secrets, segments_root, data_dir, scale, lanes, worker, shutdown, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
