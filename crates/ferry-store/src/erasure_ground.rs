//! What an erasure is looked up by: the plans of live runs and the states of exports.

use crate::batch::{self, BatchRecord};
use crate::entity::{connection, export_state, run};
use crate::error::{corrupt, database};
use crate::plan::{self, PlanRecord};
use crate::state::{self as states, ExportState};
use crate::{Store, erasure, export as exports, run as runs};
use ferry_domain::authz::Permit;
use ferry_domain::authz::action::ErasePerson;
use ferry_domain::{Result, Trigger};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::collections::BTreeSet;

/// Which plans and states there are. Two that are equal mean that nobody can have come to a list in between, but by the
/// plans that both name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(BTreeSet<String>);

/// The plan of a run that goes on.
#[derive(Debug, Clone)]
pub struct LivePlan {
    /// The run.
    pub run: String,
    /// The run that the plan's files lie with.
    pub planned_in: String,
    /// What was adopted.
    pub record: PlanRecord,
    /// What was begun of it.
    pub batches: Vec<BatchRecord>,
    /// What started the run.
    pub trigger: Trigger,
    /// Its export.
    pub export_uid: String,
    /// Its connection.
    pub connection: NamedConnection,
}

/// A connection, by what is needed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedConnection {
    /// Its id.
    pub id: String,
    /// Its uid.
    pub uid: String,
}

/// A state, and to whom it is.
#[derive(Debug, Clone)]
pub struct StatePlace {
    /// The state.
    pub state: ExportState,
    /// The account's host.
    pub host: String,
    /// The connection, if it is still there.
    pub connection: Option<NamedConnection>,
    /// The display name of the export, and the fields that it fills today.
    pub purpose: String,
    /// See `purpose`.
    pub fields: Vec<String>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct ErasureGround {
    /// Plans of runs that go on, dry runs aside.
    pub live: Vec<LivePlan>,
    /// All states of the tenant's exports.
    pub states: Vec<StatePlace>,
    /// Which they are.
    pub marks: Marks,
}

impl Store {
    /// What an erasure in this tenant is looked up by.
    pub fn erasure_ground(
        &self,
        permit: Permit<ErasePerson>,
    ) -> impl Future<Output = Result<ErasureGround>> + Send + use<> {
        let tenant = permit.spend().target.tenant;
        let readers = self.readers.clone();
        async move {
            let tenant = tenant.as_str();
            // First: what comes while the rest is read makes other marks.
            let marks = marks(&readers, tenant).await?;
            Ok(ErasureGround { live: live(&readers, tenant).await?, states: of_tenant(&readers, tenant).await?, marks })
        }
    }
}

pub(crate) async fn marks(connection: &impl ConnectionTrait, tenant: &str) -> Result<Marks> {
    let mut marks = BTreeSet::new();
    for run in live_runs(connection, tenant).await? {
        if plan::find(connection, &run.id).await?.is_some() {
            marks.insert(format!("run {}", run.id));
        }
    }
    for row in state_rows(connection, tenant).await? {
        let export_state::Model { export_uid, connection_uid, connection_generation, list, number, .. } = row;
        marks.insert(format!("state {export_uid} {connection_uid} {connection_generation} {list} {number}"));
    }
    Ok(Marks(marks))
}

async fn live_runs(connection: &impl ConnectionTrait, tenant: &str) -> Result<Vec<run::Model>> {
    run::Entity::find()
        .filter(run::Column::Tenant.eq(tenant))
        .filter(run::Column::DryRun.eq(false))
        .filter(run::Column::State.is_in(exports::live_states()))
        .order_by_asc(run::Column::Id)
        .all(connection)
        .await
        .map_err(database)
}

async fn state_rows(connection: &impl ConnectionTrait, tenant: &str) -> Result<Vec<export_state::Model>> {
    let of_tenant = export_state::Entity::find().filter(export_state::Column::Tenant.eq(tenant));
    of_tenant.all(connection).await.map_err(database)
}

async fn live(readers: &impl ConnectionTrait, tenant: &str) -> Result<Vec<LivePlan>> {
    let mut found = Vec::new();
    for row in live_runs(readers, tenant).await? {
        let Some(record) = plan::find(readers, &row.id).await? else { continue };
        let Some((export, on)) = states::parts(readers, &row).await? else { continue };
        let batches = batch::of_run(readers, &row.id, None).await?;
        found.push(LivePlan {
            planned_in: row.plan_of.clone().unwrap_or_else(|| row.id.clone()),
            trigger: runs::trigger_of(&row)?,
            run: row.id,
            record,
            batches,
            export_uid: export.uid,
            connection: named(&on),
        });
    }
    Ok(found)
}

pub(crate) async fn of_tenant(readers: &impl ConnectionTrait, tenant: &str) -> Result<Vec<StatePlace>> {
    let mut found = Vec::new();
    for row in state_rows(readers, tenant).await? {
        let host = row.host.clone();
        let state = states::to_domain(row)?;
        let on = erasure::living(readers, tenant, &state.connection_uid).await?;
        let export = erasure::export_of(readers, tenant, &state.export_uid).await?;
        let export = export.map(exports::to_domain).transpose()?;
        let fields = export.iter().flat_map(|export| &export.field_mappings);
        found.push(StatePlace {
            host,
            connection: on.as_ref().map(named),
            fields: fields.map(|mapping| mapping.destination_field.to_string()).collect(),
            purpose: export.map(|export| export.display_name).unwrap_or_default(),
            state,
        });
    }
    Ok(found)
}

fn named(row: &connection::Model) -> NamedConnection {
    NamedConnection { id: row.id.clone(), uid: row.uid.clone() }
}

/// A number that a file's name or a row holds.
pub(crate) fn number(of: &'static str, number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|error| corrupt(of, error))
}
