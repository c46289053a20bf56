//! `ferry keys`: the key file that the service seals secrets with.

use clap::{Args, Subcommand};
use ferry_vault::{Vault, VaultConfig};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a key file with a new key; an existing one is never replaced.
    Create {
        /// The folder for the key file and the key store. Keep it off the data volume and out of its backups.
        #[arg(long, env = "FERRY_KEYS_DIR")]
        keys_dir: PathBuf,
    },
}

/// Where the vault finds its keys below the keys folder.
pub(crate) fn vault_config(keys_dir: &Path) -> VaultConfig {
    VaultConfig { key_file: keys_dir.join("keys.toml"), key_store: keys_dir.join("store") }
}

/// Makes the key file.
pub(crate) fn create(keys_dir: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(keys_dir)?;
    let config = vault_config(keys_dir);
    Vault::create_key_file(&config.key_file)?;
    Ok(config.key_file)
}

pub(crate) fn run(args: KeysArgs) -> anyhow::Result<()> {
    match args.command {
        KeysCommand::Create { keys_dir } => {
            let path = create(&keys_dir)?;
            println!("wrote {} (mode 0600); whoever has it and the key store can open every secret", path.display());
            Ok(())
        }
    }
}
