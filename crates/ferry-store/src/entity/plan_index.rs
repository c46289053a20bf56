//! Rows of the table `plan_indexes`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plan_indexes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub run: String,
    #[sea_orm(column_type = "Text")]
    pub tenant: String,
    /// The run whose files the plan and its index are among.
    #[sea_orm(column_type = "Text")]
    pub planned_in: String,
    #[sea_orm(column_type = "Text")]
    pub export_uid: String,
    #[sea_orm(column_type = "Text")]
    pub connection_uid: String,
    /// 1 once what the run sent is in a recipients file.
    pub folded: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
