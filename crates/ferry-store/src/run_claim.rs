//! Claiming: how a run gets its owner.

use crate::connection_change::StoredSecret;
use crate::entity::{connection, run};
use crate::error::{database, to_json};
use crate::lease::Lease;
use crate::plan::PlanRecord;
use crate::{Store, attention, connection as connections, export as exports, plan, principal, removal, run as runs};
use ferry_domain::authz::may_run;
use ferry_domain::{Connection, Culprit, Export, Reason, Result, Run, RunError, RunState, Severity, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

/// A run with everything it takes to carry it out.
pub struct Claimed {
    /// The right to write what happens to it.
    pub lease: Lease,
    /// The run, as it is now.
    pub run: Run,
    /// What it carries out.
    pub export: Export,
    /// Where to.
    pub connection: Connection,
    /// The API key.
    pub secret: StoredSecret,
    /// The plan, if one was adopted before a crash.
    pub plan: Option<PlanRecord>,
}

impl Store {
    /// Frees what an earlier process of this database held. Called once, at the start of the only process.
    pub async fn leases_reset(&self, _now: Timestamp) -> Result<()> {
        self.writer
            .run(|transaction| {
                Box::pin(async move {
                    run::Entity::update_many()
                        .col_expr(run::Column::Owner, Expr::value(Option::<String>::None))
                        .filter(run::Column::State.is_in(exports::live_states()))
                        .filter(run::Column::Owner.ne(removal::NOBODY))
                        .exec(transaction)
                        .await
                        .map_err(database)?;
                    Ok(())
                })
            })
            .await
    }

    /// Claims the oldest run that nobody carries. Its epoch rises, so that whoever held it before writes no more.
    pub async fn run_claim(&self, worker: &str, now: Timestamp) -> Result<Option<Claimed>> {
        let worker = worker.to_owned();
        loop {
            let worker = worker.clone();
            let step = self.writer.run(move |transaction| Box::pin(claim(transaction, worker, now))).await?;
            match step {
                Step::Nothing => return Ok(None),
                Step::Claimed(claimed) => return Ok(Some(*claimed)),
                Step::EndedOne => {}
            }
        }
    }
}

enum Step {
    Nothing,
    Claimed(Box<Claimed>),
    /// The run had nothing left to run on and was ended.
    EndedOne,
}

async fn claim(transaction: &DatabaseTransaction, worker: String, now: Timestamp) -> Result<Step> {
    let free = run::Entity::find()
        .filter(
            run::Column::State
                .is_in([RunState::Queued, RunState::Processing, RunState::Cancelling].map(RunState::as_str)),
        )
        .filter(run::Column::Owner.is_null())
        .order_by_asc(run::Column::CreateTime)
        .order_by_asc(run::Column::Id);
    let Some(row) = free.one(transaction).await.map_err(database)? else { return Ok(Step::Nothing) };
    let state = runs::read_state(&row)?;
    let name = runs::to_domain(row.clone())?.name;
    let Some((export, connection)) = what_it_needs(transaction, &row, &name.export_name()).await? else {
        end_detached(transaction, row, now).await?;
        return Ok(Step::EndedOne);
    };
    if state == RunState::Queued
        && let Some(error) = forbidden(transaction, &row, &connection).await?
    {
        end(transaction, row, (RunState::Skipped, error), now).await?;
        return Ok(Step::EndedOne);
    }
    let epoch = row.epoch + 1;
    let (version, begun) = (row.version + 1, row.start_time);
    let mut row = row.into_active_model();
    row.owner = Set(Some(worker));
    row.epoch = Set(epoch);
    row.version = Set(version);
    if state == RunState::Queued {
        row.state = Set(RunState::Processing.as_str().to_owned());
    }
    row.start_time = Set(begun.or(Some(now.as_millis())));
    let row = run::Entity::update(row).exec(transaction).await.map_err(database)?;
    let plan = plan::find(transaction, name.run.as_str()).await?;
    let secret = StoredSecret::of(&connection);
    let connection = connections::to_domain(connection)?;
    Ok(Step::Claimed(Box::new(Claimed {
        lease: Lease::new(name, epoch, connection.secret_version),
        run: runs::to_domain(row)?,
        export,
        connection,
        secret,
        plan,
    })))
}

/// The export and the connection of a run; nothing if one of them is gone.
async fn what_it_needs(
    transaction: &DatabaseTransaction,
    row: &run::Model,
    export: &ferry_domain::ExportName,
) -> Result<Option<(Export, connection::Model)>> {
    let export = match exports::load(transaction, export).await {
        Ok(row) => exports::to_domain(row)?,
        Err(ferry_domain::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let key = (row.tenant.clone(), row.connection.clone());
    let connection = connection::Entity::find_by_id(key).one(transaction).await.map_err(database)?;
    Ok(connection.map(|connection| (export, connection)))
}

/// Why a queued run may not begin: what allowed it when it was queued may have changed since.
async fn forbidden(
    transaction: &DatabaseTransaction,
    row: &run::Model,
    on: &connection::Model,
) -> Result<Option<RunError>> {
    let trigger = runs::trigger_of(row)?;
    let role = principal::role_of(transaction, &row.tenant, principal::acts_for(row, on)?).await?;
    if !may_run(role, connections::access_of(on)?) {
        return Ok(Some(principal::right_lost(trigger)));
    }
    // A dry run sends nothing, so the account at the destination does not matter to it.
    let not_ready = attention::seen(on)?.1.filter(|_| !row.dry_run);
    Ok(not_ready.map(|reason| RunError {
        reason,
        message: format!("the connection needs attention ({}); an administrator mends it first", reason.as_str()),
        severity: Severity::Permanent,
        culprit: Culprit::User,
    }))
}

async fn end_detached(transaction: &DatabaseTransaction, row: run::Model, now: Timestamp) -> Result<()> {
    let error = RunError {
        reason: Reason::ExportDetached,
        message: "the export or its connection was removed before the run began".to_owned(),
        severity: Severity::Permanent,
        culprit: Culprit::User,
    };
    let cancelling = runs::read_state(&row)? == RunState::Cancelling;
    let state = if cancelling { RunState::Cancelled } else { RunState::Failed };
    end(transaction, row, (state, error), now).await
}

/// Ends a run that never began.
async fn end(
    transaction: &DatabaseTransaction,
    row: run::Model,
    (state, error): (RunState, RunError),
    now: Timestamp,
) -> Result<()> {
    let version = row.version + 1;
    let mut row = row.into_active_model();
    row.state = Set(state.as_str().to_owned());
    row.error = Set(Some(to_json(&error)?));
    row.end_time = Set(Some(now.as_millis()));
    row.version = Set(version);
    run::Entity::update(row).exec(transaction).await.map_err(database)?;
    Ok(())
}
