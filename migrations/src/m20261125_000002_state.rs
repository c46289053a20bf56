//! What an export knows of its destination: the states of exports, what a plan stands on and removes, and runs that wait
//! for an approval, for somebody to mend the connection, or for the destination.
//!
//! Rows that exist stay right: no export has a state yet, so the first run with this schema sends every member. A plan
//! from before removes nobody; it names no host and no list, so no run can be asked to carry it out, and its own run goes
//! by what the export says now. No run is held or paused or has ever waited, and an export without a guard has the
//! default one.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, mut column) in [
            ("exports", text("removal_guard")),
            ("runs", text("plan_of")),
            ("runs", text("plan_summary")),
            ("runs", text("approval")),
            ("runs", number("wait_time")),
            ("runs", number("waited_ms").not_null().default(0).take()),
            ("runs", text("pause_reason")),
            ("runs", number("resume_time")),
            ("plans", number("removals").not_null().default(0).take()),
            ("plans", bytes("removal_batch_rows").null().take()),
            ("plans", text("host")),
            ("plans", number("list")),
            ("plans", number("state_number")),
            ("plans", bytes("state_digest").null().take()),
            ("plans", text("settings")),
            ("plans", text("leave_policy")),
        ] {
            // One column a statement: SQLite takes no more.
            manager.alter_table(Table::alter().table(Alias::new(table)).add_column(&mut column).take()).await?;
        }
        manager.create_table(export_states()).await?;
        // Who else holds somebody on a list is asked before they are taken off it.
        let mut by_list = Index::create();
        by_list.name("export_states_by_list").table(Alias::new("export_states"));
        by_list.col(Alias::new("tenant")).col(Alias::new("host")).col(Alias::new("list"));
        manager.create_index(by_list).await
    }
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().null().take()
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).text().null().take()
}

fn bytes(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).blob().take()
}

fn export_states() -> TableCreateStatement {
    let mut table = Table::create();
    table.table(Alias::new("export_states"));
    let columns = [
        text("export_uid"),
        text("connection_uid"),
        number("connection_generation"),
        number("list"),
        text("tenant"),
        text("host"),
        number("number"),
        bytes("digest"),
        number("rows"),
        number("members"),
        number("untrusted"),
        text("run"),
        number("update_time"),
    ];
    for mut column in columns {
        table.col(column.not_null());
    }
    let mut key = Index::create();
    for part in ["export_uid", "connection_uid", "connection_generation", "list"] {
        key.col(Alias::new(part));
    }
    table.primary_key(&mut key);
    let mut to_tenant = ForeignKey::create();
    to_tenant.from(Alias::new("export_states"), Alias::new("tenant")).to(Alias::new("tenants"), Alias::new("id"));
    table.foreign_key(&mut to_tenant).take()
}
