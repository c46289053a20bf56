//! Persistence, by sea-orm on SQLite.
//!
//! Every function of the control plane takes a [`ferry_domain::authz::Permit`] and spends it before its first `await`;
//! every function of the engine takes a [`Lease`] and writes nothing once the run has been granted to somebody else.
//! All writes go through one writer, which commits several at once.

mod anchor;
mod attention;
mod audit;
mod audit_denied;
mod audit_export;
mod audit_read;
mod audit_retention;
mod audit_stream;
mod batch;
mod checkpoint;
mod connection;
mod connection_change;
mod connection_removal;
mod connection_retraction;
mod connection_stop;
mod database;
mod delivery;
mod egress;
mod ended_run;
mod entity;
mod erasure;
mod erasure_end;
mod erasure_ground;
mod error;
mod export;
mod export_list;
mod export_many;
mod facts;
mod lane;
mod lease;
mod load;
mod new_entries;
mod notification;
mod page;
mod plan;
mod principal;
mod recipients;
mod record;
mod refresh;
mod refresh_exports;
mod refresh_schedule;
mod removal;
mod request;
mod run;
mod run_change;
mod run_claim;
mod run_hold;
mod run_queue;
mod run_watch;
mod run_work;
mod standing;
mod state;
mod suppression;
mod taking_off;
mod tenant;
mod tick;
mod tick_look;
mod webhook;
mod writer;

pub use attention::Verdict;
pub use audit_export::{ExportChain, ExportOutline, ProvedCheckpoint};
pub use audit_read::{AuditFilter, AuditRecord};
pub use audit_retention::Swept;
pub use batch::{
    AttemptOutcome, BatchAfter, BatchKey, BatchRecord, BatchState, CountsDelta, Intent, IntentRefused, RefusedRow,
    RowOutcome, SendPermit,
};
pub use checkpoint::{Acknowledged, AuditLog, Lost, Rotation, SignedCheckpoint, Signing, SuppressedPerson};
pub use connection::NewConnection;
pub use connection_change::{ConnectionChange, NewSecret, StoredSecret};
pub use connection_removal::{Removal, RemovalAsked, RemovedConnection};
pub use connection_stop::{Asked, Orphan};
pub use database::{Store, StoreConfig};
pub use delivery::{Delivery, DeliveryOutcome, DueWebhook};
pub use egress::{Recipient, Sends};
pub use erasure::{ErasureOutcome, ErasurePlace, ErasureReceipt, ErasureRecipient, NewErasure};
pub use erasure_end::{FilesErased, OpenErasure, RunFolder};
pub use erasure_ground::{ErasureGround, LivePlan, Marks, NamedConnection, StatePlace};
pub use export::{ExportChange, ExportCredentials, ExportView, NewExportRow};
pub use export_list::{ExportColumn, ExportFilter, ExportOrder};
pub use export_many::{AttachTo, NewCopy, NewSchedules};
pub use lane::LaneRecord;
pub use lease::{Lease, LeaseError};
pub use load::RunLoad;
pub use page::{Listed, Page};
pub use plan::{Adoption, PlanRecord};
pub use recipients::{RecipientsAdvance, RecipientsFiles, RecipientsKey, RecipientsRecord, SentBatch, Unfolded};
pub use refresh::{NewRefresh, OpenRefresh, SegmentCount};
pub use refresh_exports::{Counted, Refreshed};
pub use refresh_schedule::RefreshScheduleChange;
pub use removal::RemovedTenant;
pub use request::{RequestKey, Write};
pub use run::{AskedPlan, NewRun, RunFiles};
pub use run_claim::{Claimed, TakesOff};
pub use run_hold::Pause;
pub use run_queue::QueuedRuns;
pub use run_watch::{RunChange, WatchChanges, WatchNews, WatchSnapshot, Watched};
pub use standing::NamedPlan;
pub use state::{ExportState, StateAdvance, StateMark};
pub use tenant::{NewTenant, TenantChange};
pub use tick::{DueTick, Missed, Ticked, WaitingTick};
pub use webhook::{NewWebhook, RemovedWebhook, WebhookChange};

#[cfg(test)]
mod tests;
