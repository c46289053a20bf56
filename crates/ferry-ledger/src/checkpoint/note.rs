//! Signed notes: a text, an empty line, and signature lines (C2SP signed-note).

use super::VerifierKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a note, at most.
pub const MAX_NOTE: usize = 64 * 1024;

/// Signature lines of a note, at most, as in Go's `sumdb/note`.
const MAX_SIGNATURES: usize = 100;

/// Why a note is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form of a signed note.
    #[error("it is not a signed note: {0}")]
    Form(&'static str),
    /// A known key's signature does not fit the text.
    #[error("the signature of `{0}` does not fit the text")]
    Signature(String),
    /// No known key has signed it.
    #[error("none of the given keys has signed it; signed by {0}")]
    Unknown(String),
}

/// A note whose signature has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'a> {
    /// What was signed.
    pub text: &'a str,
    /// The first of the given keys that has signed it.
    pub key: VerifierKey,
}

/// Checks a note. Signatures of keys that are not given are passed over; a wrong one of a given key spoils the note.
///
/// # Errors
/// It is no note, a given key's signature is wrong, or no given key has signed it.
pub fn open<'a>(note: &'a str, keys: &[VerifierKey]) -> Result<Opened<'a>, NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::Form("too long"));
    }
    if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Form("it holds a control character"));
    }
    let split = note.rfind("\n\n").ok_or(NoteError::Form("no empty line before the signatures"))?;
    let (text, lines) = (&note[..=split], &note[split + 2..]);
    let lines = lines.strip_suffix('\n').ok_or(NoteError::Form("the last line does not end"))?;
    let (mut signed, mut strangers) = (None, Vec::new());
    for (place, line) in lines.split('\n').enumerate() {
        let (name, id, signature) = signature(line).ok_or(NoteError::Form("a line that is no signature"))?;
        if place >= MAX_SIGNATURES {
            return Err(NoteError::Form("too many signatures"));
        }
        match keys.iter().find(|key| key.name() == name && key.id() == id) {
            Some(key) if key.verify(text.as_bytes(), &signature) => {
                signed.get_or_insert(key);
            }
            Some(key) => return Err(NoteError::Signature(key.name().to_owned())),
            None => strangers.push(format!("{name}+{:08x}", u32::from_be_bytes(id))),
        }
    }
    let key = signed.ok_or_else(|| NoteError::Unknown(strangers.join(", ")))?.clone();
    Ok(Opened { text, key })
}

fn signature(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '+') {
        return None;
    }
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (!signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}

/// The notes of a file to which one after the other was appended. What is left after the last whole note comes second:
/// the beginning of one that a crash cut, or nothing.
#[must_use]
pub fn split_notes(file: &str) -> (Vec<&str>, &str) {
    let (mut notes, mut start, mut place, mut after_gap, mut signed) = (Vec::new(), 0, 0, false, false);
    for line in file.split_inclusive('\n') {
        let is_signature = after_gap && line.starts_with("\u{2014} ");
        if signed && !is_signature {
            notes.push(&file[start..place]);
            (start, signed) = (place, false);
        }
        signed |= is_signature && line.ends_with('\n');
        after_gap = line == "\n" || is_signature;
        place += line.len();
    }
    if signed && file.ends_with('\n') {
        notes.push(&file[start..]);
        start = file.len();
    }
    (notes, &file[start..])
}
