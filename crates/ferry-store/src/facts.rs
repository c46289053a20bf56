//! What goes on record of connections and runs: one place for the words, so that whoever makes a change cannot forget
//! half of what it means. All kinds are listed in proto/README.md, "Audit entries".

use crate::audit::Fact;
use crate::audit_stream;
use crate::ended_run::EndedRun;
use crate::entity::{connection, export, run};
use crate::error::{corrupt, from_json, to_json};
use crate::plan::PlanRecord;
use crate::{connection as connections, run as runs};
use ferry_domain::{ConnectionId, ConnectionName, Consent, Counts, Reason, Result, RunError, RunState, TenantId, hex};
use ferry_ledger::{EntryResult, GENESIS};
use sea_orm::ActiveValue::Set;

/// Why a run was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody cancelled it.
    Cancelled,
    /// Its connection is for another host now.
    HostChanged,
    /// Whoever it acts for may no longer run exports.
    RightLost,
    /// Its connection is being removed.
    ConnectionRemoved,
    /// A person in its plan was erased.
    PersonErased,
    /// The database was put back from a backup, and nobody knows what the run has sent since.
    DatabaseRestored,
}

impl Cause {
    fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::HostChanged => "host_changed",
            Self::RightLost => "right_lost",
            Self::ConnectionRemoved => "connection_removed",
            Self::PersonErased => "person_erased",
            Self::DatabaseRestored => "database_restored",
        }
    }
}

/// A row as it is after a change, with what goes on record of that. Whoever made the change puts the facts on record.
#[must_use = "its facts go on record"]
pub(crate) struct Told<M> {
    pub(crate) row: M,
    pub(crate) facts: Vec<Fact>,
}

/// Something that happened to a run.
pub(crate) fn of_run(kind: &'static str, row: &run::Model) -> Result<Fact> {
    let export = connections::export_name(&row.tenant, &row.export)?;
    Ok(Fact::new(kind, row.tenant.as_str(), format!("{export}/runs/{}", row.id)))
}

/// A run was queued.
pub(crate) fn queued(kind: &'static str, row: &run::Model) -> Result<Fact> {
    let fact = of_run(kind, row)?
        .with("trigger", word(&runs::trigger_of(row)?)?)
        .with("connection", &row.connection)
        .with("full_resync", row.full_resync)
        .changing(None, Some(row))?;
    Ok(match (&row.plan_of, &row.erasure) {
        (Some(plan), _) => fact.with("plan_of", plan),
        (None, Some(erasure)) => fact.with("erasure", erasure),
        (None, None) => fact,
    })
}

/// A run was asked to stop, and has ended if nothing of it was on its way.
pub(crate) fn stopped(cause: Cause, found: &run::Model, row: &run::Model) -> Result<Vec<Fact>> {
    let kind = if cause == Cause::Cancelled { "RUN_CANCEL_REQUESTED" } else { "RUN_STOPPED" };
    let fact = of_run(kind, row)?.with("was", &found.state).with("state", &row.state);
    let fact = if cause == Cause::Cancelled { fact } else { fact.with("cause", cause.word()) };
    let mut facts = vec![fact.changing(Some(found), Some(row))?];
    if runs::read_state(row)?.is_terminal() && found.state != row.state {
        facts.push(ended(row)?);
    }
    Ok(facts)
}

/// A run came to its end. It anchors all that the run's own chain holds.
pub(crate) fn ended(row: &run::Model) -> Result<Fact> {
    let mut fact = anchor(of_run("RUN_ENDED", row)?, row).with("state", &row.state);
    let counts: Counts = from_json("runs", &row.counts)?;
    audit_stream::run_ended(EndedRun::new(row, runs::read_state(row)?, counts));
    let serde_json::Value::Object(counts) = serde_json::to_value(counts).map_err(|error| corrupt("runs", error))?
    else {
        return Err(corrupt("runs", "the account is no object"));
    };
    for (key, count) in counts {
        fact = fact.with(&key, count);
    }
    let error: Option<RunError> = row.error.as_deref().map(|text| from_json("runs", text)).transpose()?;
    Ok(match error {
        Some(error) => fact.because(EntryResult::Failed, error.reason),
        None if row.state == RunState::Succeeded.as_str() || row.state == RunState::Cancelled.as_str() => fact,
        None => fact.because(EntryResult::Failed, Reason::Internal),
    })
}

