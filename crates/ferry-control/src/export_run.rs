//! Runs of exports: queued here, carried out by the engine.

use crate::export::parse;
use crate::segment::blocking;
use crate::tenant::parse_tenant;
use crate::{Control, etag};
use ferry_domain::authz::action::{PlanExport, RunAllExports, RunExport};
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Error, Export, Result, Run, RunId, RunName, Trigger, Violations};
use ferry_store::{AskedPlan, NewRun, QueuedRuns};
use serde::Serialize;

/// Queues a run.
#[derive(Serialize)]
pub struct RunExportCommand {
    /// Which export.
    pub name: String,
    /// The etag that was seen, if any.
    pub etag: String,
    /// The caller's request id.
    pub request_id: String,
    /// The dry run whose plan is meant.
    pub plan: String,
    /// As if nothing were known of the destination.
    pub full_resync: bool,
}

impl Control {
    /// Queues a run that ends once planned.
    pub async fn plan_export(&self, actor: &Actor, name: &str, request_id: &str) -> Result<Run> {
        let name = parse("name", name)?;
        let target = self.target::<PlanExport>(actor, &name).await?;
        permit::<PlanExport>(actor, target.clone())?.spend();
        let write = self.write(request_id, &name.to_string())?;
        let new = NewRun { id: new_run_id()?, trigger: Trigger::OnDemand, full_resync: false, plan_of: None };
        self.granted(|store| Ok(store.run_create_plan(permit::<PlanExport>(actor, target)?, new, write)))?.await
    }

    /// Queues a run.
    pub async fn run_export(&self, actor: &Actor, command: RunExportCommand) -> Result<Run> {
        let name = parse("name", &command.name)?;
        let (target, export) = self.viewed::<RunExport>(actor, &name).await?;
        permit::<RunExport>(actor, target.clone())?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("etag", &command.etag, &mut violations);
        let plan = check_plan(&command, &export, &mut violations);
        violations.into_result()?;
        if seen.is_some_and(|seen| seen != target.version) {
            return Err(Error::Aborted { name: name.to_string() });
        }
        let plan_of = match plan {
            None => None,
            Some(run) => Some(AskedPlan { run, fingerprints: self.fingerprints(&export).await? }),
        };
        let write = self.write(&command.request_id, &command)?;
        let full_resync = command.full_resync;
        let new = NewRun { id: new_run_id()?, trigger: Trigger::OnDemand, full_resync, plan_of };
        self.granted(|store| Ok(store.run_create(permit::<RunExport>(actor, target)?, new, write)))?.await
    }

    /// Queues a run of each attached export whose schedule is not off and that the caller may run.
    pub async fn run_all_exports(&self, actor: &Actor, parent: &str, request_id: &str) -> Result<QueuedRuns> {
        let parent = parse_tenant("parent", parent)?;
        permit::<RunAllExports>(actor, parent.clone())?.spend();
        let write = self.write(request_id, &parent.to_string())?;
        self.granted(|store| Ok(store.run_all(permit::<RunAllExports>(actor, parent)?, new_run_id, write)))?.await
    }

    /// What the files of an export's segments are now. A segment that is gone, or cannot be looked at, is none that a
    /// plan was made from.
    async fn fingerprints(&self, export: &Export) -> Result<Vec<(String, Option<[u8; 32]>)>> {
        let catalogue = self.catalogue(&export.name.tenant).await?;
        let segments = export.segments.clone();
        blocking(move || {
            let of = |id: &str| catalogue.segment(id)?.fingerprint().ok().map(|found| found.digest());
            segments.iter().map(|id| (id.as_str().to_owned(), of(id.as_str()))).collect()
        })
        .await
    }
}

/// The dry run whose plan is meant.
fn check_plan(command: &RunExportCommand, export: &Export, violations: &mut Violations) -> Option<RunId> {
    if command.plan.is_empty() {
        return None;
    }
    if command.full_resync {
        violations.add("full_resync", "cannot be asked for together with a plan, which says already what is sent");
    }
    let plan = violations.check("plan", RunName::parse(&command.plan))?;
    if plan.export_name() != export.name {
        violations.add("plan", "is no run of this export");
        return None;
    }
    Some(plan.run)
}

pub(crate) fn new_run_id() -> Result<RunId> {
    RunId::parse(&uuid::Uuid::now_v7().to_string()).map_err(|error| Error::internal("a run's id", error))
}
