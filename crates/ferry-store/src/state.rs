//! The states of exports: what an export has put into one list of one destination account, run after run.
//!
//! The rows, with their addresses, lie in a sealed file that the run wrote which made the state. Here is what proves
//! that it is the same file. A new host or another list begins with no state at all; the old one stays on record.

use crate::entity::{connection, export, export_state, run};
use crate::error::{corrupt, database, from_json};
use crate::lease::Lease;
use crate::run_work::Fenced;
use crate::{Store, export as exports, plan, taking_off};
use ferry_domain::{Error, ExportSettings, Reason, Result, RunError, RunId, RunState, Timestamp, Trigger};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter};

/// Which state of an export: its number, raised by each run that changes it, and the digest of its file.
pub type StateMark = (u64, [u8; 32]);

/// A state of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportState {
    /// The export.
    pub export_uid: String,
    /// The connection, which the key of the file is bound to.
    pub connection_uid: String,
    /// The connection's generation: another one is another account.
    pub connection_generation: i64,
    /// The list.
    pub list: u32,
    /// Its number, from 1.
    pub number: u64,
    /// Over all rows of the file.
    pub digest: [u8; 32],
    /// People in it.
    pub rows: u64,
    /// Those who stand in it as members.
    pub members: u64,
    /// Whether something was sent that could not be brought into it. The next plan believes nothing of it but who was
    /// unsubscribed.
    pub untrusted: bool,
    /// The run that made it; its sealed files are found by that.
    pub run: RunId,
}

impl ExportState {
    /// Which state it is.
    #[must_use]
    pub fn mark(&self) -> StateMark {
        (self.number, self.digest)
    }
}

/// What the end of a run makes of an export's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateAdvance {
    /// The state that the run began with.
    pub base: Option<StateMark>,
    /// What it is from now on.
    pub next: ExportState,
}

impl Store {
    /// What the run's export has put into this list of the account that its connection was for in this generation.
    pub async fn export_state(&self, lease: &Lease, generation: i64, list: u32) -> Fenced<Option<ExportState>> {
        let row = self.leased_row(lease).await?;
        let Some((export, connection)) = parts(&self.readers, &row).await? else { return Ok(None) };
        Ok(find(&self.readers, (&export.uid, &connection.uid), generation, list).await?)
    }

    /// What the tenant's other exports have put into this list of the same account: those that are there, attached, and
    /// for this list today. For a retraction those on the same connection do not count: they are taken off as well.
    pub async fn other_states(&self, lease: &Lease, list: u32) -> Fenced<Vec<ExportState>> {
        let row = self.leased_row(lease).await?;
        let Some((export, connection)) = parts(&self.readers, &row).await? else { return Ok(Vec::new()) };
        let found = export_state::Entity::find()
            .filter(export_state::Column::Tenant.eq(row.tenant.as_str()))
            .filter(export_state::Column::Host.eq(connection.host.as_str()))
            .filter(export_state::Column::List.eq(i64::from(list)))
            .filter(export_state::Column::ExportUid.ne(export.uid.as_str()))
            .filter(kept_by_others(&row, &connection)?)
            .all(&self.readers)
            .await
            .map_err(database)?;
        let mut states = Vec::with_capacity(found.len());
        for row in found {
            if stands(&self.readers, &row, list).await? {
                states.push(to_domain(row)?);
            }
        }
        Ok(states)
    }

    /// Something was sent that cannot be brought into the state: the plan cannot be read any more.
    pub async fn state_distrust(&self, lease: &Lease, generation: i64, list: u32) -> Fenced<()> {
        self.under_lease(lease, move |transaction, row| {
            Box::pin(async move {
                let Some((export, connection)) = parts(transaction, &row).await? else { return Ok(()) };
                export_state::Entity::update_many()
                    .col_expr(export_state::Column::Untrusted, Expr::value(1))
                    .filter(export_state::Column::ExportUid.eq(export.uid))
                    .filter(export_state::Column::ConnectionUid.eq(connection.uid))
                    .filter(export_state::Column::ConnectionGeneration.eq(generation))
                    .filter(export_state::Column::List.eq(i64::from(list)))
                    .exec(transaction)
                    .await
                    .map_err(database)?;
                Ok(())
            })
        })
        .await
    }

