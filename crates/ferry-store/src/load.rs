//! How much there is to do, for whoever operates the service: numbers over all tenants, and nothing of any of them.

use crate::Store;
use crate::entity::run;
use crate::error::database;
use crate::export::live_states;
use ferry_domain::{Result, RunState, Timestamp};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

/// Runs that have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLoad {
    /// How many there are in each state that is no end.
    pub runs: Vec<(RunState, u64)>,
    /// When the oldest queued one was queued.
    pub oldest_queued: Option<Timestamp>,
}

impl Store {
    /// Counts the runs that have not ended.
    pub async fn run_load(&self) -> Result<RunLoad> {
        let found: Vec<(String, i64, i64)> = run::Entity::find()
            .select_only()
            .column(run::Column::State)
            .column_as(run::Column::Id.count(), "runs")
            .column_as(run::Column::CreateTime.min(), "oldest")
            .filter(run::Column::State.is_in(live_states()))
            .group_by(run::Column::State)
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(database)?;
        let of = |state: RunState| found.iter().find(|(name, ..)| name == state.as_str());
        let count = |state| (state, of(state).map_or(0, |(_, runs, _)| u64::try_from(*runs).unwrap_or(0)));
        let live = RunState::ALL.into_iter().filter(|state| !state.is_terminal());
        let oldest_queued = of(RunState::Queued).map(|(.., oldest)| Timestamp::from_millis(*oldest));
        Ok(RunLoad { runs: live.map(count).collect(), oldest_queued })
    }
}
