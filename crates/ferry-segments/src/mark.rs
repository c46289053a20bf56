//! What tells whether a person is at the destination as wanted: a keyed digest of the values they go with.
//!
//! It covers values, not rendered bytes: an upgrade of the renderer changes no mark, and so no row. A value that is
//! missing is not part of it, because nothing of it is sent; so a newly mapped column changes only those who have it.

use aws_lc_rs::hmac;

/// Sets marks apart from identity digests under the same key, as no address holds a NUL; raised with its form.
const FORM: &[u8] = b"\0ferry mark 1";

/// A keyed digest of the values that a person is wanted with. Meaningless without the tenant's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; 16]);

impl Mark {
    /// Takes its bytes, as stored.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be stored.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Makes the marks of rows that have their values in one order.
pub(crate) struct Marker {
    key: hmac::Key,
    /// Where each value is in a row, with the name of its destination field before it; by name, so that the order of
    /// the mapping does not matter.
    fields: Vec<(usize, Vec<u8>)>,
    message: Vec<u8>,
}

impl Marker {
    /// `fields` in the order of a row's values.
    pub(crate) fn new<'a>(key: &[u8; 32], fields: impl Iterator<Item = &'a str>) -> Self {
        let mut named: Vec<(usize, &str)> = fields.enumerate().collect();
        named.sort_by_key(|(_, name)| *name);
        let framed = |(place, name): (usize, &str)| {
            let mut framed = Vec::new();
            frame(name, &mut framed);
            (place, framed)
        };
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            fields: named.into_iter().map(framed).collect(),
            message: Vec::new(),
        }
    }

    /// The mark of one row: its address as it is sent, and its values.
    pub(crate) fn mark(&mut self, email: &str, values: &[Option<&str>]) -> Mark {
        self.message.clear();
        self.message.extend_from_slice(FORM);
        frame(email, &mut self.message);
        for (place, name) in &self.fields {
            if let Some(value) = values.get(*place).copied().flatten() {
                self.message.extend_from_slice(name);
                frame(value, &mut self.message);
            }
        }
        let tag = hmac::sign(&self.key, &self.message);
        let mut mark = [0; 16];
        mark.copy_from_slice(&tag.as_ref()[..16]);
        Mark(mark)
    }
}

/// A text with its length before it: no two lists of texts make the same bytes.
fn frame(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(key: u8, fields: &[&str], email: &str, values: &[Option<&str>]) -> Mark {
        Marker::new(&[key; 32], fields.iter().copied()).mark(email, values)
    }

    #[test]
    fn the_order_of_the_mapping_does_not_matter_and_everything_else_does() {
        let one = mark(1, &["first", "last"], "a@b.cd", &[Some("Ada"), Some("Ito")]);
        assert_eq!(one, mark(1, &["last", "first"], "a@b.cd", &[Some("Ito"), Some("Ada")]));
        for other in [
            mark(1, &["first", "last"], "a@b.cd", &[Some("Ito"), Some("Ada")]),
            mark(1, &["first", "last"], "a@b.ce", &[Some("Ada"), Some("Ito")]),
            mark(1, &["first", "phone"], "a@b.cd", &[Some("Ada"), Some("Ito")]),
            mark(1, &["first", "last"], "a@b.cd", &[Some("Ada"), None]),
            mark(1, &["first", "last"], "a@b.cd", &[Some("AdaI"), Some("to")]),
            mark(2, &["first", "last"], "a@b.cd", &[Some("Ada"), Some("Ito")]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_column_that_is_mapped_and_empty_changes_nothing() {
        let before = mark(1, &["first"], "a@b.cd", &[Some("Ada")]);
        assert_eq!(before, mark(1, &["first", "7"], "a@b.cd", &[Some("Ada"), None]));
        assert_ne!(before, mark(1, &["first", "7"], "a@b.cd", &[Some("Ada"), Some("x")]));
    }
}
