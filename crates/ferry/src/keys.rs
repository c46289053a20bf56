//! `ferry keys`: the keys that the service seals secrets with.

use anyhow::bail;
use clap::{Args, Subcommand};
use ferry_vault::{KeySource, Survey, Vault, VaultConfig, VaultError};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Holds what the key file would hold otherwise. Never a flag: a command line is for everyone to read.
const KEYS_VARIABLE: &str = "FERRY_KEYS";
/// How often the key store is looked through while a service re-wraps it.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Args)]
struct KeysDir {
    /// The folder for the key file and the key store. Keep it off the data volume and out of its backups.
    #[arg(long, env = "FERRY_KEYS_DIR")]
    keys_dir: PathBuf,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a key file with a new key; an existing one is never replaced.
    Create(KeysDir),
    /// Show which keys there are, which is current, and how many data keys each of them wraps.
    List(KeysDir),
    /// Add a new key, make it current, and wait until every data key is wrapped by it. A service may run meanwhile.
    Rotate {
        #[command(flatten)]
        dir: KeysDir,
        /// How long to wait for a running service, in seconds.
        #[arg(long, default_value_t = 600)]
        wait_s: u64,
    },
    /// Remove the keys that no data key is wrapped by any more. Backups of the key store from before open no more.
    Retire(KeysDir),
}

/// The keys in a key file below the keys folder.
pub(crate) fn file_config(keys_dir: &Path) -> VaultConfig {
    VaultConfig { keys: KeySource::File(keys_dir.join("keys.toml")), key_store: keys_dir.join("store") }
}

/// The keys of the environment if it holds any, else the key file.
pub(crate) fn config(keys_dir: &Path) -> anyhow::Result<VaultConfig> {
    let config = file_config(keys_dir);
    let text = match std::env::var(KEYS_VARIABLE).map(Zeroizing::new) {
        Err(std::env::VarError::NotPresent) => return Ok(config),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{KEYS_VARIABLE} is not text; write it like a key file"),
        Ok(text) => text,
    };
    if let KeySource::File(path) = &config.keys
        && path.exists()
    {
        bail!("there are keys in {KEYS_VARIABLE} and in {}; unset the one or remove the other", path.display());
    }
    Ok(VaultConfig { keys: KeySource::Text(text), ..config })
}

/// Makes the key file.
pub(crate) fn create(keys_dir: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(keys_dir)?;
    let path = keys_dir.join("keys.toml");
    Vault::create_key_file(&path)?;
    Ok(path)
}

pub(crate) async fn run(args: KeysArgs) -> anyhow::Result<()> {
    match args.command {
        KeysCommand::Create(dir) => {
            let path = create(&dir.keys_dir)?;
            println!("wrote {} (mode 0600); whoever has it and the key store can open every secret", path.display());
        }
        KeysCommand::List(dir) => list(&Vault::survey(&config(&dir.keys_dir)?)?),
        KeysCommand::Rotate { dir, wait_s } => {
            rotate(&config(&dir.keys_dir)?, Duration::from_secs(wait_s)).await?;
        }
        KeysCommand::Retire(dir) => {
            let gone = Vault::retire_keys(&config(&dir.keys_dir)?)?;
            match gone.as_slice() {
                [] => println!("there is no key but the current one"),
                gone => println!("removed {}; no data key was wrapped by it", gone.join(", ")),
            }
        }
    }
    Ok(())
}

fn list(survey: &Survey) {
    for (id, count) in &survey.keys {
        let mark = if *id == survey.current { "current" } else { "" };
        println!("{id:32} {count:>9} data keys {mark}");
    }
    for name in &survey.damaged {
        println!("the data key `{name}` is damaged");
    }
}

async fn rotate(config: &VaultConfig, limit: Duration) -> anyhow::Result<()> {
    let id = Vault::add_key(config)?;
    println!("`{id}` is in the key file and current; the data keys are being wrapped by it");
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("[{bar:40}] {pos} of {len} data keys")?);
    let begun = Instant::now();
    loop {
        // Who holds the key store re-wraps it. That is a running service, or else this process.
        match Vault::open(config) {
            Ok(vault) => {
                bar.set_length(Vault::survey(config)?.keys.values().sum::<usize>() as u64);
                vault.rewrap_keys(|| {
                    bar.inc(1);
                    true
                })?;
            }
            Err(VaultError::InUse) => {}
            Err(error) => return Err(error.into()),
        }
        let survey = Vault::survey(config)?;
        if survey.is_settled() {
            bar.finish_and_clear();
            println!("every data key is wrapped by `{}`", survey.current);
            println!(
                "`ferry keys retire` removes the old keys; backups of the key store from before open no more then"
            );
            return Ok(());
        }
        let left = survey.left() as u64;
        bar.set_length(survey.keys.values().sum::<usize>() as u64);
        bar.set_position(bar.length().unwrap_or(left) - left);
        if begun.elapsed() > limit {
            bail!(
                "{left} data keys are not wrapped by `{id}` yet; nothing is lost, and the service goes on with them: \
                 look with `ferry keys list`, and into its log if their number stays"
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}
