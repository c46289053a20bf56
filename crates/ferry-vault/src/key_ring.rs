//! Key-encryption keys by id, and which of them is current. Their text, in a file or given by the environment:
//!
//! ```text
//! current = key-2
//! key-1 = <32 bytes in base64>
//! key-2 = <32 bytes in base64>
//! ```

use crate::VaultError;
use crate::aead::{KEY_BYTES, Key, random_key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Shorter than a key in base64, so that a key in the place of an id is never taken for one and told in an error.
const ID_BYTES: usize = 32;
/// A key in base64.
const TEXT_BYTES: usize = 44;
/// The ids that we give: this and a number.
const OUR_ID: &str = "key-";

pub(crate) struct KeyRing {
    current: (String, Key),
    others: BTreeMap<String, Key>,
}

impl KeyRing {
    /// A ring of one new key.
    pub(crate) fn new() -> Result<Self, VaultError> {
        Ok(Self { current: (format!("{OUR_ID}1"), random_key()?), others: BTreeMap::new() })
    }

    /// `origin` is what an error calls the text, like "the key file".
    pub(crate) fn parse(text: &str, origin: &str) -> Result<Self, VaultError> {
        let refused = |what: String| VaultError::Setup(format!("{origin} {what}"));
        let mut keys = BTreeMap::new();
        let mut current: Option<&str> = None;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = index + 1;
            let (id, value) = line.split_once('=').map_or(("", ""), |(id, value)| (id.trim(), value.trim()));
            if id == "current" {
                if current.replace(value).is_some() {
                    return Err(refused(format!("names a current key twice, again in line {number}; keep one")));
                }
                continue;
            }
            let key = decode(value).filter(|_| is_id(id)).ok_or_else(|| {
                refused(format!("has a line {number} that is not `id = key`; a key is 32 bytes in base64"))
            })?;
            if keys.insert(id.to_owned(), key).is_some() {
                return Err(refused(format!("holds `{id}` twice, again in line {number}; which one is it?")));
            }
        }
        let id = current.ok_or_else(|| refused("names no current key; add a line `current = ID`".to_owned()))?;
        if !is_id(id) {
            return Err(refused("has a current key that is no id; write `current = ID`".to_owned()));
        }
        let key = keys.remove(id).ok_or_else(|| {
            refused(format!("does not hold its current key `{id}`; add it, or name one that is there"))
        })?;
        Ok(Self { current: (id.to_owned(), key), others: keys })
    }

    /// The text that [`KeyRing::parse`] reads.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        // The room is made once: a string that grows would leave copies behind.
        let lines = 2 + self.others.len();
        let mut text = Zeroizing::new(String::with_capacity(lines * (ID_BYTES + TEXT_BYTES + 8)));
        for part in ["current = ", &self.current.0, "\n"] {
            text.push_str(part);
        }
        let current = std::iter::once((&self.current.0, &self.current.1));
        for (id, key) in self.others.iter().chain(current) {
            let mut encoded = Zeroizing::new(String::with_capacity(TEXT_BYTES));
            STANDARD.encode_string(key.as_slice(), &mut encoded);
            for part in [id, " = ", &encoded, "\n"] {
                text.push_str(part);
            }
        }
        text
    }

    /// The key that wraps what is new.
    pub(crate) fn current(&self) -> (&str, &Key) {
        (&self.current.0, &self.current.1)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Key> {
        if id == self.current.0 { Some(&self.current.1) } else { self.others.get(id) }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str).chain(std::iter::once(self.current.0.as_str()))
    }

    /// Adds a new key, makes it current, and returns its id. The others stay.
    pub(crate) fn rotate(&mut self) -> Result<String, VaultError> {
        let number = |id: &str| id.strip_prefix(OUR_ID).and_then(|number| number.parse::<u32>().ok());
        let next = self.ids().filter_map(number).max().unwrap_or(0).saturating_add(1);
        let id = format!("{OUR_ID}{next}");
        let (old, key) = std::mem::replace(&mut self.current, (id.clone(), random_key()?));
        self.others.insert(old, key);
        Ok(id)
    }

    /// Removes all keys but the current one, and returns their ids.
    pub(crate) fn retire(&mut self) -> Vec<String> {
        std::mem::take(&mut self.others).into_keys().collect()
    }
}

fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= ID_BYTES && text.bytes().all(allowed)
}

fn decode(text: &str) -> Option<Key> {
    if text.len() != TEXT_BYTES {
        return None;
    }
    let mut bytes = Zeroizing::new([0; TEXT_BYTES]);
    let length = STANDARD.decode_slice(text, bytes.as_mut()).ok()?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    key.copy_from_slice(bytes.get(..length).filter(|bytes| bytes.len() == KEY_BYTES)?);
    Some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const KEY: &str = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";

    #[test]
    fn a_half_configured_ring_is_refused_with_what_to_do_and_without_a_key() {
        let cases = [
            (String::new(), "add a line `current = ID`"),
            (format!("a = {KEY}\n"), "add a line `current = ID`"),
            ("current = a\n".to_owned(), "does not hold its current key `a`"),
            (format!("current = a\nb = {KEY}\n"), "does not hold its current key `a`"),
            (format!("current = {KEY}\na = {KEY}\n"), "write `current = ID`"),
            (format!("current = a\ncurrent = a\na = {KEY}\n"), "names a current key twice"),
            (format!("current = a\na = {KEY}\na = {KEY}\n"), "holds `a` twice"),
            (format!("current = a\na = {}\n", &KEY[..40]), "line 2 that is not `id = key`"),
            (format!("current = a\na = {KEY}{KEY}\n"), "line 2 that is not `id = key`"),
            (format!("current = a\na = {}*=\n", &KEY[..42]), "line 2 that is not `id = key`"),
            (format!("current = a\n = {KEY}\n"), "line 2 that is not `id = key`"),
            (format!("{KEY}\n"), "line 1 that is not `id = key`"),
            ("nonsense\n".to_owned(), "line 1 that is not `id = key`"),
        ];
        for (text, expected) in cases {
            let told = KeyRing::parse(&text, "the key file").map(|_| ()).unwrap_err().to_string();
            assert!(told.contains(expected), "{text:?}: {told}");
            assert!(!told.contains(&KEY[..8]), "an error shows a key");
        }
    }

    #[test]
    fn a_ring_reads_back_from_its_text_and_an_id_is_not_given_twice() {
        let mut ring = KeyRing::new().unwrap();
        assert_eq!(ring.rotate().unwrap(), "key-2");
        let again = KeyRing::parse(&ring.text(), "the key file").unwrap();
        assert_eq!(again.current(), ring.current());
        assert_eq!(again.get("key-1"), ring.get("key-1"));
        assert!(again.get("key-1").is_some() && again.get("key-3").is_none());
        assert_eq!(ring.retire(), ["key-1"]);
        assert_eq!(ring.rotate().unwrap(), "key-3");
    }
}
