//! The log of what became of runs, for those who watch them: each change of a run's state with the run as it was then,
//! numbered for each tenant in the order of the commits, and up to where the log has been cut.
//!
//! Rows that exist stay right: a run that goes on is in the snapshot that a watcher begins with, and its next change is
//! the first one in the log.

use crate::columns::{number, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut changes = Table::create();
        changes.table(Alias::new("run_changes")).col(text("tenant")).col(number("number"));
        changes.col(text("export")).col(text("run")).col(number("time")).col(text("body"));
        changes.primary_key(Index::create().col(Alias::new("tenant")).col(Alias::new("number")));
        manager.create_table(changes).await?;
        let mut heads = Table::create();
        heads.table(Alias::new("run_change_heads")).col(text("tenant")).col(number("number"));
        heads.col(number("removed_through")).primary_key(Index::create().col(Alias::new("tenant")));
        manager.create_table(heads).await?;
        let mut by_time = Index::create();
        by_time.name("run_changes_by_time").table(Alias::new("run_changes")).col(Alias::new("time"));
        manager.create_index(by_time).await
    }
}
