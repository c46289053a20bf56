//! What is remembered of a destination account across restarts.

use crate::Store;
use crate::entity::{attempt, lane};
use crate::error::database;
use ferry_domain::{Result, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};

/// What an earlier owner of an account's lane recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRecord {
    /// Nothing may be sent before this.
    pub hold_until: Option<Timestamp>,
    /// When that was recorded.
    pub update_time: Timestamp,
}

impl Store {
    /// Records that nothing may be sent to an account before `until`; the later of two waits stands.
    pub async fn lane_hold(&self, account: &str, until: Timestamp, now: Timestamp) -> Result<()> {
        let account = account.to_owned();
        self.writer
            .run(move |transaction| {
                Box::pin(async move {
                    let found = lane::Entity::find_by_id(account.as_str()).one(transaction).await.map_err(database)?;
                    let held = found.and_then(|row| row.hold_until).unwrap_or(i64::MIN);
                    let row = lane::ActiveModel {
                        account: Set(account),
                        hold_until: Set(Some(held.max(until.as_millis()))),
                        update_time: Set(now.as_millis()),
                    };
                    let replace = OnConflict::column(lane::Column::Account)
                        .update_columns([lane::Column::HoldUntil, lane::Column::UpdateTime])
                        .to_owned();
                    let insert = lane::Entity::insert(row).on_conflict(replace);
                    insert.exec_without_returning(transaction).await.map_err(database)?;
                    Ok(())
                })
            })
            .await
    }

    /// Reads what an earlier owner recorded, if it ever did.
    pub async fn lane_load(&self, account: &str) -> Result<Option<LaneRecord>> {
        let found = lane::Entity::find_by_id(account).one(&self.readers).await.map_err(database)?;
        Ok(found.map(|row| LaneRecord {
            hold_until: row.hold_until.map(Timestamp::from_millis),
            update_time: Timestamp::from_millis(row.update_time),
        }))
    }

    /// When imports to an account were begun since a time; those that certainly were not sent are left out.
    pub async fn recent_intents(&self, account: &str, since: Timestamp) -> Result<Vec<Timestamp>> {
        let perhaps_sent = Condition::any()
            .add(attempt::Column::Outcome.is_null())
            .add(attempt::Column::Outcome.is_not_in(["void", "not_sent"]));
        let times: Vec<i64> = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::IntentTime)
            .filter(attempt::Column::Account.eq(account))
            .filter(attempt::Column::IntentTime.gte(since.as_millis()))
            .filter(perhaps_sent)
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(database)?;
        Ok(times.into_iter().map(Timestamp::from_millis).collect())
    }
}
