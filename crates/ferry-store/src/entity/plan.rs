//! Rows of the table `plans`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plans")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub run: String,
    pub digest: Vec<u8>,
    pub planned: i64,
    pub batch_rows: Vec<u8>,
    #[sea_orm(column_type = "Text")]
    pub fingerprints: String,
    pub connection_generation: i64,
    pub export_version: i64,
    pub suppressions: i64,
    pub normaliser_version: i64,
    pub renderer_version: i64,
    pub adopt_time: i64,
    pub removals: i64,
    pub removal_batch_rows: Option<Vec<u8>>,
    #[sea_orm(column_type = "Text", nullable)]
    pub host: Option<String>,
    pub list: Option<i64>,
    pub state_number: Option<i64>,
    pub state_digest: Option<Vec<u8>>,
    #[sea_orm(column_type = "Text", nullable)]
    pub settings: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub leave_policy: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub purpose: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub fields: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
