//! The rows of the database. They never leave this crate.
#![allow(
    unreachable_pub,
    missing_docs,
    reason = "the derive needs public items; the columns are described by the migration"
)]

pub mod attempt;
pub mod audit_chain;
pub mod audit_checkpoint;
pub mod audit_entry;
pub mod audit_leaf;
pub mod audit_log;
pub mod audit_node;
pub mod batch;
pub mod connection;
pub mod connection_removal;
pub mod delivery;
pub mod erasure;
pub mod erasure_recipient;
pub mod export;
pub mod export_state;
pub mod lane;
pub mod notification;
pub mod plan;
pub mod plan_index;
pub mod principal;
pub mod recipients;
pub mod refresh;
pub mod refresh_schedule;
pub mod request_id;
pub mod run;
pub mod run_change;
pub mod run_change_head;
pub mod segment_count;
pub mod suppression;
pub mod tenant;
pub mod tick;
pub mod webhook;
