//! Runs that take people off a list and read no segment: all whom the export put there, or one.

use crate::entity::{erasure, run};
use crate::error::{corrupt, database, to_json};
use crate::export as exports;
use crate::run as runs;
use crate::run_claim::TakesOff;
use ferry_domain::{Export, ExportSettings, LeavePolicy, Result, Trigger};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait};

/// Whom a run takes off; nothing for one that exports.
pub(crate) async fn of(connection: &impl ConnectionTrait, row: &run::Model) -> Result<Option<TakesOff>> {
    match runs::trigger_of(row)? {
        Trigger::OnDemand | Trigger::Schedule | Trigger::Refresh => Ok(None),
        Trigger::Retraction => Ok(Some(TakesOff::Everybody)),
        Trigger::Erasure => {
            let id = row.erasure.as_deref().ok_or_else(|| corrupt("runs", "a run of no erasure"))?;
            let erasure = erasure::Entity::find_by_id(id).one(connection).await.map_err(database)?;
            let person = erasure.and_then(|erasure| erasure.person);
            let person = person.ok_or_else(|| corrupt("erasures", "a run is for an erasure that has ended"))?;
            let person = person.try_into().map_err(|_| corrupt("erasures", "a digest has another length"))?;
            Ok(Some(TakesOff::One(person)))
        }
    }
}

/// The export as such a run carries it out: for the list that it was queued for, by taking off.
pub(crate) fn as_asked(export: Export, row: &run::Model) -> Result<Export> {
    if !runs::trigger_of(row)?.takes_off() {
        return Ok(export);
    }
    let ExportSettings::Activecampaign { list_id, exclude_automations } = export.settings;
    let list_id = match row.list {
        Some(list) => u32::try_from(list).map_err(|error| corrupt("runs", error))?,
        None => list_id,
    };
    let settings = ExportSettings::Activecampaign { list_id, exclude_automations };
    Ok(Export { settings, leave_policy: LeavePolicy::Unsubscribe, ..export })
}

/// Leaves out such runs while an older run of their export goes on: it may put somebody on the list, and the state that
/// tells whom is the one that it leaves.
pub(crate) fn may_begin() -> Condition {
    let older = Alias::new("older");
    let its = |column: run::Column| Expr::col((older.clone(), column));
    let own = |column: run::Column| Expr::col((run::Entity, column));
    let earlier = Condition::any().add(its(run::Column::CreateTime).lt(own(run::Column::CreateTime))).add(
        Condition::all()
            .add(its(run::Column::CreateTime).eq(own(run::Column::CreateTime)))
            .add(its(run::Column::Id).lt(own(run::Column::Id))),
    );
    let mut goes_on = Query::select();
    goes_on
        .expr(Expr::val(1))
        .from_as(run::Entity, older.clone())
        .and_where(its(run::Column::Tenant).eq(own(run::Column::Tenant)))
        .and_where(its(run::Column::Export).eq(own(run::Column::Export)))
        .and_where(its(run::Column::DryRun).eq(false))
        .and_where(its(run::Column::State).is_in(exports::live_states()))
        .cond_where(earlier);
    Condition::any().add(no_taking_off()).add(Expr::exists(goes_on.take()).not())
}

/// The runs that export.
pub(crate) fn no_taking_off() -> Condition {
    let words = [Trigger::Retraction, Trigger::Erasure].iter().filter_map(|trigger| to_json(trigger).ok());
    Condition::all().add(run::Column::Trigger.is_not_in(words))
}
