//! The record that can be proved: entries and their chains, the tree over them and its signed checkpoints; connections
//! that are being removed; whom an erasure suppresses, and what came of it at each recipient.
//!
//! Rows that exist stay right: what happened before has no entry, so each tenant's chain begins with the first change
//! after this step, and a run that goes on begins its chain with the next request.

use crate::columns::{bytes, index, number, optional, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, mut column) in [
            ("tenants", optional(number("audit_retention_ms"))),
            ("tenants", number("audit_policy").default(0).take()),
            ("runs", number("entries").default(0).take()),
            ("runs", optional(bytes("entries_head"))),
            ("runs", number("entries_anchored").default(0).take()),
            ("runs", optional(text("erasure"))),
            ("runs", optional(number("list"))),
            ("plans", number("suppressions").default(0).take()),
            ("plans", optional(text("purpose"))),
            ("plans", optional(text("fields"))),
        ] {
            // One column a statement: SQLite takes no more.
            manager.alter_table(Table::alter().table(Alias::new(table)).add_column(&mut column).take()).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    let entries = vec![
        text("tenant"),
        text("chain"),
        number("number"),
        number("time"),
        text("kind"),
        text("actor"),
        text("object"),
        optional(bytes("body")),
        bytes("body_hash"),
        bytes("hash"),
    ];
    let chains = vec![text("tenant"), number("number"), bytes("hash"), number("leaf_number")];
    let log =
        vec![number("id"), text("log"), number("key_generation"), number("key_change_size"), number("copied_size")];
    let leaves = vec![text("log"), number("position"), text("tenant"), number("number"), bytes("head")];
    let nodes = vec![text("log"), number("level"), number("position"), bytes("hash")];
    let checkpoints =
        vec![text("log"), number("size"), bytes("root"), text("note"), number("key_generation"), number("time")];
    let removals = vec![
        text("uid"),
        text("tenant"),
        text("id"),
        text("host"),
        text("state"),
        text("receipt"),
        number("create_time"),
        number("update_time"),
    ];
    let suppressions = vec![text("tenant"), bytes("person"), number("time"), text("erasure")];
    let erasures = vec![
        text("id"),
        text("tenant"),
        optional(bytes("person")),
        text("actor"),
        number("create_time"),
        optional(number("end_time")),
    ];
    let recipients = vec![
        text("erasure"),
        text("export_uid"),
        text("connection_uid"),
        number("connection_generation"),
        number("list"),
        text("recipient"),
        optional(text("run")),
        text("outcome"),
        text("message"),
        number("entry"),
    ];
    vec![
        table("audit_entries", entries, &["tenant", "chain", "number"]),
        table("audit_chains", chains, &["tenant"]),
        table("audit_log", log, &["id"]),
        table("audit_leaves", leaves, &["log", "position"]),
        table("audit_nodes", nodes, &["log", "level", "position"]),
        table("audit_checkpoints", checkpoints, &["log", "size"]),
        table("connection_removals", removals, &["uid"]),
        table("suppressions", suppressions, &["tenant", "person"]),
        table("erasures", erasures, &["id"]),
        table(
            "erasure_recipients",
            recipients,
            &["erasure", "export_uid", "connection_uid", "connection_generation", "list"],
        ),
    ]
}

/// The filters of `ListAuditEntries`, the entries that retention looks for, and what a tenant's leaves are found by.
fn indexes() -> Vec<IndexCreateStatement> {
    // Entries of runs are listed by run alone, so what they share with a tenant's own costs them nothing.
    let own = |name, columns: &[&'static str]| {
        let mut index = index(name, "audit_entries", columns);
        index.cond_where(Expr::col(Alias::new("chain")).eq("")).take()
    };
    // The few runs whose chain has grown since its last anchor: each checkpoint looks for them.
    let mut grown = index("runs_to_anchor", "runs", &["tenant", "id"]);
    let grown = grown.cond_where(Expr::col(Alias::new("entries")).gt(Expr::col(Alias::new("entries_anchored")))).take();
    // The few erasures that go on: somebody looks for them each second.
    let mut open = index("erasures_open", "erasures", &["create_time"]);
    let open = open.cond_where(Expr::col(Alias::new("end_time")).is_null()).take();
    vec![
        grown,
        open,
        own("audit_entries_by_kind", &["tenant", "kind", "number"]),
        own("audit_entries_by_actor", &["tenant", "actor", "number"]),
        own("audit_entries_by_object", &["tenant", "object", "number"]),
        index("audit_leaves_by_tenant", "audit_leaves", &["log", "tenant", "number"]),
        index("connection_removals_by_name", "connection_removals", &["tenant", "id"]),
        index("erasures_by_tenant", "erasures", &["tenant", "create_time"]),
    ]
}
