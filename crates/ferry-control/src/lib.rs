//! The use cases of the control plane, one module a resource.
//!
//! Each parses the name, asks the policy for a permit, checks everything else and tells all that is wrong at once,
//! then makes one store transaction. It knows neither the wire nor the engine.

pub mod audit;
mod cloud_event;
pub mod connection;
pub mod connection_removal;
mod connection_update;
mod control;
mod deliveries;
pub mod etag;
pub mod export;
mod export_check;
pub mod export_many;
pub mod export_run;
pub mod export_validate;
mod filter;
mod inquiry;
mod notification;
mod page;
pub mod post;
mod principal;
mod probe;
pub mod refresh;
pub mod refresh_schedule;
mod request;
pub mod run;
mod scheduler;
mod secret;
pub mod segment;
mod signature;
pub mod tenant;
pub mod watch;
pub mod webhook;

pub use audit::{ExportItem, ExportQuery};
pub use control::{Control, ControlParts};
pub use page::PageRequest;
pub use watch::{LastToken, Watch, WatchEvent, WatchItem, WatchQuery};
