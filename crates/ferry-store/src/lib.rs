//! Persistence, by sea-orm on SQLite.
//!
//! Every function of the control plane takes a [`ferry_domain::authz::Permit`] and spends it before its first `await`;
//! every function of the engine takes a [`Lease`] and writes nothing once the run has been granted to somebody else.
//! All writes go through one writer, which commits several at once.

mod attention;
mod batch;
mod connection;
mod connection_change;
mod database;
mod entity;
mod error;
mod export;
mod lane;
mod lease;
mod page;
mod plan;
mod principal;
mod record;
mod removal;
mod request;
mod run;
mod run_claim;
mod run_hold;
mod run_work;
mod standing;
mod state;
mod tenant;
mod writer;

pub use attention::Verdict;
pub use batch::{
    AttemptOutcome, BatchAfter, BatchKey, BatchRecord, BatchState, CountsDelta, Intent, IntentRefused, RefusedRow,
    SendPermit,
};
pub use connection::NewConnection;
pub use connection_change::{ConnectionChange, NewSecret, StoredSecret};
pub use database::{Store, StoreConfig};
pub use export::{ExportChange, ExportCredentials, ExportFilter, ExportView, NewExportRow};
pub use lane::LaneRecord;
pub use lease::{Lease, LeaseError};
pub use page::{Listed, Page};
pub use plan::{Adoption, PlanRecord};
pub use removal::RemovedTenant;
pub use request::{RequestKey, Write};
pub use run::{AskedPlan, NewRun, RunFiles};
pub use run_claim::Claimed;
pub use run_hold::Pause;
pub use standing::NamedPlan;
pub use state::{ExportState, StateAdvance, StateMark};
pub use tenant::NewTenant;

#[cfg(test)]
mod tests;
