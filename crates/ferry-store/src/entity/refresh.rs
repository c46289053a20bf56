//! Rows of the table `refreshes`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "refreshes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub tenant: String,
    #[sea_orm(column_type = "Text")]
    pub asked_by: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub segments: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub failed: String,
    pub create_time: i64,
    pub end_time: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub through: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub runs: String,
    #[sea_orm(column_type = "Text")]
    pub already_running: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
