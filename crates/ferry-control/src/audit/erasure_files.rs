//! The end of an erasure: every sealed file of the tenant that holds the person is made anew without them, or destroyed.
//!
//! It is done once all recipients have an outcome: until then the state of a list holds the address that a run takes off.
//! A state is replaced only while no run of its export goes on. The files of a run that goes on are left until its end, if
//! they may hold the person. Everything can be repeated.

use super::erasure_look::state_place;
use crate::Control;
use crate::segment::blocking;
use ferry_domain::{Error, Result, TenantId};
use ferry_segments::layout::{RecipientsName, RunFile, index_path, run_folder, tenant_folder};
use ferry_segments::{
    ErasedPerson, FolderLock, Place, PlanError, PlanIndex, RecipientsFile, RecipientsReader, erase_from_rejected,
    erase_from_samples, forget, state_without,
};
use ferry_store::{
    ExportState, FilesErased, OpenErasure, RecipientsAdvance, RecipientsFiles, RecipientsKey, RecipientsRecord,
    RunFolder, StatePlace,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is left to do.
enum Left {
    /// Nothing.
    Nothing,
    /// A run goes on that stands on such a file.
    ARun,
}

impl Control {
    /// Brings an erasure as far as it comes now. False if runs that go on keep files from being made anew, which takes its
    /// time to find out.
    pub(super) async fn follow_erasure(&self, open: &OpenErasure) -> Result<bool> {
        if !self.store().erasure_follow(open, self.now()).await? {
            return Ok(true);
        }
        let person = ErasedPerson { identity: *open.person(), digest_key: self.identity_key(open.tenant()).await? };
        let mut files = FilesErased::default();
        let mut over = true;
        for state in self.store().erasure_states(open).await? {
            over &= matches!(self.erase_from_state(open, &state, &mut files).await?, Left::Nothing);
        }
        let RecipientsFiles { adopted, unfolded } = self.store().recipients_of_erasure(open).await?;
        for record in adopted {
            over &= matches!(self.forget_recipient(open, record, &mut files).await?, Left::Nothing);
        }
        // What such a run has sent is still to come to the recipients, out of its index.
        let unfolded: BTreeSet<String> = unfolded.into_iter().map(|run| run.planned_in.as_str().to_owned()).collect();
        let names = run_folders(&self.parts.data_dir, open.tenant()).await?;
        for mut folder in self.store().run_folders(open.tenant(), &names).await? {
            folder.end_time = folder.end_time.filter(|_| !unfolded.contains(&folder.run));
            over &= matches!(self.erase_from_run(open, &person, &folder, &mut files).await?, Left::Nothing);
        }
        if over {
            self.store().erasure_end(open, files, self.now()).await?;
        }
        Ok(over)
    }

    async fn erase_from_state(&self, open: &OpenErasure, place: &StatePlace, files: &mut FilesErased) -> Result<Left> {
        // Without its key nobody can read it any more.
        if place.connection.is_none() {
            return Ok(Left::Nothing);
        }
        let file = self.state_file(open.tenant(), place).await?;
        // A run that goes on may be writing the next number just now.
        let number = place.state.number + 2;
        let to = state_place(&self.parts.data_dir, open.tenant(), place, number, file.place.key.clone());
        let (identity, made) = (*open.person(), to.clone());
        let folded = match blocking(move || state_without(&file, &identity, &made)).await? {
            Ok(folded) => folded,
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(unreadable(&error)),
        };
        let mut kept = place.state.number;
        if let Some(folded) = folded {
            let next = ExportState {
                number,
                digest: folded.digest,
                rows: folded.rows,
                members: folded.members,
                ..place.state.clone()
            };
            ferry_domain::failpoint!("state-erased");
            if !self.store().state_replace(open, &place.state, &next).await? {
                return Ok(Left::ARun);
            }
            files.rewritten += 1;
            kept = number;
        }
        let folder = to.path.parent().map(Path::to_owned).unwrap_or_default();
        files.destroyed += blocking(move || remove_older_states(&folder, kept)).await?.map_err(io)?;
        Ok(Left::Nothing)
    }

    async fn forget_recipient(
        &self,
        open: &OpenErasure,
        record: RecipientsRecord,
        files: &mut FilesErased,
    ) -> Result<Left> {
        let broken = |error: PlanError| Error::internal("a file of recipients cannot be made anew", error);
        let (data_dir, identity) = (self.parts.data_dir.clone(), *open.person());
        let path = |number: u64| {
            let RecipientsKey { export_uid, connection_uid, generation, list } = &record.key;
            let (tenant, generation, list) = (record.tenant.as_str(), *generation, *list);
            RecipientsName { tenant, export_uid, connection_uid, generation, list, number }.path(&data_dir)
        };
        let (from, to) = (path(record.number), path(record.number + 1));
        let base = RecipientsFile { path: from.clone(), digest: record.digest };
        let looked_at = base.clone();
        let is_there = blocking(move || RecipientsReader::open(&looked_at)?.find(&identity)).await?;
        match is_there {
            Ok(None) => return Ok(Left::Nothing),
            // A run was folded meanwhile.
            Err(error) if is_missing(&error) => return Ok(Left::ARun),
            found => drop(found.map_err(broken)?),
        }
        let locked = to.clone();
        let lock = blocking(move || FolderLock::take(&locked)).await?.map_err(broken)?;
        if self.store().recipients(&record.key).await?.as_ref() != Some(&record) {
            return Ok(Left::ARun);
        }
        let made = blocking(move || forget(&base, &[identity], to, &lock).map(|made| (made, lock))).await?;
        let (made, lock) = made.map_err(broken)?;
        let next =
            RecipientsRecord { number: record.number + 1, digest: made.digest, rows: made.rows, ..record.clone() };
        let adopted = self.store().recipients_forget(RecipientsAdvance { base: Some(record), next }, self.now());
        let adopted = adopted.await?;
        if adopted {
            files.rewritten += 1;
            blocking(move || remove_all(&[from])).await?.map_err(io)?;
        }
        drop(lock);
        Ok(if adopted { Left::Nothing } else { Left::ARun })
    }

    async fn erase_from_run(
        &self,
        open: &OpenErasure,
        person: &ErasedPerson,
        folder: &RunFolder,
        files: &mut FilesErased,
    ) -> Result<Left> {
        let tenant = open.tenant().as_str().to_owned();
        let data_dir = self.parts.data_dir.clone();
        let goes_on = folder.end_time.is_none();
        // It may be making a plan just now that does not know of the erasure.
        if goes_on && folder.plan_digest.is_none() && folder.start_time.is_some_and(|at| at <= open.create_time()) {
            return Ok(Left::ARun);
        }
        let (run, digest, identity) = (folder.run.clone(), folder.plan_digest, person.identity);
        let index = index_path(&data_dir, &tenant, &run);
        let plan = RunFile::Plan.path(&data_dir, &tenant, &run);
        let holds = blocking(move || plan_holds(&plan, &index, digest, &identity)).await?;
        if holds && goes_on {
            return Ok(Left::ARun);
        }
        if holds {
            let paths = [RunFile::Plan.path(&data_dir, &tenant, &run), index_path(&data_dir, &tenant, &run)];
            files.destroyed += blocking(move || remove_all(&paths)).await?.map_err(io)?;
        }
        let Some(uid) = &folder.connection_uid else { return Ok(Left::Nothing) };
        let key = self.file_key(&tenant, uid).await?;
        for file in [RunFile::Rejected, RunFile::Refused, RunFile::Samples] {
            let path = file.path(&data_dir, &tenant, &run);
            let place = Place { path, key: key.clone(), aad: file.aad(&tenant, uid, &run) };
            let person = person.clone();
            let erased = blocking(move || match file {
                RunFile::Samples => erase_from_samples(&place, &person),
                _ => erase_from_rejected(&place, &person),
            });
            files.rewritten += u64::from(erased.await?.map_err(|error| unreadable(&error))?);
        }
        Ok(Left::Nothing)
    }
}

/// Whether a plan names the person. One of which that cannot be told is taken to.
fn plan_holds(plan: &Path, index: &Path, digest: Option<[u8; 32]>, identity: &[u8; 16]) -> bool {
    if !plan.exists() && !index.exists() {
        return false;
    }
    let Some(digest) = digest else { return true };
    let found = PlanIndex::open(index, &digest).and_then(|index| index.find(identity));
    !matches!(found, Ok(None))
}

/// The ids of the runs whose folders are there.
pub(super) async fn run_folders(data_dir: &Path, tenant: &TenantId) -> Result<Vec<String>> {
    let mut names = names_in(tenant_folder(data_dir, tenant.as_str())).await?;
    names.retain(|name| !NO_RUNS.contains(&name.as_str()));
    Ok(names)
}

/// What is in a folder; nothing, if it is not there.
pub(super) async fn names_in(folder: PathBuf) -> Result<Vec<String>> {
    let names = move || match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    };
    blocking(names).await?.map_err(io)
}

