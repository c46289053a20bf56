//! Rows of the table `recipients`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipients")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub export_uid: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub connection_uid: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_generation: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub list: i64,
    #[sea_orm(column_type = "Text")]
    pub tenant: String,
    pub number: i64,
    pub digest: Vec<u8>,
    pub rows: i64,
    pub update_time: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
