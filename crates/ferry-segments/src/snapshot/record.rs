//! A row of a segment as it waits for the second pass.

use super::spill::broken;
use crate::sealed::PlanError;

/// A row whose identity is known.
pub(super) struct Record<'a> {
    pub(super) identity: [u8; 16],
    /// Whether it fits into a request. One that does not was rejected; it still says that the person is a member.
    pub(super) fits: bool,
    /// Which of the segments it is from.
    pub(super) segment: u32,
    pub(super) line: u64,
    /// The address, as it is sent.
    pub(super) email: &'a str,
    values: &'a [u8],
}

impl<'a> Record<'a> {
    /// A row without its values.
    pub(super) fn new(identity: [u8; 16], segment: u32, line: u64, email: &'a str) -> Self {
        Self { identity, fits: true, segment, line, email, values: &[] }
    }

    /// Appends the record: its length, what is above, and the values.
    pub(super) fn write<T: AsRef<str>>(&self, values: impl Iterator<Item = Option<T>>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.identity);
        out.push(u8::from(self.fits));
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.line.to_le_bytes());
        text(Some(self.email), out);
        values.for_each(|value| text(value.as_ref().map(AsRef::as_ref), out));
        // A row has at most 10,000 cells of 1 MiB.
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// The record at the beginning of some bytes.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, PlanError> {
        Self::parse(bytes).ok_or_else(broken)
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.get(4..length(bytes)?)?;
        let identity = *take(&mut rest)?;
        let [fits] = *take(&mut rest)?;
        let segment = u32::from_le_bytes(*take(&mut rest)?);
        let line = u64::from_le_bytes(*take(&mut rest)?);
        let email = take_text(&mut rest)??;
        Some(Self { identity, fits: fits != 0, segment, line, email, values: rest })
    }

    /// Appends the values.
    pub(super) fn values(&self, out: &mut Vec<Option<&'a str>>) -> Result<(), PlanError> {
        let mut rest = self.values;
        while !rest.is_empty() {
            out.push(take_text(&mut rest).ok_or_else(broken)?);
        }
        Ok(())
    }
}

/// Each record's place in some bytes, with the first of its identity in order.
pub(super) fn places(bytes: &[u8]) -> Result<Vec<(u128, usize)>, PlanError> {
    let (mut places, mut place) = (Vec::new(), 0);
    while place < bytes.len() {
        let identity = bytes.get(place + 4..).and_then(<[u8]>::first_chunk).ok_or_else(broken)?;
        places.push((u128::from_be_bytes(*identity), place));
        place += length(&bytes[place..]).filter(|length| *length > 20).ok_or_else(broken)?;
    }
    Ok(places)
}

/// The bytes of the record that begins some.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

/// A length above the text's by one; zero for none.
fn text(text: Option<&str>, out: &mut Vec<u8>) {
    let length = text.map_or(0, |text| u32::try_from(text.len() + 1).unwrap_or(u32::MAX));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a str>> {
    let length = usize::try_from(u32::from_le_bytes(*take(rest)?)).ok()?;
    let Some(length) = length.checked_sub(1) else { return Some(None) };
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok().map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn records_read_back_as_they_were_written() {
        let mut bytes = Vec::new();
        let written = [vec![Some("Ada"), None, Some("")], vec![], vec![Some("\0ã")]];
        for (line, values) in (0..).zip(&written) {
            Record::new([9; 16], 3, line, "a@b.cd").write(values.iter().copied(), &mut bytes);
        }
        let places = places(&bytes).unwrap();
        assert_eq!(places.len(), 3);
        for ((identity, place), (line, expected)) in places.into_iter().zip((0..).zip(&written)) {
            let record = Record::read(&bytes[place..]).unwrap();
            let mut values = Vec::new();
            record.values(&mut values).unwrap();
            assert_eq!((identity.to_be_bytes(), record.identity), ([9; 16], [9; 16]));
            assert_eq!((record.fits, record.segment, record.line, record.email), (true, 3, line, "a@b.cd"));
            assert_eq!(&values, expected);
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_an_error() {
        let mut bytes = Vec::new();
        Record::new([9; 16], 3, 1, "a@b.cd").write([Some("x")].into_iter(), &mut bytes);
        for end in 0..bytes.len() {
            let read = Record::read(&bytes[..end]).and_then(|record| record.values(&mut Vec::new()));
            assert!(read.is_err(), "{end}");
        }
        assert!(places(&[1, 0, 0, 0]).is_err() && places(&[0; 40]).is_err());
    }
}
