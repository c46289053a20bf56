//! References, and nothing in them that could lead out of a tenant's part of a store.

use crate::StoreKind;
use std::fmt;

const MOST_BYTES: usize = 255;

/// A name of a secret in a store: `env:NAME`, `file:PATH` or `vault:PATH#FIELD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretReference(pub(crate) Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Env { name: String },
    File { path: String },
    Vault { path: String, field: String },
}

/// Why a text is no reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Too long.
    #[error("must have at most 255 bytes")]
    Length,
    /// No known kind stands before the colon.
    #[error("must be env:NAME, file:PATH or vault:PATH#FIELD")]
    Kind,
    /// The name of a variable has another form.
    #[error("the name after env: must begin with A to Z and consist of A to Z, 0 to 9 and single `_` between them")]
    Name,
    /// A path has another form.
    #[error("the path must be parts of letters, digits, `.`, `_` and `-`, separated by `/`, and no part `.` or `..`")]
    Path,
    /// The field is missing or has another form.
    #[error("a vault: reference ends in #FIELD, of letters, digits, `.`, `_` and `-`")]
    Field,
}

impl SecretReference {
    /// Checks the text. There is one spelling for each reference.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MOST_BYTES {
            return Err(ReferenceError::Length);
        }
        let form = match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Form::Env { name: name.to_owned() },
            Some(("env", _)) => return Err(ReferenceError::Name),
            Some(("file", path)) if is_path(path) => Form::File { path: path.to_owned() },
            Some(("vault", rest)) => {
                let (path, field) = rest.split_once('#').ok_or(ReferenceError::Field)?;
                if !is_path(path) {
                    return Err(ReferenceError::Path);
                }
                if !is_part(field) {
                    return Err(ReferenceError::Field);
                }
                Form::Vault { path: path.to_owned(), field: field.to_owned() }
            }
            Some(("file", _)) => return Err(ReferenceError::Path),
            _ => return Err(ReferenceError::Kind),
        };
        Ok(Self(form))
    }

    /// The kind of store that it names.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        match self.0 {
            Form::Env { .. } => StoreKind::Env,
            Form::File { .. } => StoreKind::File,
            Form::Vault { .. } => StoreKind::Vault,
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Env { name } => write!(f, "env:{name}"),
            Form::File { path } => write!(f, "file:{path}"),
            Form::Vault { path, field } => write!(f, "vault:{path}#{field}"),
        }
    }
}

/// A to Z, digits, and single underscores between them. Two in a row are what ends the tenant's name in a variable.
fn is_variable(name: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.split('_').all(part)
}

/// Relative and without detours.
pub(crate) fn is_path(path: &str) -> bool {
    path.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain)
}
