//! Rows of the table `batches`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "batches")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub run: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub parent: Option<i64>,
    pub first: i64,
    pub rows: i64,
    #[sea_orm(column_type = "Text")]
    pub removed: String,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    pub attempts: i64,
    pub may_have_arrived: bool,
    #[sea_orm(column_type = "Text", nullable)]
    pub remote_id: Option<String>,
    pub sent_time: Option<i64>,
    pub confirmed: i64,
    #[sea_orm(column_type = "Text")]
    pub refused: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
