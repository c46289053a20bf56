//! Who may do what.
//!
//! A [`Token`] is what a verified access token says; an [`Actor`] is its holder with the rights that hold now. The
//! [`policy`] table names the least role for every RPC. A [`Permit`] is the proof that the table was asked for one
//! action on one target; only [`permit`] makes one, and the store does nothing without it, so a forgotten check does not
//! compile.

mod act;
pub mod action;
mod actor;
mod permit;
pub mod policy;
pub mod target;

pub use act::{Act, Call, Denial, held, required};
pub use action::Action;
pub use actor::{Actor, Role, Standing, Token};
pub use permit::{Permit, Spent, Visibility, may_ask, may_run, permit};
pub use target::{AuditParent, ExportTarget, HeldRun, NewExport, RunTarget, Target};
