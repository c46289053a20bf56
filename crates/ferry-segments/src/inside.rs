//! The half of an error that is for the operator's log: paths and the system's own words.

use std::fmt;
use std::path::Path;

/// What a log may say of an error and a caller may not see. Neither `Display` nor `Debug` shows it, so it cannot slip
/// into an answer; it takes [`Inside::for_log`] to read it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Inside(String);

impl Inside {
    pub(crate) fn cause(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }

    pub(crate) fn at(self, path: &Path) -> Self {
        if self.0.is_empty() {
            Self(path.display().to_string())
        } else {
            Self(format!("{}: {}", path.display(), self.0))
        }
    }

    /// The text, for the log alone. Empty where there is nothing to add.
    #[must_use]
    pub fn for_log(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Inside(..)")
    }
}
