//! What follows an erasure: its runs end, then the files that hold the person are made without them.
//!
//! Nobody asks for that, so it takes what only a begun erasure gives: an [`OpenErasure`]. All of it can be repeated.

use crate::audit::{self, Who};
use crate::entity::{connection, erasure, erasure_recipient, export_state, run};
use crate::erasure::{self as erasures, ErasureOutcome};
use crate::erasure_ground::{self, StatePlace, number};
use crate::error::{corrupt, database, from_json};
use crate::state::{self as states, ExportState};
use crate::{Store, connection as connections, export as exports, plan, run as runs};
use ferry_domain::{Counts, Reason, Result, RunError, RunState, TenantId, TenantName, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

/// An erasure that is not over. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenErasure {
    id: String,
    tenant: TenantId,
    person: [u8; 16],
    create_time: Timestamp,
}

impl OpenErasure {
    /// Which.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose data it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Since when the person is suppressed.
    #[must_use]
    pub fn create_time(&self) -> Timestamp {
        self.create_time
    }

    /// The keyed digest of the person's identity.
    #[must_use]
    pub fn person(&self) -> &[u8; 16] {
        &self.person
    }
}

/// A run whose files lie in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    /// The run.
    pub run: String,
    /// The connection that its files are sealed for; nothing if that was removed, and their key with it.
    pub connection_uid: Option<String>,
    /// The digest of the plan that it adopted.
    pub plan_digest: Option<[u8; 32]>,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended; nothing while it, or a run that carries its plan out, goes on.
    pub end_time: Option<Timestamp>,
}

/// What was done to files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilesErased {
    /// Made anew without the person.
    pub rewritten: u64,
    /// Removed.
    pub destroyed: u64,
}

impl Store {
    /// The erasures that are not over.
    pub async fn erasures_open(&self) -> Result<Vec<OpenErasure>> {
        let rows = erasure::Entity::find()
            .filter(erasure::Column::EndTime.is_null())
            .order_by_asc(erasure::Column::CreateTime)
            .all(&self.readers)
            .await
            .map_err(database)?;
        let bad = |what: &dyn std::fmt::Display| corrupt("erasures", what.to_string());
        let open = |row: erasure::Model| {
            let person = row.person.ok_or_else(|| bad(&"an erasure that is not over has no person"))?;
            Ok(OpenErasure {
                id: row.id,
                tenant: TenantId::parse(&row.tenant).map_err(|error| bad(&error))?,
                create_time: Timestamp::from_millis(row.create_time),
                person: person.try_into().map_err(|_| bad(&"a digest of another length"))?,
            })
        };
        rows.into_iter().map(open).collect()
    }

    /// Notes what became of the runs of an erasure that have ended. True once there is nothing left to wait for.
    pub async fn erasure_follow(&self, open: &OpenErasure, now: Timestamp) -> Result<bool> {
        let open = open.clone();
        let rows = recipients(&self.readers, &open.id).await?;
        let news = |row: &erasure_recipient::Model| {
            Ok::<_, ferry_domain::Error>(matches!(
                erasures::outcome_of(row)?,
                ErasureOutcome::Pending | ErasureOutcome::Failed
            ))
        };
        let mut waiting = false;
        for row in &rows {
            waiting |= news(row)?;
        }
        if !waiting {
            return Ok(true);
        }
        self.writer.run(move |transaction| Box::pin(async move { follow(transaction, &open, now).await })).await
    }

    /// All states of the tenant's exports.
    pub async fn erasure_states(&self, open: &OpenErasure) -> Result<Vec<StatePlace>> {
        erasure_ground::of_tenant(&self.readers, open.tenant.as_str()).await
    }

    /// Puts a state without the person in the place of the one that it was made from. False if that has moved, or a run of
    /// its export goes on, which stands on it.
    pub async fn state_replace(&self, open: &OpenErasure, base: &ExportState, next: &ExportState) -> Result<bool> {
        let (tenant, base, next) = (open.tenant.clone(), base.clone(), next.clone());
        self.writer.run(move |transaction| Box::pin(replace(transaction, tenant, base, next))).await
    }

