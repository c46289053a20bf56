//! What became of each row of a plan: a byte a row, and the reasons once each.

use crate::rejected::REASON_NOT_GIVEN;
use std::ops::Range;

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It never left.
    NotSent,
    /// The destination took it.
    Confirmed,
    /// The destination turned it down.
    Refused {
        /// Why, as Ferry shows it.
        reason: &'a str,
        /// Whether its values may be there all the same: it was queued, and refused afterwards.
        may_be_there: bool,
    },
    /// It left, and nobody knows.
    Unknown,
}

const NOT_SENT: u8 = 0;
const CONFIRMED: u8 = 1;
const UNKNOWN: u8 = 2;
const FIRST_REASON: u8 = 3;
/// What stands for the reasons beyond those that a byte can tell apart. Ferry's own words are far fewer.
const OTHER: &str = REASON_NOT_GIVEN;

/// The outcome of every row of a plan, by ordinal.
#[derive(Debug)]
pub struct Outcomes {
    codes: Vec<u8>,
    reasons: Vec<(String, bool)>,
}

impl Outcomes {
    /// Nothing of a plan of so many rows, members and removals together, was sent.
    #[must_use]
    pub fn none_sent(rows: u64) -> Self {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        Self { codes: vec![NOT_SENT; rows], reasons: vec![(OTHER.to_owned(), true), (OTHER.to_owned(), false)] }
    }

    /// Rows that the plan has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.codes.len() as u64
    }

    /// Whether nothing of the plan was sent.
    #[must_use]
    pub fn nothing_was_sent(&self) -> bool {
        self.codes.iter().all(|code| *code == NOT_SENT)
    }

    /// What became of some rows; those that the plan does not have are passed over.
    pub fn set(&mut self, ordinals: Range<u64>, outcome: Outcome<'_>) {
        let code = match outcome {
            Outcome::NotSent => NOT_SENT,
            Outcome::Confirmed => CONFIRMED,
            Outcome::Unknown => UNKNOWN,
            Outcome::Refused { reason, may_be_there } => self.refused(reason, may_be_there),
        };
        let place = |ordinal: u64| usize::try_from(ordinal).unwrap_or(usize::MAX).min(self.codes.len());
        let (from, to) = (place(ordinals.start), place(ordinals.end));
        if let Some(codes) = self.codes.get_mut(from..to) {
            codes.fill(code);
        }
    }

    fn refused(&mut self, reason: &str, may_be_there: bool) -> u8 {
        let wanted = |(found, there): &(String, bool)| found == reason && *there == may_be_there;
        let place = self.reasons.iter().position(wanted).unwrap_or_else(|| {
            if self.reasons.len() > usize::from(u8::MAX - FIRST_REASON) {
                return usize::from(!may_be_there);
            }
            self.reasons.push((reason.to_owned(), may_be_there));
            self.reasons.len() - 1
        });
        FIRST_REASON + u8::try_from(place).unwrap_or(0)
    }

    /// What became of one row; one that the plan does not have was not sent.
    #[must_use]
    pub fn get(&self, ordinal: u64) -> Outcome<'_> {
        let code = usize::try_from(ordinal).ok().and_then(|place| self.codes.get(place));
        match code.copied().unwrap_or(NOT_SENT) {
            NOT_SENT => Outcome::NotSent,
            CONFIRMED => Outcome::Confirmed,
            UNKNOWN => Outcome::Unknown,
            refused => {
                let (reason, may_be_there) = &self.reasons[usize::from(refused - FIRST_REASON)];
                Outcome::Refused { reason, may_be_there: *may_be_there }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_apart_by_reason_and_by_what_may_be_there() {
        let mut outcomes = Outcomes::none_sent(10);
        outcomes.set(0..4, Outcome::Confirmed);
        let refusals = [("A", true), ("A", false), ("B", true)];
        for (ordinal, (reason, may_be_there)) in (2..).zip(refusals) {
            outcomes.set(ordinal..ordinal + 1, Outcome::Refused { reason, may_be_there });
        }
        outcomes.set(8..99, Outcome::Unknown);
        assert_eq!(outcomes.get(1), Outcome::Confirmed);
        for (ordinal, (reason, may_be_there)) in (2..).zip(refusals) {
            assert_eq!(outcomes.get(ordinal), Outcome::Refused { reason, may_be_there });
        }
        assert_eq!((outcomes.get(5), outcomes.get(9)), (Outcome::NotSent, Outcome::Unknown));
        assert_eq!((outcomes.get(10), outcomes.rows()), (Outcome::NotSent, 10));
    }

    #[test]
    fn reasons_without_end_keep_what_may_be_there() {
        let mut outcomes = Outcomes::none_sent(1_000);
        for ordinal in 0..1_000 {
            let reason = format!("REASON_{ordinal}");
            outcomes.set(ordinal..ordinal + 1, Outcome::Refused { reason: &reason, may_be_there: ordinal % 2 == 0 });
        }
        for ordinal in 0..1_000 {
            let Outcome::Refused { reason, may_be_there } = outcomes.get(ordinal) else { panic!("refused") };
            assert_eq!(may_be_there, ordinal % 2 == 0);
            assert!(reason == OTHER || reason == format!("REASON_{ordinal}"));
        }
    }
}
