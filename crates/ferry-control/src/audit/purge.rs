//! Sealed files do not stay: those of a run go 30 days after its end, those of a run that nobody knows after a day. The
//! state of an export stays; it is what the export knows.

use super::erasure_files::{io, names_in, remove_run, run_folders};
use crate::Control;
use crate::segment::blocking;
use ferry_domain::{Result, RunId, TenantId, Timestamp};
use ferry_segments::layout::run_folder;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How long the files of a run stay after its end.
pub(crate) const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a folder stays of which no run is known: a request to make one may be on its way.
const UNKNOWN: Duration = Duration::from_secs(24 * 60 * 60);

impl Control {
    /// Removes what is too old, of every tenant whose folder is there.
    pub(super) async fn purge_files(&self) -> Result<()> {
        for tenant in tenants(&self.parts.data_dir).await? {
            self.purge_tenant(&tenant).await?;
        }
        Ok(())
    }

    async fn purge_tenant(&self, tenant: &TenantId) -> Result<()> {
        let names = run_folders(&self.parts.data_dir, tenant).await?;
        let known = self.store().run_folders(tenant, &names).await?;
        let now = self.now();
        let old = |ended: Timestamp| now.since(ended) >= KEPT;
        let ended = known.iter().filter(|folder| folder.end_time.is_some_and(old)).map(|folder| folder.run.clone());
        let mut going: Vec<String> = ended.collect();
        let runs = going.len();
        let known: BTreeSet<String> = known.into_iter().map(|folder| folder.run).collect();
        // What is called otherwise than any run is not ours to remove.
        let unknown: Vec<String> =
            names.into_iter().filter(|name| !known.contains(name) && RunId::parse(name).is_ok()).collect();
        let (data_dir, of) = (self.parts.data_dir.clone(), tenant.clone());
        going.extend(blocking(move || untouched(&data_dir, &of, unknown)).await?);
        if going.is_empty() {
            return Ok(());
        }
        // First: what is on record and not done is done, and recorded once more, by the next sweep.
        self.store().files_purge(tenant, (runs, going.len() - runs), now).await?;
        ferry_domain::failpoint!("purge-recorded");
        let (data_dir, of) = (self.parts.data_dir.clone(), tenant.as_str().to_owned());
        blocking(move || going.iter().try_for_each(|run| remove_run(&data_dir, &of, run))).await?.map_err(io)
    }
}

/// Those to which nothing has come for a day.
fn untouched(data_dir: &Path, tenant: &TenantId, runs: Vec<String>) -> Vec<String> {
    let age = |run: &String| {
        let folder = run_folder(data_dir, tenant.as_str(), run);
        let touched = std::fs::metadata(folder).and_then(|found| found.modified()).ok();
        touched.and_then(|touched| touched.elapsed().ok())
    };
    runs.into_iter().filter(|run| age(run).is_some_and(|age| age >= UNKNOWN)).collect()
}

async fn tenants(data_dir: &Path) -> Result<Vec<TenantId>> {
    let names = names_in(data_dir.join("runs")).await?;
    Ok(names.iter().filter_map(|name| TenantId::parse(name).ok()).collect())
}