    /// What is known of runs whose folders are there.
    pub async fn run_folders(&self, tenant: &TenantId, runs: &[String]) -> Result<Vec<RunFolder>> {
        let mut found = Vec::with_capacity(runs.len());
        for some in runs.chunks(200) {
            let rows = run::Entity::find()
                .filter(run::Column::Tenant.eq(tenant.as_str()))
                .filter(run::Column::Id.is_in(some.iter().map(String::as_str)))
                .all(&self.readers)
                .await
                .map_err(database)?;
            for row in rows {
                found.push(folder(&self.readers, row).await?);
            }
        }
        Ok(found)
    }

    /// Ends an erasure: nothing of the person is left but that they are suppressed.
    pub async fn erasure_end(&self, open: &OpenErasure, files: FilesErased, now: Timestamp) -> Result<()> {
        let open = open.clone();
        self.writer
            .run(move |transaction| {
                Box::pin(async move {
                    let found = erasure::Entity::find_by_id(open.id.as_str()).one(transaction).await;
                    let found = found.map_err(database)?.filter(|row| row.end_time.is_none());
                    let Some(found) = found else { return Ok(()) };
                    let mut row = found.into_active_model();
                    row.person = Set(None);
                    row.end_time = Set(Some(now.as_millis()));
                    erasure::Entity::update(row).exec(transaction).await.map_err(database)?;
                    let fact = erasures::fact("PERSON_ERASED", &open.tenant, &open.id)
                        .with("files_rewritten", files.rewritten)
                        .with("files_destroyed", files.destroyed);
                    audit::append(transaction, &Who::ferry(), fact, now).await.map(|_| ())
                })
            })
            .await
    }

    /// Puts on record that files are about to be removed: of runs that ended long ago, and of runs that nobody knows.
    pub async fn files_purge(&self, tenant: &TenantId, (runs, unknown): (usize, usize), now: Timestamp) -> Result<()> {
        let tenant = tenant.clone();
        self.writer
            .run(move |transaction| {
                Box::pin(async move {
                    let fact = audit::Fact::new("FILES_PURGED", tenant.as_str(), TenantName { tenant: tenant.clone() })
                        .with("runs", runs)
                        .with("unknown", unknown);
                    audit::append(transaction, &Who::ferry(), fact, now).await.map(|_| ())
                })
            })
            .await
    }
}

async fn recipients(connection: &impl ConnectionTrait, erasure: &str) -> Result<Vec<erasure_recipient::Model>> {
    let of_it = erasure_recipient::Entity::find().filter(erasure_recipient::Column::Erasure.eq(erasure));
    of_it.all(connection).await.map_err(database)
}

async fn follow(transaction: &DatabaseTransaction, open: &OpenErasure, now: Timestamp) -> Result<bool> {
    let mut over = true;
    for row in recipients(transaction, &open.id).await? {
        let outcome = erasures::outcome_of(&row)?;
        if matches!(outcome, ErasureOutcome::Done | ErasureOutcome::Impossible) {
            continue;
        }
        let found = match news(transaction, open, &row, outcome).await? {
            None => {
                over = false;
                continue;
            }
            Some(found) => found,
        };
        over &= found.0 != ErasureOutcome::Failed;
        let (outcome, message) = found;
        erasures::settle(transaction, &open.tenant, row, (outcome, &message), now).await?;
    }
    Ok(over)
}

/// What is new of one recipient that was asked, if anything is.
async fn news(
    transaction: &DatabaseTransaction,
    open: &OpenErasure,
    row: &erasure_recipient::Model,
    outcome: ErasureOutcome,
) -> Result<Option<(ErasureOutcome, String)>> {
    let lives = erasures::living(transaction, open.tenant.as_str(), &row.connection_uid).await?.is_some();
    let impossible = || Some((ErasureOutcome::Impossible, erasures::gone().to_owned()));
    if outcome == ErasureOutcome::Failed {
        return Ok(if lives { None } else { impossible() });
    }
    let id = row.run.as_deref().ok_or_else(|| corrupt("erasure_recipients", "nobody was asked"))?;
    let run = run::Entity::find_by_id(id).one(transaction).await.map_err(database)?;
    let run = run.ok_or_else(|| corrupt("erasure_recipients", "its run is gone"))?;
    let state = runs::read_state(&run)?;
    if !state.is_terminal() {
        return Ok(None);
    }
    let counts: Counts = from_json("runs", &run.counts)?;
    if counts.removals_confirmed > 0 {
        return Ok(Some((ErasureOutcome::Done, String::new())));
    }
    if state == RunState::Succeeded && counts.removals == 0 {
        return Ok(Some(without_a_row(transaction, open, row).await?));
    }
    let error: Option<RunError> = run.error.as_deref().map(|text| from_json("runs", text)).transpose()?;
    Ok(match error {
        _ if !lives => impossible(),
        Some(error) if error.reason == Reason::ListNotFound => Some((
            ErasureOutcome::Impossible,
            "the list was deleted at the destination, so nobody is on it; ask the owner of the account whether the \
             contact is to go as well"
                .to_owned(),
        )),
        Some(error) => Some((ErasureOutcome::Failed, format!("{}; repeat the request to try again", error.message))),
        None => Some((
            ErasureOutcome::Failed,
            "the run that takes the person off ended without having done so; repeat the request to try again"
                .to_owned(),
        )),
    })
}

