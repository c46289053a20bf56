//! Bytes as text, two lower-case hex digits each.

use std::fmt::Write;

/// Writes them.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads them. Nothing for what is no such text.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn bytes_come_back_and_what_is_none_is_refused() {
        let bytes = [0, 1, 0x7f, 0x80, 0xff];
        assert_eq!(encode(&bytes), "00017f80ff");
        assert_eq!(decode("00017f80ff").as_deref(), Some(&bytes[..]));
        assert_eq!(decode(""), Some(Vec::new()));
        for bad in ["0", "0g", "000", "\u{e9}", "\u{e9}0"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