    /// Whether another export may have put somebody on this list since the run's plan was made, or is about to: a state
    /// that is newer than the plan, or a run that goes on.
    pub async fn others_moved(&self, lease: &Lease, list: u32) -> Fenced<bool> {
        let row = self.leased_row(lease).await?;
        let Some((export, connection)) = parts(&self.readers, &row).await? else { return Ok(true) };
        let of = row.plan_of.as_deref().unwrap_or(&row.id);
        let made = run::Entity::find_by_id(of).one(&self.readers).await.map_err(database)?;
        // The states of others are read while the plan is made, so what counts is when that began.
        let Some(begun) = made.and_then(|made| made.start_time) else { return Ok(true) };
        let newer = export_state::Entity::find()
            .filter(export_state::Column::Tenant.eq(row.tenant.as_str()))
            .filter(export_state::Column::Host.eq(connection.host.as_str()))
            .filter(export_state::Column::List.eq(i64::from(list)))
            .filter(export_state::Column::ExportUid.ne(export.uid.as_str()))
            .filter(export_state::Column::UpdateTime.gte(begun))
            .filter(kept_by_others(&row, &connection)?)
            .one(&self.readers)
            .await
            .map_err(database)?;
        if newer.is_some() {
            return Ok(true);
        }
        let live = run::Entity::find()
            .filter(run::Column::Tenant.eq(row.tenant.as_str()))
            .filter(run::Column::State.is_in(exports::live_states()))
            .filter(run::Column::DryRun.eq(false))
            .filter(run::Column::Export.ne(row.export.as_str()))
            .filter(taking_off::no_taking_off())
            .all(&self.readers)
            .await
            .map_err(database)?;
        for other in live {
            let Some((export, on)) = parts(&self.readers, &other).await? else { continue };
            // One that has a plan keeps to the list of that, whatever its export is for by now.
            let planned = crate::plan::find(&self.readers, &other.id).await?.and_then(|plan| plan.settings);
            let settings = match planned {
                Some(settings) => settings,
                None => from_json("exports", &export.settings)?,
            };
            if on.host == connection.host && list_of(&settings) == list {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The states that keep people on a list for which `run` takes people off.
fn kept_by_others(run: &run::Model, on: &connection::Model) -> Result<Condition> {
    let retraction = crate::run::trigger_of(run)? == Trigger::Retraction;
    let others = Condition::all();
    Ok(if retraction { others.add(export_state::Column::ConnectionUid.ne(on.uid.as_str())) } else { others })
}

/// Whether the export of a state still puts people there: an export that was removed, or is for another list or account
/// by now, holds nobody any more.
async fn stands(connection: &impl ConnectionTrait, state: &export_state::Model, list: u32) -> Result<bool> {
    let export = export::Entity::find()
        .filter(export::Column::Tenant.eq(state.tenant.as_str()))
        .filter(export::Column::Uid.eq(state.export_uid.as_str()))
        .filter(export::Column::DeleteTime.is_null())
        .one(connection)
        .await
        .map_err(database)?;
    let Some(export) = export else { return Ok(false) };
    let Some(on) = export.connection else { return Ok(false) };
    let on = connection::Entity::find_by_id((export.tenant, on)).one(connection).await.map_err(database)?;
    let here = on.is_some_and(|on| on.uid == state.connection_uid && on.generation == state.connection_generation);
    Ok(here && list_of(&from_json("exports", &export.settings)?) == list)
}

/// The list that an export is for.
pub(crate) fn list_of(settings: &ExportSettings) -> u32 {
    let ExportSettings::Activecampaign { list_id, .. } = settings;
    *list_id
}

/// The export and the connection of a run; nothing if one of them is gone.
pub(crate) async fn parts(
    readers: &impl ConnectionTrait,
    run: &run::Model,
) -> Result<Option<(export::Model, connection::Model)>> {
    let key = |id: &str| (run.tenant.clone(), id.to_owned());
    let export = export::Entity::find_by_id(key(&run.export)).one(readers).await.map_err(database)?;
    let connection = connection::Entity::find_by_id(key(&run.connection)).one(readers).await.map_err(database)?;
    Ok(export.zip(connection))
}

/// The newest state of an export in one list of one account.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    (export, on): (&str, &str),
    generation: i64,
    list: u32,
) -> Result<Option<ExportState>> {
    let key = (export.to_owned(), on.to_owned(), generation, i64::from(list));
    let row = export_state::Entity::find_by_id(key).one(connection).await.map_err(database)?;
    row.map(to_domain).transpose()
}

/// Moves the state on, in the transaction that ends its run. No other run of the export can be live, so a base that
/// moved is a fault of ours, and nothing is written over it.
pub(crate) async fn advance(
    transaction: &DatabaseTransaction,
    run: &run::Model,
    StateAdvance { base, next }: StateAdvance,
    now: Timestamp,
) -> Result<()> {
    let own = (next.export_uid.as_str(), next.connection_uid.as_str());
    let found = find(transaction, own, next.connection_generation, next.list).await?;
    if found.as_ref().map(ExportState::mark) != base {
        let what = format!("number {:?} is stored, {:?} was begun with", found.map(|s| s.number), base.map(|b| b.0));
        return Err(Error::internal("the state of an export has moved under a run", what));
    }
    let follows = next.number == base.map_or(0, |(number, _)| number) + 1;
    if !follows || next.run.as_str() != run.id {
        return Err(Error::internal("a state does not follow the one before", next.number));
    }
    let plan = plan::find(transaction, &run.id).await?;
    let host = plan.map(|plan| plan.host).ok_or_else(|| Error::internal("a state without a plan", &run.id))?;
    let number = |number: u64| i64::try_from(number).map_err(|error| corrupt("export_states", error));
    let row = export_state::ActiveModel {
        tenant: Set(run.tenant.clone()),
        export_uid: Set(next.export_uid),
        connection_uid: Set(next.connection_uid),
        connection_generation: Set(next.connection_generation),
        list: Set(i64::from(next.list)),
        host: Set(host),
        number: Set(number(next.number)?),
        digest: Set(next.digest.to_vec()),
        rows: Set(number(next.rows)?),
        members: Set(number(next.members)?),
        untrusted: Set(i64::from(planned_before_a_restore(run)?)),
        run: Set(next.run.as_str().to_owned()),
        update_time: Set(now.as_millis()),
    };
    use export_state::Column as C;
    let mut replace = OnConflict::columns([C::ExportUid, C::ConnectionUid, C::ConnectionGeneration, C::List]);
    replace.update_columns([C::Host, C::Number, C::Digest, C::Rows, C::Members, C::Run]);
    if !crate::run::trigger_of(run)?.takes_off() {
        // One that only takes people off puts nobody there, and makes nothing known that was not.
        replace.update_columns([C::Untrusted, C::UpdateTime]);
    }
    let insert = export_state::Entity::insert(row).on_conflict(replace);
    insert.exec_without_returning(transaction).await.map_err(database)?;
    Ok(())
}

/// Whether the run was ended because the database was put back from a backup: what others sent since is in no state, so
/// the one that it leaves is believed no more than the one before.
fn planned_before_a_restore(run: &run::Model) -> Result<bool> {
    let error: Option<RunError> = run.error.as_deref().map(|error| from_json("runs", error)).transpose()?;
    let cancelling = run.state == RunState::Cancelling.as_str();
    Ok(cancelling && error.is_some_and(|error| error.reason == Reason::OutcomeUnknown))
}

pub(crate) fn to_domain(row: export_state::Model) -> Result<ExportState> {
    let number = |number: i64| u64::try_from(number).map_err(|error| corrupt("export_states", error));
    Ok(ExportState {
        export_uid: row.export_uid,
        connection_uid: row.connection_uid,
        connection_generation: row.connection_generation,
        list: u32::try_from(row.list).map_err(|error| corrupt("export_states", error))?,
        number: number(row.number)?,
        digest: row.digest.try_into().map_err(|_| corrupt("export_states", "the digest has another length"))?,
        rows: number(row.rows)?,
        members: number(row.members)?,
        untrusted: row.untrusted != 0,
        run: RunId::parse(&row.run).map_err(|error| corrupt("export_states", error))?,
    })
}
