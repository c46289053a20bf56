//! Runs.

use crate::Control;
use crate::control::key_id;
use crate::page::{PageRequest, Query};
use crate::segment::blocking;
use ferry_domain::authz::action::{CancelRun, GetRun, ListRejectedProfiles, ListRuns};
use ferry_domain::authz::{Action, Actor, RunTarget, may_ask, permit};
use ferry_domain::name::RunParent;
use ferry_domain::{Error, Reason, Result, Run, RunName};
use ferry_segments::layout::RunFile;
use ferry_segments::{FileKey, PlanError, RejectedReader, RejectedRow};
use ferry_store::{Listed, Page};
use ferry_vault::Purpose;

impl Control {
    /// Reads a run.
    pub async fn get_run(&self, actor: &Actor, name: &str) -> Result<Run> {
        let name = parse("name", name)?;
        self.granted(|store| Ok(store.run_get(permit::<GetRun>(actor, name)?)))?.await
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
        let Some(uid) = files.connection_uid else {
            let message = format!("the connection of `{name}` was removed, and with it the key of its files");
            return Err(Error::precondition(Reason::ResourceNotFound, "CONNECTION", name, message));
        };
        let offset = page.after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(0);
        let rows = self.rejected_rows(&parsed, &uid, offset, &page).await?;
        let listed = cut(rows, offset, &page);
        let token = self.next_token(&query, &listed)?;
        Ok((listed.items, token))
    }

    /// Both files as one list.
    async fn rejected_rows(&self, name: &RunName, uid: &str, offset: usize, page: &Page) -> Result<Vec<RejectedRow>> {
        let (tenant, run) = (name.tenant.as_str().to_owned(), name.run.as_str().to_owned());
        let id = key_id(&tenant, uid, Purpose::File)?;
        let key = self.keys(move |vault| vault.data_key(&id)).await?;
        let key = FileKey::new(*key);
        let (data_dir, uid, wanted) = (self.parts.data_dir.clone(), uid.to_owned(), page.size as usize + 1);
        let read = blocking(move || {
            let file = |file: RunFile, offset: usize, limit: usize| {
                let path = file.path(&data_dir, &tenant, &run);
                RejectedReader::page(&path, &key, &file.aad(&tenant, &uid, &run), offset, limit)
            };
            let mut rows = file(RunFile::Rejected, offset, wanted)?;
            if rows.len() < wanted {
                let path = RunFile::Rejected.path(&data_dir, &tenant, &run);
                let rejected = RejectedReader::count(&path, &key, &RunFile::Rejected.aad(&tenant, &uid, &run))?;
                let rejected = usize::try_from(rejected).unwrap_or(usize::MAX);
                let from = offset.saturating_sub(rejected);
                rows.extend(file(RunFile::Refused, from, wanted - rows.len())?);
            }
            Ok::<_, PlanError>(rows)
        });
        read.await?.map_err(|error| Error::internal("the rejected rows of a run cannot be read", error))
    }

    pub(crate) async fn run_target<A: Action>(&self, actor: &Actor, name: &RunName) -> Result<RunTarget> {
        may_ask::<A>(actor, &name.tenant, name)?;
        let access = self.granted(|store| Ok(store.run_access(permit::<GetRun>(actor, name.clone())?)))?.await?;
        Ok(RunTarget { name: name.clone(), access })
    }
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
