//! Where a run's sealed files lie, and what binds each to its run: one convention for whoever writes and reads them.

use std::path::{Path, PathBuf};

/// The sealed files of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFile {
    /// The rows to send.
    Plan,
    /// The rows that Ferry rejected.
    Rejected,
    /// The rows that the destination refused.
    Refused,
}

impl RunFile {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Plan, Self::Rejected, Self::Refused];

    fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
        }
    }

    /// The file's path.
    #[must_use]
    pub fn path(self, data_dir: &Path, tenant: &str, run: &str) -> PathBuf {
        run_folder(data_dir, tenant, run).join(format!("{}.parquet", self.word()))
    }

    /// The bytes that its encryption authenticates: a file moved to another run, connection or tenant does not open.
    #[must_use]
    pub fn aad(self, tenant: &str, connection_uid: &str, run: &str) -> Vec<u8> {
        format!("{tenant}|{connection_uid}|{run}|{}", self.word()).into_bytes()
    }
}

/// The folder of a run's files.
#[must_use]
pub fn run_folder(data_dir: &Path, tenant: &str, run: &str) -> PathBuf {
    tenant_folder(data_dir, tenant).join(run)
}

/// The folder of all files of a tenant's runs.
#[must_use]
pub fn tenant_folder(data_dir: &Path, tenant: &str) -> PathBuf {
    data_dir.join("runs").join(tenant)
}
