//! What access needs: what is known of principals, tenants that were removed, secrets that lie in an external store, and
//! why a connection needs attention.
//!
//! Rows that exist stay right: no tenant was removed, every secret lies here, and whoever has no row in `principals`
//! gets one with the next token. Until then nothing runs in their name.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, mut column) in [
            ("tenants", number("delete_time")),
            ("tenants", number("purge_time")),
            ("connections", text("secret_reference")),
            ("connections", text("attention")),
            ("connections", number("export_user_lost_time")),
        ] {
            // One column a statement: SQLite takes no more.
            manager.alter_table(Table::alter().table(Alias::new(table)).add_column(&mut column).take()).await?;
        }
        manager.create_table(principals()).await?;
        let mut by_subject = Index::create();
        by_subject.name("principals_by_subject").table(Alias::new("principals")).col(Alias::new("subject"));
        manager.create_index(by_subject).await
    }
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().null().take()
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).text().null().take()
}

fn principals() -> TableCreateStatement {
    let mut table = Table::create();
    table.table(Alias::new("principals"));
    let columns =
        [text("tenant").not_null().take(), text("subject").not_null().take(), text("role"), number("revoke_time")];
    for mut column in columns {
        table.col(&mut column);
    }
    table.col(ColumnDef::new(Alias::new("issue_time")).big_integer().not_null());
    table.primary_key(Index::create().col(Alias::new("tenant")).col(Alias::new("subject")));
    let mut to_tenant = ForeignKey::create();
    to_tenant.from(Alias::new("principals"), Alias::new("tenant")).to(Alias::new("tenants"), Alias::new("id"));
    table.foreign_key(&mut to_tenant).take()
}
