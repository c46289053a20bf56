//! The plan file: every row that is to be sent, rendered once, in its order. A row's place is its ordinal.
//!
//! First come the members that are new or changed, then those who are removed; each part is sorted by identity digest.

mod entries;
mod read;
mod write;

pub(crate) use entries::{PlanEntries, PlanEntry};
pub use read::{PlanReader, PlanRow};
pub use write::{NewRow, PlanWriter};

use crate::digest::Digest;
use crate::sealed::{self, Form, PlanError};
use crate::state::{STANDING_BYTES, Standing};
use arrow_array::{BinaryArray, FixedSizeBinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;

const IDENTITY: &str = "identity";
const STANDING: &str = "standing";
const EMAIL: &str = "email";
const BODY: &str = "body";

fn form() -> Form {
    let fixed = |name, bytes: usize| {
        Field::new(name, DataType::FixedSizeBinary(i32::try_from(bytes).unwrap_or(i32::MAX)), false)
    };
    let schema = Schema::new(vec![
        fixed(IDENTITY, 16),
        fixed(STANDING, STANDING_BYTES),
        Field::new(EMAIL, DataType::Utf8, false),
        Field::new(BODY, DataType::Binary, false),
    ]);
    Form { version: "plan 2", schema: Arc::new(schema), incompressible: &[IDENTITY, STANDING] }
}

fn digest() -> Digest {
    Digest::new(b"ferry plan 2")
}

/// Adds whole rows to a digest.
fn digest_rows(batch: &RecordBatch, digest: &mut Digest) -> Result<(), PlanError> {
    let identities = sealed::column::<FixedSizeBinaryArray>(batch, IDENTITY)?;
    let standings = sealed::column::<FixedSizeBinaryArray>(batch, STANDING)?;
    let emails = sealed::column::<StringArray>(batch, EMAIL)?;
    let bodies = sealed::column::<BinaryArray>(batch, BODY)?;
    for row in 0..batch.num_rows() {
        digest.add(identities.value(row));
        digest.add(standings.value(row));
        digest.add_framed(emails.value(row).as_bytes());
        digest.add_framed(bodies.value(row));
    }
    Ok(())
}

fn identity(identities: &FixedSizeBinaryArray, row: usize) -> Result<[u8; 16], PlanError> {
    identities.value(row).try_into().map_err(|_| sealed::other_columns())
}

/// The standing of a row; a row of a plan always has one.
fn standing(standings: &FixedSizeBinaryArray, row: usize) -> Result<Standing, PlanError> {
    Standing::decode(standings.value(row)).flatten().ok_or_else(sealed::other_columns)
}

#[cfg(test)]
mod tests;
