//! New leaves: one for each chain that has grown since its last one.

use super::{number, prove};
use crate::audit::to_hash;
use crate::entity::{audit_chain, audit_leaf, audit_node, tenant};
use crate::error::{corrupt, database};
use ferry_domain::{Error, Result};
use ferry_ledger::Hash;
use ferry_ledger::merkle::{Frontier, Leaf, NodeId, frontier, pseudonym};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{DatabaseTransaction, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder, QuerySelect};

/// Rows of one statement.
const ROWS: usize = 500;

/// The end of a chain, with what stands for its tenant.
#[derive(FromQueryResult)]
struct Grown {
    tenant: String,
    number: i64,
    hash: Vec<u8>,
    /// Nothing for the operator's chain.
    uid: Option<String>,
}

/// Appends the leaves to a tree of this size and root, and tells what it is then. Nothing if no chain has grown.
pub(super) async fn leaves(
    transaction: &DatabaseTransaction,
    origin: &str,
    (size, root): (u64, Option<Hash>),
) -> Result<Option<(u64, Hash)>> {
    let grown = grown(transaction).await?;
    if grown.is_empty() {
        return Ok(None);
    }
    let mut tree = read_frontier(transaction, origin, (size, root)).await?;
    let (mut leaves, mut nodes) = (Vec::with_capacity(grown.len()), Vec::with_capacity(grown.len() * 2));
    for chain in grown {
        let leaf = Leaf {
            pseudonym: pseudonym(&chain.tenant, chain.uid.as_deref().unwrap_or_default()),
            number: u64::try_from(chain.number).map_err(|error| corrupt("audit_chains", error))?,
            head: to_hash("audit_chains", &chain.hash)?,
        };
        leaves.push(audit_leaf::ActiveModel {
            log: Set(origin.to_owned()),
            position: Set(number(tree.size())?),
            tenant: Set(chain.tenant),
            number: Set(chain.number),
            head: Set(chain.hash),
        });
        for (id, hash) in tree.push(leaf.hash()) {
            nodes.push(node_row(origin, id, &hash)?);
        }
    }
    insert(transaction, leaves, nodes).await?;
    audit_chain::Entity::update_many()
        .col_expr(audit_chain::Column::LeafNumber, Expr::col(audit_chain::Column::Number))
        .filter(has_grown())
        .exec(transaction)
        .await
        .map_err(database)?;
    Ok(Some((tree.size(), tree.root())))
}

fn has_grown() -> Expr {
    Expr::col((audit_chain::Entity, audit_chain::Column::Number))
        .gt(Expr::col((audit_chain::Entity, audit_chain::Column::LeafNumber)))
}

/// In the order of their tenants, so that the same database makes the same tree.
async fn grown(transaction: &DatabaseTransaction) -> Result<Vec<Grown>> {
    let to_tenant =
        audit_chain::Entity::belongs_to(tenant::Entity).from(audit_chain::Column::Tenant).to(tenant::Column::Id);
    audit_chain::Entity::find()
        .select_only()
        .columns([audit_chain::Column::Tenant, audit_chain::Column::Number, audit_chain::Column::Hash])
        .column_as(tenant::Column::Uid, "uid")
        .join(JoinType::LeftJoin, to_tenant.into())
        .filter(has_grown())
        .order_by_asc(audit_chain::Column::Tenant)
        .into_model::<Grown>()
        .all(transaction)
        .await
        .map_err(database)
}

/// The right edge of the tree. It must be the one that was signed last: nothing is signed over nodes that were changed.
async fn read_frontier(
    transaction: &DatabaseTransaction,
    origin: &str,
    (size, root): (u64, Option<Hash>),
) -> Result<Frontier> {
    let nodes = prove::nodes(transaction, origin, &frontier(size)).await?;
    let tree = Frontier::new(size, &nodes).map_err(|error| corrupt("audit_nodes", error))?;
    match root {
        Some(root) if root != tree.root() => Err(Error::internal(
            "nothing is signed",
            "the nodes of the tree do not make the root of the last checkpoint",
        )),
        _ => Ok(tree),
    }
}

fn node_row(origin: &str, id: NodeId, hash: &Hash) -> Result<audit_node::ActiveModel> {
    Ok(audit_node::ActiveModel {
        log: Set(origin.to_owned()),
        level: Set(i64::from(id.level)),
        position: Set(number(id.position)?),
        hash: Set(hash.to_vec()),
    })
}

async fn insert(
    transaction: &DatabaseTransaction,
    leaves: Vec<audit_leaf::ActiveModel>,
    nodes: Vec<audit_node::ActiveModel>,
) -> Result<()> {
    for some in leaves.chunks(ROWS) {
        let insert = audit_leaf::Entity::insert_many(some.to_vec());
        insert.exec_without_returning(transaction).await.map_err(database)?;
    }
    for some in nodes.chunks(ROWS) {
        let insert = audit_node::Entity::insert_many(some.to_vec());
        insert.exec_without_returning(transaction).await.map_err(database)?;
    }
    Ok(())
}
