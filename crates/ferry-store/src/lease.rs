//! The right to carry a run out, fenced by an epoch.

use crate::entity::run;
use crate::error::database;
use ferry_domain::{Error, RunName};
use sea_orm::{DatabaseTransaction, EntityTrait};

/// The right to write what happens to one run, until the run is granted to somebody else. Only a claim makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    run: RunName,
    epoch: i64,
    secret_version: u32,
}

/// Why a write of the engine did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The run was granted to another owner since. Nothing was written.
    #[error("the run belongs to another owner now")]
    Fenced,
    /// The store could not do it.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Lease {
    pub(crate) fn new(run: RunName, epoch: i64, secret_version: u32) -> Self {
        Self { run, epoch, secret_version }
    }

    /// The version of the connection's secret that was in force at the claim: what the destination says of it says
    /// nothing of a newer one.
    pub(crate) fn secret_version(&self) -> u32 {
        self.secret_version
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunName {
        &self.run
    }

    /// Raised by each claim of this run.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The run's row, if this lease still holds. Every write of the engine begins with it, in its own transaction.
    pub(crate) async fn row(&self, transaction: &DatabaseTransaction) -> Result<run::Model, LeaseError> {
        let row = run::Entity::find_by_id(self.run.run.as_str()).one(transaction).await.map_err(database)?;
        row.filter(|row| row.epoch == self.epoch).ok_or(LeaseError::Fenced)
    }
}
