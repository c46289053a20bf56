//! Where the sealed files of runs and exports lie, and what binds each to what it belongs to: one convention for
//! whoever writes and reads them.

use std::path::{Path, PathBuf};

/// The sealed files of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFile {
    /// The rows to send.
    Plan,
    /// The rows that Ferry kept back: rejected, then excluded.
    Rejected,
    /// The rows that the destination refused.
    Refused,
    /// A few rows of each action of a plan, to be looked at.
    Samples,
}

impl RunFile {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Plan, Self::Rejected, Self::Refused, Self::Samples];

    fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Samples => "samples",
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

/// The index of a run's plan. It is not sealed: its digests mean nothing without the tenant's identity key.
#[must_use]
pub fn index_path(data_dir: &Path, tenant: &str, run: &str) -> PathBuf {
    index_beside(&RunFile::Plan.path(data_dir, tenant, run))
}

/// The index of the plan at this place.
pub(crate) fn index_beside(plan: &Path) -> PathBuf {
    plan.with_extension("index")
}

/// The folder of a run's files.
#[must_use]
pub fn run_folder(data_dir: &Path, tenant: &str, run: &str) -> PathBuf {
    tenant_folder(data_dir, tenant).join(run)
}

/// An export's state in one list of one account after so many runs. Each number has a file of its own: the one that the
/// store has adopted stays as it is while the next is written.
#[derive(Debug, Clone, Copy)]
pub struct StateName<'a> {
    /// The tenant's id.
    pub tenant: &'a str,
    /// The export's uid.
    pub export_uid: &'a str,
    /// The uid of the connection that it is sealed for.
    pub connection_uid: &'a str,
    /// The connection's generation: another one is another account.
    pub generation: i64,
    /// The list.
    pub list: u32,
    /// From 1, raised by each run that changes it.
    pub number: u64,
}

impl StateName<'_> {
    /// The file's path.
    #[must_use]
    pub fn path(&self, data_dir: &Path) -> PathBuf {
        let Self { connection_uid, generation, list, number, .. } = self;
        let folder = state_folder(data_dir, self.tenant, self.export_uid);
        folder.join(format!("{connection_uid}-{generation}-{list}")).join(format!("state-{number}.parquet"))
    }

    /// The bytes that its encryption authenticates: one of another tenant, connection, account, export, list or number
    /// does not open.
    #[must_use]
    pub fn aad(&self) -> Vec<u8> {
        let Self { tenant, export_uid, connection_uid, generation, list, number } = self;
        format!("{tenant}|{connection_uid}|{export_uid}|{generation}|{list}|state|{number}").into_bytes()
    }
}

/// The folder of an export's states. No run is called like it: a run's id has hyphens.
#[must_use]
pub fn state_folder(data_dir: &Path, tenant: &str, export_uid: &str) -> PathBuf {
    tenant_folder(data_dir, tenant).join("exports").join(export_uid)
}

/// Whom an export has sent to one list of one account: a file that outlives the connection and its key. Each number has
/// a file of its own, and the store says which one counts.
#[derive(Debug, Clone, Copy)]
pub struct RecipientsName<'a> {
    /// The tenant's id.
    pub tenant: &'a str,
    /// The export's uid.
    pub export_uid: &'a str,
    /// The connection's uid.
    pub connection_uid: &'a str,
    /// The connection's generation: another one is another account.
    pub generation: i64,
    /// The list.
    pub list: u32,
    /// From 1, raised by each run that changes it.
    pub number: u64,
}

impl RecipientsName<'_> {
    /// The file's path.
    #[must_use]
    pub fn path(&self, data_dir: &Path) -> PathBuf {
        let Self { export_uid, connection_uid, generation, list, number, .. } = self;
        let folder = recipients_folder(data_dir, self.tenant).join(export_uid);
        folder.join(format!("{connection_uid}-{generation}-{list}")).join(format!("recipients-{number}.bin"))
    }
}

/// The folder of a tenant's recipients files. No run is called like it.
#[must_use]
pub fn recipients_folder(data_dir: &Path, tenant: &str) -> PathBuf {
    tenant_folder(data_dir, tenant).join("recipients")
}

/// The folder of all files of a tenant's runs and exports.
#[must_use]
pub fn tenant_folder(data_dir: &Path, tenant: &str) -> PathBuf {
    data_dir.join("runs").join(tenant)
}
