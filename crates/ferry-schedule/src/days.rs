//! Days of the week.

use jiff::civil::Weekday;

/// Days of the week, each at most once: 1 is Monday, 7 is Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// The same with one day more; nothing if it is no day, or was there.
    #[must_use]
    pub fn and(self, day: u8) -> Option<Self> {
        let bit = (1..=7).contains(&day).then(|| 1_u8 << (day - 1))?;
        (self.0 & bit == 0).then_some(Self(self.0 | bit))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The days, from Monday on.
    #[must_use]
    pub fn list(self) -> Vec<u8> {
        (1..=7).filter(|day| self.0 & (1 << (day - 1)) != 0).collect()
    }

    pub(crate) fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}
