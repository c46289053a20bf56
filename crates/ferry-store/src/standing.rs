//! Whether a plan that a dry run made still stands.

use crate::entity::{connection, run};
use crate::error::{corrupt, database};
use crate::plan::{self, PlanRecord};
use crate::run::AskedPlan;
use crate::{run as runs, state as states, suppression};
use ferry_domain::{
    Counts, Culprit, Error, Export, ExportName, PlanSummary, Reason, Result, Run, RunError, RunId, RunName, RunState,
    Severity, Timestamp, limits,
};
use sea_orm::{ConnectionTrait, EntityTrait};

/// The plan of a dry run that another run carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPlan {
    /// The dry run; its sealed files are the plan's, and are not copied.
    pub run: RunId,
    /// What was adopted there.
    pub record: PlanRecord,
    /// The account that it ended with, which is the one that its carrying out begins with.
    pub counts: Counts,
    /// What it does.
    pub summary: PlanSummary,
    /// What guards have against it.
    pub held: Vec<String>,
}

/// The plan that a run was asked to carry out.
pub(crate) async fn named(connection: &impl ConnectionTrait, row: &run::Model) -> Result<Option<NamedPlan>> {
    let Some(of) = &row.plan_of else { return Ok(None) };
    let found = run::Entity::find_by_id(of.as_str()).one(connection).await.map_err(database)?;
    let found = found.ok_or_else(|| corrupt("runs", "the run that a plan is of is gone"))?;
    let dry = runs::to_domain(found)?;
    let record = record(connection, dry.id()).await?;
    let summary = dry.plan_summary.unwrap_or_default();
    let held = dry.approval.map(|approval| approval.reasons).unwrap_or_default();
    Ok(Some(NamedPlan { run: dry.name.run, record, counts: dry.counts, summary, held }))
}

/// What has moved under a plan since it was made, for people; empty while it stands. The segments' files are not asked
/// here.
pub(crate) async fn moved(
    connection: &impl ConnectionTrait,
    (export, on): (&Export, &connection::Model),
    of: &RunId,
    now: Timestamp,
) -> Result<Vec<String>> {
    let name = RunName { tenant: export.name.tenant.clone(), export: export.name.export.clone(), run: of.clone() };
    let dry = runs::to_domain(runs::load(connection, &name).await?)?;
    let ended = planned(&dry)?;
    let record = record(connection, of).await?;
    let list = states::list_of(&export.settings);
    let state = states::find(connection, (&export.uid, &on.uid), on.generation, list).await?;
    let suppressed = suppression::count(connection, export.name.tenant.as_str()).await?;
    let same_account =
        dry.connection.as_str() == on.id && record.connection_generation == on.generation && record.host == on.host;
    let checks = [
        (now.since(ended) > limits::PLAN_STANDS, "it is older than 24 hours"),
        (record.export_version != export.version, "the export was changed"),
        (!same_account, "the connection is for another account"),
        (record.list != list, "the export is for another list"),
        (record.suppressions != suppressed, "a person was erased since"),
        (record.state != state.map(|state| state.mark()), "another run has changed what is known of the destination"),
    ];
    Ok(checks.into_iter().filter(|(has_moved, _)| *has_moved).map(|(_, what)| what.to_owned()).collect())
}

/// The segments whose sources are not what the plan was made from.
pub(crate) async fn changed_segments(connection: &impl ConnectionTrait, asked: &AskedPlan) -> Result<Vec<String>> {
    let record = record(connection, &asked.run).await?;
    let read: Vec<_> = record.fingerprints.into_iter().map(|(id, digest)| (id, Some(digest))).collect();
    let changed = asked.fingerprints.iter().filter(|now| !read.contains(*now));
    Ok(changed.map(|(id, _)| format!("segment `{id}` was changed")).collect())
}

async fn record(connection: &impl ConnectionTrait, of: &RunId) -> Result<PlanRecord> {
    plan::find(connection, of.as_str()).await?.ok_or_else(|| corrupt("plans", "a dry run succeeded without a plan"))
}

/// When a dry run ended well.
fn planned(run: &Run) -> Result<Timestamp> {
    let name = run.name.to_string();
    match run.end_time {
        _ if !run.dry_run => {
            Err(Error::invalid("plan", format!("`{name}` is no dry run; name one that PlanExport has made")))
        }
        Some(ended) if run.state == RunState::Succeeded => Ok(ended),
        Some(_) => {
            let state = run.state.as_str();
            Err(Error::invalid(
                "plan",
                format!("`{name}` has ended as {state} and made no plan; call PlanExport again"),
            ))
        }
        None => {
            let message = format!("`{name}` has not ended yet; carry its plan out once GetRun shows its end");
            Err(Error::precondition(Reason::RunNotFinished, "RUN_STATE", name, message))
        }
    }
}

/// The answer to who wants such a plan carried out.
pub(crate) fn expired(export: &ExportName, of: &RunId, moved: &[String]) -> Error {
    let of = format!("{export}/runs/{of}");
    let message = format!("the plan of `{of}` no longer stands: {}; plan again", moved.join(", "));
    Error::precondition(Reason::PlanExpired, "PLAN", of, message)
}

/// The end of a run that was queued while its plan stood.
pub(crate) fn expired_since(moved: &[String]) -> RunError {
    let moved = moved.join(", ");
    RunError {
        reason: Reason::PlanExpired,
        message: format!("the plan of this run no longer stands: {moved}; nothing was sent, plan again"),
        severity: Severity::Temporary,
        culprit: Culprit::User,
    }
}
