//! Why a segment cannot be read: a text for the caller, and apart from it what the operator's log may say.

use crate::inside::Inside;
use std::fmt;
use std::io;
use std::path::Path;

/// Why a segment cannot be read. The text names no path and no content of the file.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no file, or it may not be read.
    #[error("its file cannot be opened ({kind})")]
    Unopenable {
        /// What the system says.
        kind: io::ErrorKind,
        /// For the log.
        inside: Inside,
    },
    /// The file is not what the catalogue says.
    #[error("its file is broken: {what}")]
    Broken {
        /// What is wrong, and what to do about it.
        what: String,
        /// For the log.
        inside: Inside,
    },
    /// A mapped column is not in the file.
    #[error("it has no column `{column}`; map another column, or refresh the segment")]
    ColumnNotFound {
        /// The column.
        column: String,
    },
    /// The file was written while it was read.
    #[error("its file was changed while it was read")]
    ChangedDuringRead,
}

impl SourceError {
    /// What the operator's log may add to the text; nothing where the text says it all.
    #[must_use]
    pub fn inside(&self) -> Option<&Inside> {
        match self {
            Self::Unopenable { inside, .. } | Self::Broken { inside, .. } => Some(inside),
            Self::ColumnNotFound { .. } | Self::ChangedDuringRead => None,
        }
    }

    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken { what: what.into(), inside: Inside::default() }
    }

    pub(crate) fn caused(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::Broken { what: what.into(), inside: Inside::cause(cause) }
    }

    pub(crate) fn open(error: &io::Error) -> Self {
        Self::Unopenable { kind: error.kind(), inside: Inside::cause(error) }
    }

    pub(crate) fn read(error: &io::Error) -> Self {
        Self::caused(format!("it cannot be read ({})", error.kind()), error)
    }

    pub(crate) fn not_found(column: &str) -> Self {
        Self::ColumnNotFound { column: column.to_owned() }
    }

    /// Notes for the log which file it was.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            Self::Unopenable { kind, inside } => Self::Unopenable { kind, inside: inside.at(path) },
            Self::Broken { what, inside } => Self::Broken { what, inside: inside.at(path) },
            Self::ColumnNotFound { .. } | Self::ChangedDuringRead => self,
        }
    }
}
