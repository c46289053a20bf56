//! A simulator of `ActiveCampaign`'s API v3, written from its documented contract.
//!
//! It is the judge of an export: limits are enforced by its own clock, every request is in a durable journal before
//! it is answered, and each way the service is known to fail can be switched on.
//! It shares no code with the client it judges.
//!
//! Life of a request: the arrival is stamped when its head has been read; the account is found by the `Host` header;
//! a fault may be drawn; the body is read; the state decides under one lock and appends a record; the record is
//! synced to disk; the answer is sent (or spoiled, when the fault says so).
//!
//! Life of an imported batch: queued, processed once its time has come by the scaled clock, kept for ever.
//! After a restart on the same journal everything is as the journal says, and batches that were queued are processed.

mod api;
mod clock;
mod config;
mod control;
mod delivery;
mod faults;
mod journal;
mod limits;
mod page;
mod report;
mod rng;
mod script;
mod server;
mod simulator;
mod socket;
mod store;
mod tls;

pub use config::{
    AccountConfig, Certificate, ContactLimit, MalformedAddress, Options, Order, Protocol, SimConfig, SuccessSpelling,
    UnknownList, Window,
};
pub use faults::{Endpoint, FaultKind, FaultRule, Faults, ForbiddenShape, RetryAfter, When};
pub use journal::{AcceptedImport, EndedBatch, History, SeenRequest, read_contacts, read_history, read_journal};
pub use report::Report;
pub use server::{Sim, start};
pub use store::{ContactView, Membership};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whose data stays usable after a panic of another holder: a simulator rather goes on than hangs a test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
