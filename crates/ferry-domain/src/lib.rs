//! What Ferry is about, free of I/O, clocks and randomness: identifiers, resource names, entities,
//! the states of a run, the account of its outcomes, limits, errors, and who may do what.
//!
//! Every other crate speaks in these terms. A value of these types has been checked by the constructor that made it.

pub mod authz;
pub mod connection;
pub mod consent;
pub mod counts;
pub mod error;
pub mod event;
pub mod export;
pub mod failpoint;
pub mod hex;
pub mod id;
pub mod limits;
pub mod name;
pub mod notification;
pub mod refresh;
pub mod removal;
pub mod run;
pub mod segment;
pub mod tenant;
pub mod time;
pub mod violation;

pub use connection::{Connection, ConnectionAccess, ConnectionState, Consent};
pub use counts::Counts;
pub use error::{Error, Reason, Result};
pub use export::{Export, ExportSettings, FieldMapping, LeavePolicy, RemovalGuard, Schedule};
pub use id::{ConnectionId, ExportId, NotificationId, RunId, SegmentId, TenantId, WebhookId};
pub use name::{ConnectionName, ExportName, NotificationName, RunName, SegmentName, TenantName, WebhookName};
pub use notification::{Notification, NotificationKind, ToTell, Webhook};
pub use refresh::{Cadence, RefreshSchedule};
pub use removal::RemovalReceipt;
pub use run::{Approval, Culprit, PauseReason, Phase, PlanSummary, Run, RunError, RunState, Severity, Trigger};
pub use tenant::{Tenant, TenantKind};
pub use time::Timestamp;
pub use violation::{Violation, Violations};
