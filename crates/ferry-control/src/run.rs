//! Runs.

use crate::audit::KEPT;
use crate::control::key_id;
use crate::page::{PageRequest, Query};
use crate::segment::blocking;
use crate::{Control, etag};
use ferry_domain::authz::action::{ApproveRun, CancelRun, GetRun, ListRejectedProfiles, ListRuns};
use ferry_domain::authz::{Action, Actor, HeldRun, RunTarget, may_ask, permit};
use ferry_domain::name::RunParent;
use ferry_domain::{Error, Reason, Result, Run, RunName, Violations};
use ferry_segments::layout::RunFile;
use ferry_segments::{FileKey, Place, PlanError, RejectedReader, RejectedRow, Sample, read_samples};
use ferry_store::{Listed, Page};
use ferry_vault::Purpose;

impl Control {
    /// Reads a run, with the samples of its plan that this caller may see.
    pub async fn get_run(&self, actor: &Actor, name: &str) -> Result<(Run, Vec<Sample>)> {
        let name = parse("name", name)?;
        let run = self.granted(|store| Ok(store.run_get(permit::<GetRun>(actor, name)?)))?.await?;
        let samples = if run.plan_summary.is_some() { self.samples(actor, &run).await? } else { Vec::new() };
        Ok((run, samples))
    }

    /// People of a plan, for those alone who may run the export. There are none once the key of the files is gone.
    async fn samples(&self, actor: &Actor, run: &Run) -> Result<Vec<Sample>> {
        let target = match self.run_target::<ListRejectedProfiles>(actor, &run.name).await {
            Err(Error::PermissionDenied { .. }) => return Ok(Vec::new()),
            found => found?,
        };
        let Ok(permit) = permit::<ListRejectedProfiles>(actor, target) else { return Ok(Vec::new()) };
        let Some(uid) = self.store().run_files(permit).await?.connection_uid else { return Ok(Vec::new()) };
        let tenant = run.name.tenant.as_str();
        let planned_in = planned_in(run);
        let path = RunFile::Samples.path(&self.parts.data_dir, tenant, planned_in);
        let aad = RunFile::Samples.aad(tenant, &uid, planned_in);
        let place = Place { path, key: self.file_key(tenant, &uid).await?, aad };
        let read = blocking(move || if place.path.exists() { read_samples(&place) } else { Ok(Vec::new()) });
        read.await?.map_err(|error| Error::internal("the samples of a plan cannot be read", error))
    }

    /// Reads runs, the newest first, with the token of the next page.
    pub async fn list_runs(&self, actor: &Actor, parent: &str, page: &PageRequest) -> Result<(Listed<Run>, String)> {
        let name = RunParent::parse(parent).map_err(|error| Error::invalid("parent", error.to_string()))?;
        permit::<ListRuns>(actor, name.clone())?.spend();
        let query = Query { method: "ListRuns", parent, arguments: &[] };
        let page = self.page(&query, page)?;
        let listed = self.granted(|store| Ok(store.run_list(permit::<ListRuns>(actor, name)?, page)))?.await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }

    /// Stops a run before its next request.
    pub async fn cancel_run(&self, actor: &Actor, name: &str, request_id: &str) -> Result<Run> {
        let name = parse("name", name)?;
        let target = self.run_target::<CancelRun>(actor, &name).await?;
        permit::<CancelRun>(actor, target.clone())?.spend();
        let write = self.write(request_id, &name.to_string())?;
        self.granted(|store| Ok(store.run_cancel(permit::<CancelRun>(actor, target)?, write)))?.await
    }

    /// Lets a held run go on.
    pub async fn approve_run(&self, actor: &Actor, name: &str, seen: &str, request_id: &str) -> Result<Run> {
        let name = parse("name", name)?;
        may_ask::<ApproveRun>(actor, &name.tenant, &name)?;
        let run = self.granted(|store| Ok(store.run_get(permit::<GetRun>(actor, name.clone())?)))?.await?;
        let target = HeldRun { name: name.clone(), started_by: run.started_by };
        permit::<ApproveRun>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("etag", seen, &mut violations);
        violations.into_result()?;
        let write = self.write(request_id, &(name.to_string(), seen))?;
        self.granted(|store| Ok(store.run_approve(permit::<ApproveRun>(actor, target)?, seen, write)))?.await
    }

