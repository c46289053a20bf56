//! The record of an adopted plan. The rows are in a sealed file; here is what proves that it is the same file, and
//! what the plan stands on.

use crate::entity::plan;
use crate::error::{corrupt, database, from_json, to_json};
use crate::state::StateMark;
use ferry_domain::{Counts, ExportSettings, LeavePolicy, PlanSummary, Result, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::collections::HashMap;

/// An adopted plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRecord {
    /// Over all rows of the file.
    pub digest: [u8; 32],
    /// Rows to send that are members.
    pub planned: u64,
    /// Rows of each batch of members, in order.
    pub batch_rows: Vec<u32>,
    /// Rows to send that are removals; they come after the members.
    pub removals: u64,
    /// Rows of each batch of removals, in order.
    pub removal_batch_rows: Vec<u32>,
    /// What each segment's source was when it was read.
    pub fingerprints: Vec<(String, [u8; 32])>,
    /// The connection's generation.
    pub connection_generation: i64,
    /// The connection's host; empty in a plan from before it was kept.
    pub host: String,
    /// The list; 0 in a plan from before it was kept.
    pub list: u32,
    /// What its data is for: the export's display name. Nothing in a plan from before it was kept.
    pub purpose: Option<String>,
    /// The destination fields that it fills, separated by commas. As `purpose`.
    pub fields: Option<String>,
    /// The state of the export that it stands on; nothing for an export that has none.
    pub state: Option<StateMark>,
    /// The export's version.
    pub export_version: i64,
    /// What the export said then; the run keeps to it. Nothing in a plan from before it was kept.
    pub settings: Option<ExportSettings>,
    /// As `settings`.
    pub leave_policy: Option<LeavePolicy>,
    /// How many people were suppressed in the tenant when it was made. One more, and it may hold somebody who was erased.
    pub suppressions: u64,
    /// How addresses were normalised.
    pub normaliser_version: u32,
    /// How rows were rendered.
    pub renderer_version: u32,
}

/// A plan that is to be adopted, with what the run begins with.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// The plan.
    pub record: PlanRecord,
    /// What it does.
    pub summary: PlanSummary,
    /// The account at the beginning; both of its equations hold.
    pub counts: Counts,
    /// When the run should be done.
    pub estimated_end: Timestamp,
    /// What guards have against it: not empty, and the run waits for an approval.
    pub held: Vec<String>,
}

pub(crate) async fn find(connection: &impl ConnectionTrait, run: &str) -> Result<Option<PlanRecord>> {
    let row = plan::Entity::find_by_id(run).one(connection).await.map_err(database)?;
    row.map(to_domain).transpose()
}

/// Those of some runs, by run.
pub(crate) async fn of_runs(connection: &impl ConnectionTrait, runs: &[&str]) -> Result<HashMap<String, PlanRecord>> {
    let rows = plan::Entity::find().filter(plan::Column::Run.is_in(runs.iter().copied()));
    let rows = rows.all(connection).await.map_err(database)?;
    rows.into_iter().map(|row| Ok((row.run.clone(), to_domain(row)?))).collect()
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    run: &str,
    record: &PlanRecord,
    now: Timestamp,
) -> Result<()> {
    let number = |number: u64| i64::try_from(number).map_err(|error| corrupt("plans", error));
    let row = plan::ActiveModel {
        run: Set(run.to_owned()),
        digest: Set(record.digest.to_vec()),
        planned: Set(number(record.planned)?),
        batch_rows: Set(packed(&record.batch_rows)),
        removals: Set(number(record.removals)?),
        removal_batch_rows: Set(Some(packed(&record.removal_batch_rows))),
        fingerprints: Set(to_json(&record.fingerprints)?),
        connection_generation: Set(record.connection_generation),
        host: Set(Some(record.host.clone())),
        list: Set(Some(i64::from(record.list))),
        purpose: Set(record.purpose.clone()),
        fields: Set(record.fields.clone()),
        state_number: Set(record.state.map(|(mark, _)| number(mark)).transpose()?),
        state_digest: Set(record.state.map(|(_, digest)| digest.to_vec())),
        settings: Set(record.settings.as_ref().map(to_json).transpose()?),
        leave_policy: Set(record.leave_policy.as_ref().map(to_json).transpose()?),
        export_version: Set(record.export_version),
        suppressions: Set(number(record.suppressions)?),
        normaliser_version: Set(i64::from(record.normaliser_version)),
        renderer_version: Set(i64::from(record.renderer_version)),
        adopt_time: Set(now.as_millis()),
    };
    plan::Entity::insert(row).exec_without_returning(connection).await.map_err(database)?;
    Ok(())
}

fn packed(rows: &[u32]) -> Vec<u8> {
    rows.iter().flat_map(|rows| rows.to_be_bytes()).collect()
}

fn unpacked(bytes: &[u8]) -> Result<Vec<u32>> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(corrupt("plans", "the rows of the batches are cut"));
    }
    Ok(chunks.iter().map(|chunk| u32::from_be_bytes(*chunk)).collect())
}

fn to_domain(row: plan::Model) -> Result<PlanRecord> {
    let small = |number: i64| u32::try_from(number).map_err(|error| corrupt("plans", error));
    let large = |number: i64| u64::try_from(number).map_err(|error| corrupt("plans", error));
    let digest = |bytes: Vec<u8>| bytes.try_into().map_err(|_| corrupt("plans", "a digest has another length"));
    let state = match row.state_number.zip(row.state_digest) {
        None => None,
        Some((number, bytes)) => Some((large(number)?, digest(bytes)?)),
    };
    Ok(PlanRecord {
        digest: digest(row.digest)?,
        planned: large(row.planned)?,
        batch_rows: unpacked(&row.batch_rows)?,
        removals: large(row.removals)?,
        removal_batch_rows: unpacked(&row.removal_batch_rows.unwrap_or_default())?,
        fingerprints: from_json("plans", &row.fingerprints)?,
        connection_generation: row.connection_generation,
        host: row.host.unwrap_or_default(),
        list: small(row.list.unwrap_or_default())?,
        purpose: row.purpose,
        fields: row.fields,
        state,
        export_version: row.export_version,
        settings: row.settings.as_deref().map(|text| from_json("plans", text)).transpose()?,
        leave_policy: row.leave_policy.as_deref().map(|text| from_json("plans", text)).transpose()?,
        suppressions: large(row.suppressions)?,
        normaliser_version: small(row.normaliser_version)?,
        renderer_version: small(row.renderer_version)?,
    })
}
