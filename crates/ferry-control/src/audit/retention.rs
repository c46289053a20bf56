//! The sweep that applies each tenant's retention, and cuts the log of what became of runs and old notifications.

use crate::Control;
use ferry_domain::{Error, Result};
use std::time::Duration;

/// How often it is looked for entries whose time is over.
const EVERY: Duration = Duration::from_secs(3_600);
/// Between two steps: whoever writes meanwhile goes first.
const BREATH: Duration = Duration::from_millis(20);

impl Control {
    /// Applies retention and cuts the log of changes at once, and then each hour. Never returns.
    pub async fn keep_retention(&self) {
        loop {
            // What one sweep could not do the next one does.
            if let Err(Error::Internal(cause) | Error::Unavailable(cause)) = self.sweep().await {
                tracing::error!(cause = %cause.0, "retention of the audit log could not be applied; it is tried again in an hour");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn sweep(&self) -> Result<()> {
        while self.store().run_changes_cut(self.now()).await? {
            tokio::time::sleep(BREATH).await;
        }
        while self.store().notifications_cut(self.now()).await? {
            tokio::time::sleep(BREATH).await;
        }
        for tenant in self.store().tenants_with_retention().await? {
            let mut bodies = 0;
            loop {
                let step = self.store().retention_step(&tenant, self.now()).await?;
                bodies += step.bodies;
                if !step.more {
                    break;
                }
                tokio::time::sleep(BREATH).await;
            }
            if bodies > 0 {
                tracing::info!(%tenant, bodies, "retention has taken bodies of audit entries");
            }
        }
        Ok(())
    }
}