/// The state does not name the person as being on the list: they were taken off before. Unless it is not to be believed.
async fn without_a_row(
    transaction: &DatabaseTransaction,
    open: &OpenErasure,
    row: &erasure_recipient::Model,
) -> Result<(ErasureOutcome, String)> {
    let list = u32::try_from(row.list).map_err(|error| corrupt("erasure_recipients", error))?;
    let key = (row.export_uid.as_str(), row.connection_uid.as_str());
    let state = states::find(transaction, key, row.connection_generation, list).await?;
    let on = erasures::living(transaction, open.tenant.as_str(), &row.connection_uid).await?;
    let same_account = on.is_some_and(|on: connection::Model| on.generation == row.connection_generation);
    Ok(match state {
        Some(state) if !state.untrusted && same_account => (ErasureOutcome::Done, String::new()),
        _ => (
            ErasureOutcome::Impossible,
            "what Ferry knew of this list was lost, and with it the address that it would take off; ask the owner of the \
             account to erase the person"
                .to_owned(),
        ),
    })
}

async fn replace(
    transaction: &DatabaseTransaction,
    tenant: TenantId,
    base: ExportState,
    next: ExportState,
) -> Result<bool> {
    let key = (base.export_uid.as_str(), base.connection_uid.as_str());
    let found = states::find(transaction, key, base.connection_generation, base.list).await?;
    if found.as_ref().map(ExportState::mark) != Some(base.mark()) {
        return Ok(false);
    }
    if let Some(export) = erasures::export_of(transaction, tenant.as_str(), &base.export_uid).await? {
        let name = connections::export_name(&export.tenant, &export.id)?;
        if runs::live_run(transaction, &name).await?.is_some() {
            return Ok(false);
        }
    }
    let key = (base.export_uid, base.connection_uid, base.connection_generation, i64::from(base.list));
    let found = export_state::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    let Some(found) = found else { return Ok(false) };
    let mut row = found.into_active_model();
    row.number = Set(number("export_states", next.number)?);
    row.digest = Set(next.digest.to_vec());
    row.rows = Set(number("export_states", next.rows)?);
    row.members = Set(number("export_states", next.members)?);
    export_state::Entity::update(row).exec(transaction).await.map_err(database)?;
    Ok(true)
}

async fn folder(readers: &impl ConnectionTrait, row: run::Model) -> Result<RunFolder> {
    let key = (row.tenant.clone(), row.connection.clone());
    let on = connection::Entity::find_by_id(key).one(readers).await.map_err(database)?;
    // A connection that was made anew under the same id has other keys.
    let on = on.filter(|on| on.create_time <= row.create_time);
    let carried_out = run::Entity::find()
        .filter(run::Column::PlanOf.eq(row.id.as_str()))
        .filter(run::Column::State.is_in(exports::live_states()))
        .one(readers)
        .await
        .map_err(database)?;
    let end_time = row.end_time.filter(|_| carried_out.is_none()).map(Timestamp::from_millis);
    Ok(RunFolder {
        plan_digest: plan::find(readers, &row.id).await?.map(|plan| plan.digest),
        run: row.id,
        connection_uid: on.map(|on| on.uid),
        start_time: row.start_time.map(Timestamp::from_millis),
        end_time,
    })
}
