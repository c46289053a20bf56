//! The audit log's checkpoints: where their copy lies, how often they are made, and the task that makes them.

use crate::keys;
use crate::serve::{inside, now, open_store};
use anyhow::Context;
use clap::Args;
use ferry_control::audit::keeper::{Keeper, KeeperParts};
use ferry_control::audit::pins::Pins;
use ferry_domain::Timestamp;
use ferry_store::Store;
use ferry_vault::Vault;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Args)]
pub(crate) struct CheckpointArgs {
    #[command(flatten)]
    folder: CheckpointsDir,
    /// The most seconds until a checkpoint covers what is new. A thousand new entries are covered at once.
    #[arg(long, help_heading = "Audit", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u8).range(1..=60))]
    checkpoint_interval: u8,
}

#[derive(Args)]
pub(crate) struct CheckpointsDir {
    /// Where each signed checkpoint of the audit log is copied to, best a volume that the database's administrator
    /// cannot write; `checkpoints` in the keys folder unless given.
    #[arg(long, help_heading = "Audit", env = "FERRY_CHECKPOINTS_DIR")]
    checkpoints_dir: Option<PathBuf>,
}

/// What the offline commands of the audit log work on.
#[derive(Args)]
pub(crate) struct LogArgs {
    /// The data directory.
    #[arg(long, env = "FERRY_DATA_DIR")]
    data_dir: PathBuf,
    /// The folder of the key file and the key store.
    #[arg(long, env = "FERRY_KEYS_DIR")]
    keys_dir: PathBuf,
    #[command(flatten)]
    folder: CheckpointsDir,
}

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl CheckpointsDir {
    pub(crate) fn pins(&self, keys_dir: &Path) -> anyhow::Result<Pins> {
        let pins = match &self.checkpoints_dir {
            Some(named) => Pins::open(named, true),
            None => Pins::open(&keys_dir.join("checkpoints"), false),
        };
        pins.map_err(inside)
    }
}

impl CheckpointArgs {
    /// In the usual place, as often as that.
    pub(crate) fn each(seconds: u8) -> Self {
        Self { folder: CheckpointsDir { checkpoints_dir: None }, checkpoint_interval: seconds }
    }

    pub(crate) fn pins(&self, keys_dir: &Path) -> anyhow::Result<Pins> {
        self.folder.pins(keys_dir)
    }

    pub(crate) fn parts(&self, store: &Store, vault: &Vault, pins: &Pins, clock: &Clock) -> KeeperParts {
        KeeperParts {
            store: store.clone(),
            vault: vault.clone(),
            pins: pins.clone(),
            interval: Duration::from_secs(self.checkpoint_interval.into()),
            clock: Arc::clone(clock),
        }
    }
}

impl LogArgs {
    /// Takes the locks that the service would hold.
    pub(crate) async fn parts(&self) -> anyhow::Result<KeeperParts> {
        let vault = Vault::open(&keys::config(&self.keys_dir)?).context("the keys cannot be opened")?;
        let store = open_store(&self.data_dir).await?;
        store.migrate().await.map_err(inside)?;
        let pins = self.folder.pins(&self.keys_dir)?;
        Ok(KeeperParts { store, vault, pins, interval: Duration::from_secs(60), clock: Arc::new(now) })
    }
}

/// The task that signs.
pub(crate) struct Keeping {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeping {
    pub(crate) fn start(keeper: Keeper) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keeper.keep(stop.clone().cancelled_owned()));
        Self { stop, task }
    }

    /// Comes after everything that leaves entries has ended: the last checkpoint covers them.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}
