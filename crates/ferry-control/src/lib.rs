//! The use cases of the control plane, one module a resource.
//!
//! Each parses the name, asks the policy for a permit, checks everything else and tells all that is wrong at once,
//! then makes one store transaction. It knows neither the wire nor the engine.

pub mod connection;
mod control;
pub mod etag;
pub mod export;
mod filter;
mod page;
mod request;
pub mod run;
pub mod segment;
pub mod tenant;

pub use control::{Control, ControlParts};
pub use page::PageRequest;