/// The fields that a change names.
pub(crate) fn named(fields: &[(&str, bool)]) -> String {
    fields.iter().filter(|(_, named)| *named).map(|(field, _)| *field).collect::<Vec<_>>().join(",")
}

/// How long the run's own chain is, and its head.
pub(crate) fn anchor(fact: Fact, row: &run::Model) -> Fact {
    let head = row.entries_head.as_deref().unwrap_or(&GENESIS);
    fact.with("run_entries", row.entries).with("run_head", hex::encode(head))
}

/// Notes that an entry of the tenant's chain anchors all that the run's chain holds.
pub(crate) fn anchored(row: &mut run::ActiveModel, found: &run::Model) {
    row.entries_anchored = Set(found.entries);
}

/// A run has adopted its plan: what it sends, where to and what for.
pub(crate) fn started(row: &run::Model, plan: &PlanRecord) -> Result<Fact> {
    Ok(anchor(of_run("RUN_STARTED", row)?, row)
        .with("plan_digest", hex::encode(&plan.digest))
        .with("planned", plan.planned)
        .with("removals", plan.removals)
        .with("host", &plan.host)
        .with("list", plan.list)
        .with("purpose", plan.purpose.as_deref().unwrap_or_default())
        .with("fields", plan.fields.as_deref().unwrap_or_default())
        .with("dry_run", row.dry_run))
}

/// A run was set aside.
pub(crate) fn paused(found: &run::Model, row: &run::Model) -> Result<Fact> {
    let fact = of_run("RUN_PAUSED", row)?.changing(Some(found), Some(row))?;
    let reason = row.pause_reason.as_deref().map(|text| text.trim_matches('"'));
    let error: Option<RunError> = row.error.as_deref().map(|text| from_json("runs", text)).transpose()?;
    let fact = fact.with("pause_reason", reason.unwrap_or_default());
    let fact = fact.with("cause", error.map(|error| error.reason.as_str()).unwrap_or_default());
    Ok(match row.resume_time {
        Some(resume_time) => fact.with("resume_time", resume_time),
        None => fact,
    })
}

/// A run that waited goes on: its connection was mended, or its time has come.
pub(crate) fn resumed(found: &run::Model, row: &run::Model) -> Result<Fact> {
    let fact = of_run("RUN_RESUMED", row)?.changing(Some(found), Some(row))?;
    let reason = found.pause_reason.as_deref().map(|text| text.trim_matches('"'));
    Ok(fact.with("pause_reason", reason.unwrap_or_default()))
}

pub(crate) fn connection_name(row: &connection::Model) -> Result<ConnectionName> {
    let bad_id = |error| corrupt("connections", error);
    Ok(ConnectionName {
        tenant: TenantId::parse(&row.tenant).map_err(bad_id)?,
        connection: ConnectionId::parse(&row.id).map_err(bad_id)?,
    })
}

/// Something that was done to a connection.
pub(crate) fn of_connection(
    kind: &'static str,
    before: Option<&connection::Model>,
    row: &connection::Model,
) -> Result<Fact> {
    Fact::new(kind, row.tenant.as_str(), connection_name(row)?).changing(before, Some(row))
}

/// A connection can carry no run, or no unattended one, until somebody acts.
pub(crate) fn needs_attention(before: &connection::Model, row: &connection::Model, reason: Reason) -> Result<Fact> {
    let fact = of_connection("CONNECTION_NEEDS_ATTENTION", Some(before), row)?;
    Ok(fact.with("attention", reason.as_str()).with("secret_version", row.secret_version))
}

/// Who agreed to what, when.
pub(crate) fn consent(fact: Fact, row: &connection::Model) -> Result<Fact> {
    let consent: Consent = from_json("connections", &row.consent)?;
    let fact = fact.with("consent_version", consent.text_version).with("accepted_by", consent.accepted_by);
    Ok(fact.with("consent_time", consent.accept_time.as_millis()))
}

/// Something that was done to an export.
pub(crate) fn of_export(kind: &'static str, before: Option<&export::Model>, row: &export::Model) -> Result<Fact> {
    let name = connections::export_name(&row.tenant, &row.id)?;
    let fact = Fact::new(kind, row.tenant.as_str(), name).changing(before, Some(row))?;
    Ok(fact.with("connection", row.connection.as_deref().unwrap_or_default()))
}

/// The word that stands for a value in its JSON.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> Result<String> {
    Ok(to_json(value)?.trim_matches('"').to_owned())
}
