//! The record of an adopted plan. The rows are in a sealed file; here is what proves that it is the same file, and
//! what the plan stands on.

use crate::entity::plan;
use crate::error::{corrupt, database, from_json, to_json};
use ferry_domain::{Result, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, EntityTrait};

/// An adopted plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRecord {
    /// Over all rows of the file.
    pub digest: [u8; 32],
    /// Rows to send.
    pub planned: u64,
    /// Rows of each batch, in order.
    pub batch_rows: Vec<u32>,
    /// What each segment's source was when it was read.
    pub fingerprints: Vec<(String, [u8; 32])>,
    /// The connection's generation.
    pub connection_generation: i64,
    /// The export's version.
    pub export_version: i64,
    /// How addresses were normalised.
    pub normaliser_version: u32,
    /// How rows were rendered.
    pub renderer_version: u32,
}

pub(crate) async fn find(connection: &impl ConnectionTrait, run: &str) -> Result<Option<PlanRecord>> {
    let row = plan::Entity::find_by_id(run).one(connection).await.map_err(database)?;
    row.map(to_domain).transpose()
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    run: &str,
    record: &PlanRecord,
    now: Timestamp,
) -> Result<()> {
    let row = plan::ActiveModel {
        run: Set(run.to_owned()),
        digest: Set(record.digest.to_vec()),
        planned: Set(i64::try_from(record.planned).map_err(|error| corrupt("plans", error))?),
        batch_rows: Set(record.batch_rows.iter().flat_map(|rows| rows.to_be_bytes()).collect()),
        fingerprints: Set(to_json(&record.fingerprints)?),
        connection_generation: Set(record.connection_generation),
        export_version: Set(record.export_version),
        normaliser_version: Set(i64::from(record.normaliser_version)),
        renderer_version: Set(i64::from(record.renderer_version)),
        adopt_time: Set(now.as_millis()),
    };
    plan::Entity::insert(row).exec_without_returning(connection).await.map_err(database)?;
    Ok(())
}

fn to_domain(row: plan::Model) -> Result<PlanRecord> {
    let (chunks, rest) = row.batch_rows.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(corrupt("plans", "batch_rows is cut"));
    }
    let version = |number: i64| u32::try_from(number).map_err(|error| corrupt("plans", error));
    Ok(PlanRecord {
        digest: row.digest.try_into().map_err(|_| corrupt("plans", "the digest has another length"))?,
        planned: u64::try_from(row.planned).map_err(|error| corrupt("plans", error))?,
        batch_rows: chunks.iter().map(|chunk| u32::from_be_bytes(*chunk)).collect(),
        fingerprints: from_json("plans", &row.fingerprints)?,
        connection_generation: row.connection_generation,
        export_version: row.export_version,
        normaliser_version: version(row.normaliser_version)?,
        renderer_version: version(row.renderer_version)?,
    })
}
