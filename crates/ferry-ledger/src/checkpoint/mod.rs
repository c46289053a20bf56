//! Checkpoints: what the log swears to, in the text forms of C2SP (tlog-checkpoint, signed-note).
//!
//! A checkpoint names the size and the root of the tree. Whoever keeps one elsewhere can prove later that what was
//! logged then is still there.

mod key;
mod note;
#[cfg(test)]
mod tests;

pub use key::{KeyError, Signer, VerifierKey};
pub use note::{MAX_NOTE, NoteError, Opened, open, split_notes};

use crate::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `ferry.audit/<uuid>`.
    pub origin: String,
    /// How many leaves its tree had.
    pub size: u64,
    /// The root of that tree.
    pub root: Hash,
    /// When it was made, in milliseconds since 1970.
    pub time_ms: i64,
    /// The key that signs every later checkpoint, where this is the last by its own key.
    pub next_key: Option<VerifierKey>,
}

/// Why a text is no checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// A line that is missing, twice there, or not what it must be.
    #[error("its line `{0}` is not what it must be")]
    Line(&'static str),
}

impl Checkpoint {
    /// Its text, which is what is signed.
    #[must_use]
    pub fn body(&self) -> String {
        let root = STANDARD.encode(self.root);
        let mut body = format!("{}\n{}\n{root}\ntime {}\n", self.origin, self.size, self.time_ms);
        if let Some(key) = &self.next_key {
            body += &format!("next-key {key}\n");
        }
        body
    }

    /// Reads the text of a note. Extension lines that it does not know are passed over, as C2SP wants it.
    ///
    /// # Errors
    /// The line that is not right.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let bad = CheckpointError::Line;
        let mut lines = text.strip_suffix('\n').ok_or(bad("origin"))?.split('\n');
        let mut line = |name| lines.next().filter(|line| !line.is_empty()).ok_or(bad(name));
        let (origin, size, root) = (line("origin")?, line("size")?, line("root")?);
        let size = decimal(size).ok_or(bad("size"))?;
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(bad("root"))?;
        let (mut time, mut next_key) = (None, None);
        for line in lines {
            match line.split_once(' ').unwrap_or((line, "")) {
                _ if line.is_empty() => return Err(bad("extension")),
                ("time", ms) if time.is_none() => time = Some(milliseconds(ms).ok_or(bad("time"))?),
                ("time", _) => return Err(bad("time")),
                ("next-key", key) if next_key.is_none() => {
                    next_key = Some(key.parse().map_err(|_| bad("next-key"))?);
                }
                ("next-key", _) => return Err(bad("next-key")),
                _ => {}
            }
        }
        Ok(Self { origin: origin.to_owned(), size, root, time_ms: time.ok_or(bad("time"))?, next_key })
    }

    /// The signed note of this checkpoint.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign_note(&self.body())
    }
}

/// A number in the one way to write it: no sign, no zeros before it.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn milliseconds(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some("0") => None,
        Some(after) => decimal(after).and_then(|_| text.parse().ok()),
        None => decimal(text).and_then(|ms| ms.try_into().ok()),
    }
}
