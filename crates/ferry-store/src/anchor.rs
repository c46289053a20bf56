//! Anchors: entries of a tenant's chain that say how long the chain of a run is, and what its head is. What a run's chain
//! says after that cannot be changed or cut without a trace in the tenant's, and so in the signed checkpoints.

use crate::audit::{self, Who};
use crate::entity::run;
use crate::error::database;
use crate::facts;
use ferry_domain::{Result, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder};

/// A run whose chain has been anchored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anchored {
    pub(crate) tenant: String,
    pub(crate) run: String,
    pub(crate) entries: i64,
}

/// Runs whose anchors are written by one statement.
const AT_ONCE: usize = 500;

/// Anchors each run whose chain has grown since its last anchor, of one tenant or of all. Called in the transaction of a
/// checkpoint, before its leaves are made.
pub(crate) async fn anchor_runs(
    transaction: &DatabaseTransaction,
    tenant: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Anchored>> {
    let mut grown = run::Entity::find().filter(
        Expr::col((run::Entity, run::Column::Entries)).gt(Expr::col((run::Entity, run::Column::EntriesAnchored))),
    );
    if let Some(tenant) = tenant {
        grown = grown.filter(run::Column::Tenant.eq(tenant));
    }
    let grown = grown.order_by_asc(run::Column::Tenant).order_by_asc(run::Column::Id);
    let grown = grown.all(transaction).await.map_err(database)?;
    let mut anchored = Vec::with_capacity(grown.len());
    for row in &grown {
        let fact = facts::anchor(facts::of_run("RUN_ANCHORED", row)?, row);
        audit::append(transaction, &Who::ferry(), fact, now).await?;
        anchored.push(Anchored { tenant: row.tenant.clone(), run: row.id.clone(), entries: row.entries });
    }
    for some in grown.chunks(AT_ONCE) {
        run::Entity::update_many()
            .col_expr(run::Column::EntriesAnchored, Expr::col(run::Column::Entries))
            .filter(run::Column::Id.is_in(some.iter().map(|row| row.id.as_str())))
            .exec(transaction)
            .await
            .map_err(database)?;
    }
    Ok(anchored)
}
