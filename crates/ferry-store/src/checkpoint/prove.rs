//! What a tenant's leaves are, and the proofs that the tree gives, from stored nodes.
//!
//! These take a tenant and no permit, so they stay inside: whoever gives them to a caller holds one.

use super::number;
use crate::audit::to_hash;
use crate::entity::{audit_leaf, audit_node};
use crate::error::{corrupt, database};
use ferry_domain::Result;
use ferry_ledger::Hash;
use ferry_ledger::merkle::{NodeId, ProofPlan, consistency_plan, inclusion_plan};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::collections::HashMap;

/// Nodes of one question.
const NODES: usize = 100;

/// A tenant's place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantLeaf {
    /// The place of the leaf, from 0.
    pub(crate) index: u64,
    /// The number of the chain's last entry that it covers.
    pub(crate) number: u64,
    /// The hash of that entry.
    pub(crate) head: Hash,
}

/// The newest leaf of a tenant in the tree of this size; nothing if it has none there.
pub(crate) async fn newest_leaf(
    connection: &impl ConnectionTrait,
    (origin, tenant): (&str, &str),
    size: u64,
) -> Result<Option<TenantLeaf>> {
    // A later leaf has a greater number, so the index by number finds the last position.
    let row = audit_leaf::Entity::find()
        .filter(audit_leaf::Column::Log.eq(origin))
        .filter(audit_leaf::Column::Tenant.eq(tenant))
        .filter(audit_leaf::Column::Position.lt(number(size)?))
        .order_by_desc(audit_leaf::Column::Number)
        .one(connection)
        .await
        .map_err(database)?;
    row.map(to_leaf).transpose()
}

/// Proves that the leaf at `index` is in the tree of `size`.
pub(crate) async fn inclusion(
    connection: &impl ConnectionTrait,
    origin: &str,
    (index, size): (u64, u64),
) -> Result<Vec<Hash>> {
    let plan = inclusion_plan(index, size).map_err(|error| corrupt("audit_leaves", error))?;
    finish(connection, origin, &plan).await
}

/// Proves that the tree of `size` begins with that of `old`.
pub(crate) async fn consistency(
    connection: &impl ConnectionTrait,
    origin: &str,
    (old, size): (u64, u64),
) -> Result<Vec<Hash>> {
    let plan = consistency_plan(old, size).map_err(|error| corrupt("audit_checkpoints", error))?;
    finish(connection, origin, &plan).await
}

async fn finish(connection: &impl ConnectionTrait, origin: &str, plan: &ProofPlan) -> Result<Vec<Hash>> {
    let nodes = nodes(connection, origin, &plan.nodes()).await?;
    plan.finish(&nodes).map_err(|error| corrupt("audit_nodes", error))
}

/// Reads nodes of the tree.
pub(super) async fn nodes(
    connection: &impl ConnectionTrait,
    origin: &str,
    ids: &[NodeId],
) -> Result<HashMap<NodeId, Hash>> {
    let mut found = HashMap::with_capacity(ids.len());
    for some in ids.chunks(NODES) {
        let mut these = Condition::any();
        for id in some {
            let one = audit_node::Column::Level.eq(i64::from(id.level));
            these = these.add(one.and(audit_node::Column::Position.eq(number(id.position)?)));
        }
        let query = audit_node::Entity::find().filter(audit_node::Column::Log.eq(origin)).filter(these);
        for row in query.all(connection).await.map_err(database)? {
            let level = u8::try_from(row.level).map_err(|error| corrupt("audit_nodes", error))?;
            let position = u64::try_from(row.position).map_err(|error| corrupt("audit_nodes", error))?;
            found.insert(NodeId { level, position }, to_hash("audit_nodes", &row.hash)?);
        }
    }
    Ok(found)
}

fn to_leaf(row: audit_leaf::Model) -> Result<TenantLeaf> {
    let count = |value: i64| u64::try_from(value).map_err(|error| corrupt("audit_leaves", error));
    Ok(TenantLeaf {
        index: count(row.position)?,
        number: count(row.number)?,
        head: to_hash("audit_leaves", &row.head)?,
    })
}

#[cfg(test)]
/// All leaves of a tenant in a log, the oldest first.
pub(crate) async fn leaves_of(
    connection: &impl ConnectionTrait,
    (origin, tenant): (&str, &str),
) -> Result<Vec<TenantLeaf>> {
    let rows = audit_leaf::Entity::find()
        .filter(audit_leaf::Column::Log.eq(origin))
        .filter(audit_leaf::Column::Tenant.eq(tenant))
        .order_by_asc(audit_leaf::Column::Number)
        .all(connection)
        .await
        .map_err(database)?;
    rows.into_iter().map(to_leaf).collect()
}
