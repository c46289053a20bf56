//! As what a person stands at the destination.

use crate::mark::Mark;

/// Bytes of a standing in a file: its kind, then its mark.
pub(crate) const STANDING_BYTES: usize = 17;

const NONE: u8 = 0;
const MEMBER: u8 = 1;
const SET_FIELD: u8 = 2;
const UNSUBSCRIBED: u8 = 3;

/// As what a person stands at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// With these values.
    Member(Mark),
    /// As one who left.
    Left(Left),
}

/// How one who left was marked as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Left {
    /// A field was set to this. They can come back.
    SetField(Mark),
    /// Off the list, for good.
    Unsubscribed,
}

impl Standing {
    /// Whether it is that of a member, whatever the values.
    #[must_use]
    pub fn is_member(self) -> bool {
        matches!(self, Self::Member(_))
    }

    /// Whether it is final.
    #[must_use]
    pub fn is_unsubscribed(self) -> bool {
        self == Self::Left(Left::Unsubscribed)
    }

    pub(crate) fn encode(standing: Option<Self>) -> [u8; STANDING_BYTES] {
        let (kind, mark) = match standing {
            None => (NONE, [0; 16]),
            Some(Self::Member(mark)) => (MEMBER, mark.bytes()),
            Some(Self::Left(Left::SetField(mark))) => (SET_FIELD, mark.bytes()),
            Some(Self::Left(Left::Unsubscribed)) => (UNSUBSCRIBED, [0; 16]),
        };
        let mut bytes = [kind; STANDING_BYTES];
        bytes[1..].copy_from_slice(&mark);
        bytes
    }

    /// Nothing for bytes that are no standing; `Some(None)` for those of nobody's.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        let [kind, mark @ ..] = bytes else { return None };
        let mark = Mark::new(mark.try_into().ok()?);
        match *kind {
            NONE => Some(None),
            MEMBER => Some(Some(Self::Member(mark))),
            SET_FIELD => Some(Some(Self::Left(Left::SetField(mark)))),
            UNSUBSCRIBED => Some(Some(Self::Left(Left::Unsubscribed))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_reads_back_as_it_was_written_and_other_bytes_are_none() {
        let mark = Mark::new([7; 16]);
        let left = [Left::SetField(mark), Left::Unsubscribed].map(|left| Some(Standing::Left(left)));
        for standing in [None, Some(Standing::Member(mark)), left[0], left[1]] {
            assert_eq!(Standing::decode(&Standing::encode(standing)), Some(standing));
        }
        for bytes in [&b""[..], b"\x01", &[4; 17], &[1; 18]] {
            assert_eq!(Standing::decode(bytes), None);
        }
    }
}
