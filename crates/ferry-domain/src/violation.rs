//! All that is wrong with a request, gathered before the first answer.

use crate::error::{Error, Reason};

/// One field that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field in the request, like `connection.settings.activecampaign.host`.
    pub field: String,
    /// What is wrong and what to do.
    pub description: String,
    /// The machine-readable cause.
    pub reason: Reason,
}

/// Collects violations, so that a caller sees all of them at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Nothing wrong so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one of the ordinary kind (`INVALID_FIELDS`).
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.add_because(Reason::InvalidFields, field, description);
    }

    /// Adds one whose cause has a reason of its own.
    pub fn add_because(&mut self, reason: Reason, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into(), reason });
    }

    /// Takes the value out of a parse, or notes its error and returns nothing.
    pub fn check<T, E: std::fmt::Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// True while nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error with all violations, if there is one.
    pub fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::InvalidArgument(self.0)) }
    }

    /// Ends a parse that left a value out: by then there must be a violation that says why.
    #[must_use]
    pub fn into_error(self) -> Error {
        debug_assert!(!self.0.is_empty(), "a value is missing and nobody said why");
        Error::InvalidArgument(self.0)
    }
}
