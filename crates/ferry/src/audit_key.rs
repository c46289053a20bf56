//! `ferry audit key` and `ferry audit rotate-key`: the keys that sign the audit log.

use crate::checkpoints::{CheckpointsDir, LogArgs};
use crate::keys;
use crate::serve::inside;
use anyhow::Context;
use clap::Args;
use ferry_control::audit::keeper::{Keeper, Keys};
use ferry_control::audit::pins::keys_of_log;
use ferry_vault::Vault;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct KeyArgs {
    /// The folder of the key file and the key store.
    #[arg(long, env = "FERRY_KEYS_DIR")]
    keys_dir: PathBuf,
    #[command(flatten)]
    folder: CheckpointsDir,
}

#[derive(Args)]
pub(crate) struct RotateKeyArgs {
    #[command(flatten)]
    log: LogArgs,
}

/// A service may run meanwhile.
pub(crate) fn show(args: &KeyArgs) -> anyhow::Result<()> {
    let seeds = Vault::read_audit_seeds(&keys::config(&args.keys_dir)?).context("the keys cannot be opened")?;
    let notes = args.folder.pins(&args.keys_dir)?.notes().map_err(inside)?;
    let (first, newest) = keys_of_log(&notes, &Keys::new(seeds)).context(
        "the copy holds no checkpoint of this key store; the service writes the first within a minute after its first start, or name the copy with --checkpoints-dir",
    )?;
    println!("{first}");
    if newest != first {
        println!("{newest}");
        eprintln!("the log began with the first of these keys, which a verifier is given; the second signs now");
    }
    Ok(())
}

pub(crate) async fn rotate(args: RotateKeyArgs) -> anyhow::Result<()> {
    let keeper = Keeper::open(args.log.parts().await?).await.map_err(inside)?;
    keeper.sign().await.map_err(inside)?;
    let next = keeper.rotate_key().await.map_err(inside)?;
    println!("{next}");
    eprintln!("signs every later checkpoint; the last one by the key before names it, so verifiers need no new key");
    Ok(())
}
