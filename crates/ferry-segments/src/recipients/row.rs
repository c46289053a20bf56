//! One person's row in a recipients file, and how an outcome changes it.

use super::file::broken;
use crate::sealed::PlanError;
use crate::state::Outcome;

/// 16 bytes digest, 8 first time, 8 last time, 1 presence, 3 number of the field set.
pub(super) const ROW: usize = 36;
/// As many sets as three bytes tell apart.
pub(super) const SETS: usize = 1 << 24;

/// Whether a person's data is at the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// The destination confirmed it.
    There,
    /// It was sent, and nobody knows what came of it.
    MayBeThere,
    /// The destination confirmed that the person was taken off the list.
    TakenOff,
    /// Taking them off was sent, and nobody knows what came of it.
    MayBeTakenOff,
    /// All that was ever sent of them the destination turned down.
    Refused,
}

impl Presence {
    const ALL: [Self; 5] = [Self::There, Self::MayBeThere, Self::TakenOff, Self::MayBeTakenOff, Self::Refused];

    fn code(self) -> u8 {
        match self {
            Self::There => 1,
            Self::MayBeThere => 2,
            Self::TakenOff => 3,
            Self::MayBeTakenOff => 4,
            Self::Refused => 5,
        }
    }

    /// Whether the person is, or may be, there.
    #[must_use]
    pub fn may_be_there(self) -> bool {
        match self {
            Self::There | Self::MayBeThere | Self::MayBeTakenOff => true,
            Self::TakenOff | Self::Refused => false,
        }
    }

    /// What it is once a person was put there, with this outcome. Nothing where nothing was sent.
    #[must_use]
    pub fn after_put(before: Option<Self>, outcome: Outcome<'_>) -> Option<Self> {
        match outcome {
            Outcome::NotSent => None,
            Outcome::Confirmed => Some(Self::There),
            Outcome::Refused { may_be_there: false, .. } => Some(before.unwrap_or(Self::Refused)),
            // What was there before stays there.
            Outcome::Refused { may_be_there: true, .. } | Outcome::Unknown => match before {
                Some(Self::There) => before,
                _ => Some(Self::MayBeThere),
            },
        }
    }

    /// What it is once a person was taken off, with this outcome. Nothing where nothing was sent. Whoever is taken off
    /// without a row was put there before there were any.
    #[must_use]
    pub fn after_take_off(before: Option<Self>, outcome: Outcome<'_>) -> Option<Self> {
        match outcome {
            Outcome::NotSent => None,
            Outcome::Confirmed => Some(Self::TakenOff),
            Outcome::Refused { may_be_there: false, .. } => Some(before.unwrap_or(Self::MayBeThere)),
            Outcome::Refused { may_be_there: true, .. } | Outcome::Unknown => match before {
                // Who is not there cannot become it.
                Some(Self::TakenOff | Self::Refused) => before,
                _ => Some(Self::MayBeTakenOff),
            },
        }
    }
}

/// A row, without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) identity: [u8; 16],
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    pub(super) presence: Presence,
    pub(super) set: u32,
}

impl Row {
    pub(super) fn encode(&self) -> [u8; ROW] {
        let mut bytes = [0; ROW];
        bytes[..16].copy_from_slice(&self.identity);
        bytes[16..24].copy_from_slice(&self.first_ms.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.last_ms.to_be_bytes());
        bytes[32..].copy_from_slice(&self.set.to_be_bytes());
        bytes[32] = self.presence.code();
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, PlanError> {
        let bytes: &[u8; ROW] = bytes.try_into().map_err(|_| broken("a row of it has another width"))?;
        let mut parts = super::file::Header(bytes);
        let (identity, first_ms, last_ms) =
            (parts.take(), i64::from_be_bytes(parts.take()), i64::from_be_bytes(parts.take()));
        let [code, set @ ..]: [u8; 4] = parts.take();
        let presence = Presence::ALL.into_iter().find(|presence| presence.code() == code);
        let presence = presence.ok_or_else(|| broken("a row of it is none of this version of Ferry"))?;
        let [a, b, c] = set;
        Ok(Self { identity, first_ms, last_ms, presence, set: u32::from_be_bytes([0, a, b, c]) })
    }
}
