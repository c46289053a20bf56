//! What the engine works with.

use ferry_domain::Timestamp;
use ferry_egress::Egress;
use ferry_lanes::{Lanes, TimeScale};
use ferry_secrets::SecretStores;
use ferry_store::Store;
use ferry_telemetry::Telemetry;
use ferry_vault::Vault;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};
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
    /// The ways to destination accounts.
    pub lanes: Arc<Lanes>,
    /// Names this process in the leases it takes.
    pub worker: String,
    /// Where runs are told of.
    pub telemetry: Telemetry,
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
    pub(crate) lanes: Arc<Lanes>,
    /// Whoever reads segments holds one: reading takes a core and memory, so more at once would only be slower.
    pub(crate) planning: Arc<Semaphore>,
    pub(crate) worker: String,
    pub(crate) telemetry: Telemetry,
    pub(crate) shutdown: CancellationToken,
    /// A run has ended: what it sent is to be folded into the recipients file of its list.
    pub(crate) ended: Notify,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Context {
    pub(crate) fn new(parts: EngineParts, shutdown: CancellationToken) -> Self {
        let EngineParts { store, vault, egress, secrets, segments_root, data_dir, clock, lanes, worker, telemetry } =
            parts;
        let scale = lanes.scale();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let planning = Arc::new(Semaphore::new(cores));
        Self {
            store,
            vault,
            egress,
            secrets,
            segments_root,
            data_dir,
            scale,
            lanes,
            planning,
            worker,
            telemetry,
            shutdown,
            ended: Notify::new(),
            clock,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
