//! Rows of the table `erasure_recipients`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasure_recipients")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub erasure: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub export_uid: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub connection_uid: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_generation: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub list: i64,
    #[sea_orm(column_type = "Text")]
    pub recipient: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub run: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub outcome: String,
    #[sea_orm(column_type = "Text")]
    pub message: String,
    pub entry: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
