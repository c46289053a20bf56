//! A simulator of ActiveCampaign's API, version 3, written from its contract and not from any client.
//!
//! It keeps the documented limits, queues imports and works on them later, refuses and fails contacts as documented,
//! and writes what it accepted to a journal of its own, durably, before it answers. That journal is the judge of what
//! arrived. Its clock can run faster than real time.

mod account;
mod api;
mod fault;
mod import;
mod journal;
mod page;
mod report;
mod server;
mod tls;
mod windows;

pub use account::ContactView;
pub use fault::{Fault, Rule};
pub use report::Report;
pub use server::{AccountConfig, Sim, SimConfig, start};
