//! Rows of the table `ticks`. One for whatever is due by itself: an export, or the refresh of a tenant, whose
//! `export` is empty.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "ticks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub tenant: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub export: String,
    pub due_time: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub pending: Option<String>,
    pub version: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
