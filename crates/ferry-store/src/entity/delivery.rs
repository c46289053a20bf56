//! Rows of the table `deliveries`: what is still to be sent, by the webhook's uid and the notification's id.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub webhook: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub notification: String,
    #[sea_orm(column_type = "Text")]
    pub tenant: String,
    pub attempts: i64,
    pub next_time: i64,
    pub version: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
