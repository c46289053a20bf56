//! The next recipients file is adopted, by compare-and-set of number and digest.

use super::{RecipientsKey, RecipientsRecord, Unfolded, to_domain};
use crate::Store;
use crate::entity::{plan_index, recipients, tenant};
use crate::error::{corrupt, database};
use ferry_domain::{Result, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel};

/// What counts from now on instead of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientsAdvance {
    /// The record that the file was made from; nothing for none.
    pub base: Option<RecipientsRecord>,
    /// What counts from now on.
    pub next: RecipientsRecord,
}

impl Store {
    /// The file of a list that counts; nothing before the first.
    pub async fn recipients(&self, key: &RecipientsKey) -> Result<Option<RecipientsRecord>> {
        find(&self.readers, key).await
    }

    /// What a run sent is in a recipients file from now on, or it sent nothing. False, and nothing is changed, if it was
    /// folded already, if the base has moved, or if the tenant was removed: then the new file counts for nothing.
    pub async fn recipients_fold(
        &self,
        of: &Unfolded,
        advance: Option<RecipientsAdvance>,
        now: Timestamp,
    ) -> Result<bool> {
        let run = of.run.as_str().to_owned();
        self.writer.run(move |transaction| Box::pin(fold(transaction, run, advance, now))).await
    }

    /// Some people are in a list's file no longer. False as in `recipients_fold`.
    pub async fn recipients_forget(&self, advance: RecipientsAdvance, now: Timestamp) -> Result<bool> {
        self.writer.run(move |transaction| Box::pin(adopt(transaction, advance, now))).await
    }
}

async fn fold(
    transaction: &DatabaseTransaction,
    run: String,
    advance: Option<RecipientsAdvance>,
    now: Timestamp,
) -> Result<bool> {
    let found = plan_index::Entity::find_by_id(run).one(transaction).await.map_err(database)?;
    let Some(found) = found.filter(|found| found.folded == 0) else { return Ok(false) };
    if let Some(advance) = advance
        && !adopt(transaction, advance, now).await?
    {
        return Ok(false);
    }
    let row = plan_index::ActiveModel { folded: Set(1), ..found.into_active_model() };
    plan_index::Entity::update(row).exec(transaction).await.map_err(database)?;
    Ok(true)
}

async fn find(connection: &impl ConnectionTrait, key: &RecipientsKey) -> Result<Option<RecipientsRecord>> {
    let key = (key.export_uid.clone(), key.connection_uid.clone(), key.generation, i64::from(key.list));
    let row = recipients::Entity::find_by_id(key).one(connection).await.map_err(database)?;
    row.map(to_domain).transpose()
}

async fn adopt(transaction: &DatabaseTransaction, advance: RecipientsAdvance, now: Timestamp) -> Result<bool> {
    let RecipientsAdvance { base, next } = advance;
    let tenant = tenant::Entity::find_by_id(next.tenant.as_str()).one(transaction).await.map_err(database)?;
    let found = find(transaction, &next.key).await?;
    let follows = found == base && next.number == base.map_or(0, |base| base.number) + 1;
    if !follows || tenant.is_none_or(|tenant| tenant.delete_time.is_some()) {
        return Ok(false);
    }
    let number = |number: u64| i64::try_from(number).map_err(|error| corrupt("recipients", error));
    let row = recipients::ActiveModel {
        export_uid: Set(next.key.export_uid),
        connection_uid: Set(next.key.connection_uid),
        connection_generation: Set(next.key.generation),
        list: Set(i64::from(next.key.list)),
        tenant: Set(next.tenant.as_str().to_owned()),
        number: Set(number(next.number)?),
        digest: Set(next.digest.to_vec()),
        rows: Set(number(next.rows)?),
        update_time: Set(now.as_millis()),
    };
    use recipients::Column as C;
    let replace = OnConflict::columns([C::ExportUid, C::ConnectionUid, C::ConnectionGeneration, C::List])
        .update_columns([C::Number, C::Digest, C::Rows, C::UpdateTime])
        .to_owned();
    let insert = recipients::Entity::insert(row).on_conflict(replace);
    insert.exec_without_returning(transaction).await.map_err(database)?;
    Ok(true)
}
