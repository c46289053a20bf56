//! The gRPC edge: who calls, what they ask in the domain's terms, and what they are told.
//!
//! Handlers are thin: protobuf to command, one call of `ferry-control`, domain to protobuf. No handler looks at a role.

pub mod authn;
mod convert;
mod layer;
mod server;
mod service;
mod status;

pub use server::{ServeError, Server, ServerParts};
pub use service::UNIMPLEMENTED;
