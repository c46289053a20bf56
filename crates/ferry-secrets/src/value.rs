//! What counts as a key.

use crate::{SecretError, StoreKind};
use secrecy::SecretString;
use zeroize::Zeroizing;

const MOST_CHARACTERS: usize = 1024;

/// The key, if it is one.
pub(crate) fn key(text: &str, kind: StoreKind) -> Result<SecretString, SecretError> {
    let fits = is_visible(text) && text.len() <= MOST_CHARACTERS;
    if fits { Ok(SecretString::from(text)) } else { Err(SecretError::Malformed(kind)) }
}

/// Everything that a header can carry without a doubt, and nothing invisible that somebody pasted with it.
pub(crate) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The one line of a file. Editors end a file with a newline; it is no part of the secret.
pub(crate) fn line(content: &Zeroizing<Vec<u8>>) -> Option<&str> {
    let text = std::str::from_utf8(content).ok()?;
    Some(text.strip_suffix('\n').unwrap_or(text))
}
