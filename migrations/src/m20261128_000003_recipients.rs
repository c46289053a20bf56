//! Where people's data has gone: which plans have an index that still answers, and which recipients file of an export
//! and a list counts. The people themselves are in files.
//!
//! What was sent before this step has no index and is in no recipients file; a run that goes on gets its index when it
//! is taken up.

use crate::columns::{number, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut indexes = Table::create();
        indexes.table(Alias::new("plan_indexes"));
        for name in ["run", "tenant", "planned_in", "export_uid", "connection_uid"] {
            indexes.col(text(name));
        }
        indexes.col(number("folded")).primary_key(Index::create().col(Alias::new("run")));
        manager.create_table(indexes).await?;
        let mut recipients = Table::create();
        recipients.table(Alias::new("recipients"));
        for name in ["export_uid", "connection_uid"] {
            recipients.col(text(name));
        }
        for name in ["connection_generation", "list"] {
            recipients.col(number(name));
        }
        recipients.col(text("tenant")).col(number("number"));
        recipients.col(ColumnDef::new(Alias::new("digest")).blob().not_null());
        recipients.col(number("rows")).col(number("update_time"));
        let mut key = Index::create();
        for name in ["export_uid", "connection_uid", "connection_generation", "list"] {
            key.col(Alias::new(name));
        }
        manager.create_table(recipients.primary_key(&mut key).take()).await?;
        let by_tenant = Index::create().name("recipients_by_tenant").table(Alias::new("recipients")).take();
        manager.create_index(by_tenant.clone().col(Alias::new("tenant")).take()).await?;
        // The few that are not folded yet: each look-up and each look for work reads them alone.
        let mut unfolded = Index::create();
        unfolded.name("plan_indexes_unfolded").table(Alias::new("plan_indexes")).col(Alias::new("tenant"));
        unfolded.cond_where(Expr::col(Alias::new("folded")).eq(0));
        manager.create_index(unfolded).await?;
        // When the rows of a batch were sent.
        let mut attempts = Index::create();
        attempts.name("attempts_by_run").table(Alias::new("attempts"));
        attempts.col(Alias::new("run")).col(Alias::new("seq"));
        manager.create_index(attempts).await
    }
}