/// The folders of a tenant that are of no run.
const NO_RUNS: [&str; 2] = ["exports", "recipients"];

/// Removes what a state's folder holds besides the one that counts. How many there were.
fn remove_older_states(folder: &Path, kept: u64) -> std::io::Result<u64> {
    let mut older = Vec::new();
    let found = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        found => found?,
    };
    for entry in found {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_prefix("state-"));
        let number: Option<u64> = number.and_then(|number| number.parse().ok());
        if path.extension().is_some_and(|is| is == "parquet") && number.is_some_and(|number| number < kept) {
            older.push(path);
        }
    }
    remove_all(&older)
}

/// Removes files that may be gone already. How many there were.
fn remove_all(paths: &[PathBuf]) -> std::io::Result<u64> {
    let mut removed = 0;
    for path in paths {
        match std::fs::remove_file(path) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// Removes the folder of a run with all that is in it.
pub(super) fn remove_run(data_dir: &Path, tenant: &str, run: &str) -> std::io::Result<()> {
    match std::fs::remove_dir_all(run_folder(data_dir, tenant, run)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn is_missing(error: &PlanError) -> bool {
    matches!(error, PlanError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound)
}

fn unreadable(error: &PlanError) -> Error {
    Error::internal("a sealed file cannot be made anew without a person", error)
}

pub(super) fn io(error: std::io::Error) -> Error {
    Error::internal("sealed files cannot be removed", error)
}
