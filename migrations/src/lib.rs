//! The database's schema, as steps that are taken once each, in order. The rules for a step are in `README.md`.

mod columns;
mod m20261101_000001_initial;
mod m20261125_000001_access;
mod m20261125_000002_state;
mod m20261128_000001_audit;
mod m20261128_000003_recipients;
mod m20261130_000001_watch;
mod m20261201_000001_schedules;
mod m20261202_000001_notifications;

use sea_orm_migration::prelude::*;

pub use sea_orm_migration::MigratorTrait;

/// All steps, the oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261101_000001_initial::Migration),
            Box::new(m20261125_000001_access::Migration),
            Box::new(m20261125_000002_state::Migration),
            Box::new(m20261128_000001_audit::Migration),
            Box::new(m20261128_000003_recipients::Migration),
            Box::new(m20261130_000001_watch::Migration),
            Box::new(m20261201_000001_schedules::Migration),
            Box::new(m20261202_000001_notifications::Migration),
        ]
    }
}
