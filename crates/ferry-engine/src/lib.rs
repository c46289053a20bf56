//! Carries runs out: read, plan, send, settle, account. And goes on where it stopped after a crash.
//!
//! The engine shares nothing with the control plane but the store: it claims a run there, and every write it makes is
//! fenced by the lease of that claim. What may be repeated after a crash is what was on its way at that moment, at most
//! four requests of an account; everything else is known from the store.

mod context;
mod disk;
mod failure;
mod recipients;
mod run;
mod supervisor;

pub use context::EngineParts;
pub use supervisor::Engine;