    /// Reads rows that did not go: those rejected by Ferry first, then those refused by the destination.
    pub async fn list_rejected(
        &self,
        actor: &Actor,
        name: &str,
        page: &PageRequest,
    ) -> Result<(Vec<RejectedRow>, String)> {
        let parsed = parse("name", name)?;
        let target = self.run_target::<ListRejectedProfiles>(actor, &parsed).await?;
        let permit = permit::<ListRejectedProfiles>(actor, target)?;
        let query = Query { method: "ListRejectedProfiles", parent: name, arguments: &[] };
        let page = self.page(&query, page)?;
        let files = self.store().run_files(permit).await?;
        if !files.run.state.is_terminal() {
            let message = format!("`{name}` has not ended yet");
            return Err(Error::precondition(Reason::RunNotFinished, "RUN_STATE", name, message));
        }
        if files.run.end_time.is_some_and(|ended| self.now().since(ended) >= KEPT) {
            let message = format!("the rows of `{name}` were removed 30 days after its end");
            return Err(Error::precondition(Reason::ResourceNotFound, "RUN_FILES", name, message));
        }
        let Some(uid) = files.connection_uid else {
            let message = format!("the connection of `{name}` was removed, and with it the key of its files");
            return Err(Error::precondition(Reason::ResourceNotFound, "CONNECTION", name, message));
        };
        let offset = page.after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(0);
        let rows = self.rejected_rows(&files.run, &uid, offset, &page).await?;
        let listed = cut(rows, offset, &page);
        let token = self.next_token(&query, &listed)?;
        Ok((listed.items, token))
    }

    /// Both files as one list. Where the plan is another run's, so are the rows that were taken out of it.
    async fn rejected_rows(&self, run: &Run, uid: &str, offset: usize, page: &Page) -> Result<Vec<RejectedRow>> {
        let tenant = run.name.tenant.as_str().to_owned();
        let refused_in = run.id().as_str().to_owned();
        let planned_in = planned_in(run).to_owned();
        let key = self.file_key(&tenant, uid).await?;
        let (data_dir, uid, wanted) = (self.parts.data_dir.clone(), uid.to_owned(), page.size as usize + 1);
        let read = blocking(move || {
            let file = |file: RunFile, run: &str| (file.path(&data_dir, &tenant, run), file.aad(&tenant, &uid, run));
            let (rejected, refused) = (file(RunFile::Rejected, &planned_in), file(RunFile::Refused, &refused_in));
            let mut rows = RejectedReader::page(&rejected.0, &key, &rejected.1, offset, wanted)?;
            if rows.len() < wanted {
                let before = RejectedReader::count(&rejected.0, &key, &rejected.1)?;
                let from = offset.saturating_sub(usize::try_from(before).unwrap_or(usize::MAX));
                rows.extend(RejectedReader::page(&refused.0, &key, &refused.1, from, wanted - rows.len())?);
            }
            Ok::<_, PlanError>(rows)
        });
        read.await?.map_err(|error| Error::internal("the rejected rows of a run cannot be read", error))
    }

    /// The key of the sealed files of a connection's runs.
    pub(crate) async fn file_key(&self, tenant: &str, uid: &str) -> Result<FileKey> {
        let id = key_id(tenant, uid, Purpose::File)?;
        let key = self.keys(move |vault| vault.data_key(&id)).await?;
        Ok(FileKey::new(*key))
    }

    pub(crate) async fn run_target<A: Action>(&self, actor: &Actor, name: &RunName) -> Result<RunTarget> {
        may_ask::<A>(actor, &name.tenant, name)?;
        let access = self.granted(|store| Ok(store.run_access(permit::<GetRun>(actor, name.clone())?)))?.await?;
        Ok(RunTarget { name: name.clone(), access })
    }
}

/// The run whose files its plan stands in.
fn planned_in(run: &Run) -> &str {
    run.plan_of.as_ref().unwrap_or(run.id()).as_str()
}

fn cut(mut rows: Vec<RejectedRow>, offset: usize, page: &Page) -> Listed<RejectedRow> {
    let size = page.size as usize;
    let more = rows.len() > size;
    rows.truncate(size);
    Listed { next: more.then(|| (offset + size).to_string()), items: rows }
}

fn parse(field: &str, text: &str) -> Result<RunName> {
    RunName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
}
