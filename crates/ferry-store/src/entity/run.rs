//! Rows of the table `runs`. The log of changes holds them too, as JSON, for a day: a new column that is not an option
//! needs `#[serde(default)]`, so that what an older version wrote still reads.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize, serde::Deserialize)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub tenant: String,
    #[sea_orm(column_type = "Text")]
    pub export: String,
    #[sea_orm(column_type = "Text")]
    pub connection: String,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub phase: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub trigger: String,
    #[sea_orm(column_type = "Text")]
    pub started_by: String,
    #[sea_orm(column_type = "Text")]
    pub counts: String,
    pub batches_total: i64,
    pub batches_settled: i64,
    pub dry_run: bool,
    pub full_resync: bool,
    #[sea_orm(column_type = "Text")]
    pub warnings: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    pub estimated_end_time: Option<i64>,
    pub create_time: i64,
    pub start_time: Option<i64>,
    pub end_time: Option<i64>,
    pub version: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub owner: Option<String>,
    pub epoch: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub plan_of: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub plan_summary: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub approval: Option<String>,
    pub wait_time: Option<i64>,
    pub waited_ms: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub pause_reason: Option<String>,
    pub resume_time: Option<i64>,
    pub entries: i64,
    pub entries_head: Option<Vec<u8>>,
    pub entries_anchored: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub erasure: Option<String>,
    pub list: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
