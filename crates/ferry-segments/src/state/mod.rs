//! What an export knows to be at the destination: the export state, and how a run moves it on.
//!
//! A state is a sealed file with one entry a person, sorted by identity digest. It holds what is confirmed and what may
//! be there besides: both count when somebody leaves, and only the one without the other spares a person a request.
//!
//! The state file is a checkpoint of what the store has on record: [`fold`] makes the next from it, the plan and the
//! outcomes, and makes the same one however often it is repeated.

mod entry;
mod fold;
mod outcomes;
mod read;
mod standing;
mod write;

pub use entry::{Refused, StateEntry};
pub use fold::{FoldSpec, Folded, fold};
pub use outcomes::{Outcome, Outcomes};
pub(crate) use read::StateCursor;
pub use read::{StateEmails, StateReader};
pub(crate) use standing::STANDING_BYTES;
pub use standing::{Left, Standing};
pub use write::StateWriter;

use crate::sealed::{Form, Place};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;

/// A state file, and what it must hold.
#[derive(Clone)]
pub struct StateFile {
    /// Where it is.
    pub place: Place,
    /// The digest of its entries, as adopted in the store.
    pub digest: [u8; 32],
}

fn form() -> Form {
    let fixed = |name, bytes: usize, nullable| {
        Field::new(name, DataType::FixedSizeBinary(i32::try_from(bytes).unwrap_or(i32::MAX)), nullable)
    };
    Form {
        version: "state 1",
        schema: Arc::new(Schema::new(vec![
            fixed("identity", 16, false),
            fixed("confirmed", STANDING_BYTES, false),
            Field::new("maybe", DataType::Binary, true),
            fixed("refused", STANDING_BYTES, true),
            Field::new("refused_reason", DataType::Utf8, true),
            Field::new("refused_ms", DataType::Int64, true),
            Field::new("email", DataType::Utf8, false),
        ])),
        incompressible: &["identity", "confirmed"],
    }
}

#[cfg(test)]
mod tests;
