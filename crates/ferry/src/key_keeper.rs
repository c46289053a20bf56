//! What a service does for its keys beside its work: it takes up a changed key file, re-wraps the data keys, and
//! forgets what it has unwrapped.

use ferry_vault::{Vault, VaultError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long it waits after a failure: a look at every key each second would be too much.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Goes on until `stop`.
pub(crate) fn start(vault: &Vault, stop: &CancellationToken) {
    tokio::spawn(stop.clone().run_until_cancelled_owned(forget(vault.clone())));
    tokio::spawn(stop.clone().run_until_cancelled_owned(keep(vault.clone(), stop.clone())));
}

async fn forget(vault: Vault) {
    loop {
        tokio::time::sleep(LOOK).await;
        vault.forget_old_keys();
    }
}

async fn keep(vault: Vault, stop: CancellationToken) {
    let mut told = String::new();
    loop {
        let (held, stopped) = (vault.clone(), stop.clone());
        // Not a task: reading and syncing files would hold up others. A stop ends it after one key.
        let looked = tokio::task::spawn_blocking(move || look(&held, &stopped)).await;
        let failed = match looked {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if !failed.is_empty() && failed != told {
            tracing::error!(cause = failed, "the keys from before stay in use");
        }
        tokio::time::sleep(if failed.is_empty() { LOOK } else { LOOK_AGAIN }).await;
        told = failed;
    }
}

fn look(vault: &Vault, stop: &CancellationToken) -> Result<(), VaultError> {
    if let Some(current) = vault.reload_keys()? {
        tracing::info!(current, "took up the changed key file");
    }
    let rewrapped = vault.rewrap_keys(|| !stop.is_cancelled())?;
    if rewrapped > 0 {
        tracing::info!(rewrapped, "wrapped data keys by the current key");
    }
    Ok(())
}
