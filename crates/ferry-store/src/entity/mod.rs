//! The rows of the database. They never leave this crate.
#![allow(
    unreachable_pub,
    missing_docs,
    reason = "the derive needs public items; the columns are described by the migration"
)]

pub mod attempt;
pub mod batch;
pub mod connection;
pub mod export;
pub mod export_state;
pub mod lane;
pub mod plan;
pub mod principal;
pub mod request_id;
pub mod run;
pub mod tenant;
