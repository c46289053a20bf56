//! Rows of the table `connections`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "connections")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub tenant: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub uid: String,
    #[sea_orm(column_type = "Text")]
    pub display_name: String,
    #[sea_orm(column_type = "Text")]
    pub destination_type: String,
    #[sea_orm(column_type = "Text")]
    pub host: String,
    pub sealed_secret: Vec<u8>,
    pub secret_version: i64,
    pub secret_set_time: i64,
    #[sea_orm(column_type = "Text")]
    pub access: String,
    #[sea_orm(column_type = "Text")]
    pub consent: String,
    #[sea_orm(column_type = "Text")]
    pub run_as: String,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    pub generation: i64,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub secret_reference: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub attention: Option<String>,
    pub export_user_lost_time: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
