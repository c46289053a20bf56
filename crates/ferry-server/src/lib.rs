//! The gRPC edge: who calls, what they ask in the domain's terms, and what they are told.
//!
//! Handlers are thin: protobuf to command, one call of `ferry-control`, domain to protobuf. No handler looks at a role.

pub mod authn;
mod convert;
mod deadline;
mod http1;
mod layer;
mod limits;
mod listener;
mod server;
mod service;
mod status;
mod tls;
mod told;
mod traced;
mod web;

pub use limits::{Bounds, Limits, RequestRate};
pub use server::{ServeError, Server, ServerParts};
pub use service::UNIMPLEMENTED;
pub use tls::{ClientCertificates, Tls, TlsError, TlsFiles};
pub use web::{OidcClient, Origin, OriginError, WebConfig};
