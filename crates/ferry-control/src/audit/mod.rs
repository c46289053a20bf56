//! The record that can be proved: reading it, handing it out to a verifier, what is refused and what retention takes; who
//! signs and when, and what lies outside of the database. And what people may ask of it: where somebody's data has gone,
//! and that it goes.

mod attendant;
mod denied;
mod erasure;
mod erasure_files;
mod erasure_look;
mod export;
mod filter;
pub mod keeper;
mod list;
pub mod pins;
mod purge;
pub mod recipients;
pub mod restored;
mod retention;
#[cfg(test)]
mod tests;

pub use export::{ExportItem, ExportQuery};
pub(crate) use purge::KEPT;
