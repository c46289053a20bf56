//! Facts that a person must know, where they are sent, and what of that is still to be sent.
//!
//! Rows that exist stay right: nothing that happened before this step is told, and no tenant has a webhook.

use crate::columns::{bytes, index, number, optional, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        // One notification for each fact, whoever notes it how often.
        let fact = index("notifications_fact", "notifications", &["subject", "fact"]).unique().take();
        manager.create_index(fact).await?;
        manager.create_index(index("notifications_list", "notifications", &["tenant", "create_time", "id"])).await?;
        manager.create_index(index("notifications_age", "notifications", &["create_time"])).await?;
        // A removed webhook stays until its key is destroyed; another may have its id by then.
        let gone = || Expr::col(Alias::new("delete_time"));
        let id = index("webhooks_id", "webhooks", &["tenant", "id"]).unique().cond_where(gone().is_null()).take();
        manager.create_index(id).await?;
        let removed = index("webhooks_removed", "webhooks", &["delete_time"]).cond_where(gone().is_not_null()).take();
        manager.create_index(removed).await?;
        manager.create_index(index("deliveries_due", "deliveries", &["next_time"])).await?;
        manager.create_index(index("deliveries_webhook", "deliveries", &["webhook", "next_time"])).await?;
        manager.create_index(index("deliveries_tenant", "deliveries", &["tenant"])).await
    }
}

fn tables() -> [TableCreateStatement; 3] {
    let notifications = vec![
        text("id"),
        text("tenant"),
        text("kind"),
        text("subject"),
        text("fact"),
        text("reason"),
        text("message"),
        number("create_time"),
    ];
    let webhooks = vec![
        text("uid"),
        text("tenant"),
        text("id"),
        text("display_name"),
        text("url"),
        text("kinds"),
        number("disabled"),
        bytes("sealed_secret"),
        number("version"),
        number("create_time"),
        number("update_time"),
        optional(number("delete_time")),
    ];
    let deliveries = vec![
        text("webhook"),
        text("notification"),
        text("tenant"),
        number("attempts"),
        number("next_time"),
        number("version"),
    ];
    [
        table("notifications", notifications, &["id"]),
        table("webhooks", webhooks, &["uid"]),
        table("deliveries", deliveries, &["webhook", "notification"]),
    ]
}
