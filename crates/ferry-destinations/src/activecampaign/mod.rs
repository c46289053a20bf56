//! ActiveCampaign, API version 3.
//!
//! Ferry uses the bulk import alone to write: it never re-subscribes a person who opted out, which the single-contact
//! calls do. Facts are from the vendor's pages; what they leave open is said where it matters.

mod answer;
mod client;
mod fields;
mod render;

pub use answer::{ImportOutcome, ImportStatus, Refusal, RefusalReason};
pub use client::{AccountUser, ActiveCampaign, CallError};
pub use fields::{Fields, FieldsPage};
pub use render::{ContactField, ContactLayout, Leaving, address_of, assemble, email_of, envelope_bytes};

/// Contacts in one import (bulk import page).
pub const ROWS_PER_REQUEST: usize = 250;
/// Bytes of one import's body: less than 400,000 (bulk import page).
pub const BYTES_PER_REQUEST: usize = 399_999;
