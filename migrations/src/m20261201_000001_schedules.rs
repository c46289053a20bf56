//! What is due by itself: the refresh of each tenant, what is due next for whom, the refreshes that go on, and what they
//! counted. An export remembers the schedule that it had when it was switched off.
//!
//! Rows that exist stay right: no tenant has a refresh schedule before this step, which means that it is off; no export
//! has a recurrence, so none is due; and an export that is off without a memory gets the default back.

use crate::columns::{number, optional, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut before = optional(text("schedule_before"));
        manager.alter_table(Table::alter().table(Alias::new("exports")).add_column(&mut before).take()).await?;
        for table in tables() {
            manager.create_table(table).await?;
        }
        // Somebody looks each second for what is due, what waits and what goes on.
        let due = |name: &'static str, table: &'static str, column: &'static str| {
            Index::create().name(name).table(Alias::new(table)).col(Alias::new(column)).take()
        };
        let set = |column: &'static str| Expr::col(Alias::new(column)).is_not_null();
        manager.create_index(due("ticks_due", "ticks", "due_time").cond_where(set("due_time")).take()).await?;
        manager.create_index(due("ticks_waiting", "ticks", "tenant").cond_where(set("pending")).take()).await?;
        let open = || Expr::col(Alias::new("end_time")).is_null();
        manager.create_index(due("refreshes_open", "refreshes", "create_time").cond_where(open()).take()).await?;
        manager.create_index(due("refreshes_tenant", "refreshes", "tenant")).await?;
        // Whoever queues a run asks for the one that goes on, of an export that may have had thousands.
        let live = due("runs_live", "runs", "tenant").col(Alias::new("export")).cond_where(open()).take();
        manager.create_index(live).await
    }
}

fn tables() -> [TableCreateStatement; 4] {
    let schedules = vec![
        text("tenant"),
        number("active"),
        text("cadence"),
        text("days"),
        text("times"),
        text("time_zone"),
        text("updated_by"),
        number("version"),
        number("update_time"),
    ];
    let ticks = vec![
        text("tenant"),
        text("export"),
        optional(number("due_time")),
        optional(text("pending")),
        number("version"),
    ];
    let refreshes = vec![
        text("id"),
        text("tenant"),
        text("asked_by"),
        optional(text("segments")),
        text("failed"),
        number("create_time"),
        optional(number("end_time")),
        optional(text("through")),
        text("runs"),
        text("already_running"),
    ];
    let counts = vec![text("tenant"), text("segment"), number("members"), number("time")];
    [
        table("refresh_schedules", schedules, &["tenant"]),
        table("ticks", ticks, &["tenant", "export"]),
        table("refreshes", refreshes, &["id"]),
        table("segment_counts", counts, &["tenant", "segment"]),
    ]
}
