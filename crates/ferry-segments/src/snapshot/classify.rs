//! What is to be done with one person: the wanted standing against what the state knows. Nothing here does it.

use crate::state::{Standing, StateEntry};

/// A refused row is due again after this.
const REFUSED_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// What holds for everybody in a plan.
pub(super) struct Rules {
    /// What is there counts as unknown, and what was refused is due.
    pub(super) full_resync: bool,
    /// Now, in milliseconds since 1970.
    pub(super) now_ms: i64,
    /// As what those who left are to stand; nothing if they stay as they are.
    pub(super) left: Option<Standing>,
}

/// What is to be done with a member of the segments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Nothing.
    Unchanged,
    /// Nothing, by a rule.
    Excluded(Rule<'a>),
    /// They are new to the destination.
    Add,
    /// They are, or may be, there otherwise.
    Change,
}

/// Why a member does not go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rule<'a> {
    /// They were unsubscribed, which is final.
    PreviouslyRemoved,
    /// The destination refused the same values, for this reason, not long ago.
    RefusedBefore(&'a str),
}

impl<'a> Rule<'a> {
    /// The word that Ferry shows.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::PreviouslyRemoved => "PREVIOUSLY_REMOVED",
            Self::RefusedBefore(_) => "REFUSED_BEFORE",
        }
    }

    /// What the destination said then.
    pub(super) fn destination_reason(&self) -> Option<&'a str> {
        match self {
            Self::PreviouslyRemoved => None,
            Self::RefusedBefore(reason) => Some(reason),
        }
    }
}

/// What is to be done with one who is no member of the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// Nothing: they are not there, or stay there by the policy, or have left already.
    None,
    /// They are to leave.
    Due(Standing),
    /// They would, but the destination refused that not long ago.
    RefusedBefore,
}

impl Rules {
    pub(super) fn member<'a>(&self, entry: Option<&'a StateEntry>, wanted: Standing) -> Verdict<'a> {
        let Some(entry) = entry else { return Verdict::Add };
        if entry.may_be_unsubscribed() {
            return Verdict::Excluded(Rule::PreviouslyRemoved);
        }
        if !self.full_resync && entry.is_exactly(wanted) {
            return Verdict::Unchanged;
        }
        match self.refused(entry, wanted) {
            Some(reason) => Verdict::Excluded(Rule::RefusedBefore(reason)),
            None if entry.may_be_member() => Verdict::Change,
            None => Verdict::Add,
        }
    }

    pub(super) fn leaver(&self, entry: &StateEntry) -> Departure {
        match self.left {
            Some(left) if entry.may_be_member() => match self.refused(entry, left) {
                Some(_) => Departure::RefusedBefore,
                None => Departure::Due(left),
            },
            _ => Departure::None,
        }
    }

    fn refused<'a>(&self, entry: &'a StateEntry, wanted: Standing) -> Option<&'a str> {
        let refused = entry.refused.as_ref().filter(|refused| refused.standing == wanted)?;
        let recent = self.now_ms.saturating_sub(refused.time_ms) < REFUSED_MS;
        (recent && !self.full_resync).then_some(refused.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Mark;
    use crate::state::{Left, Refused};

    const UNSUBSCRIBED: Standing = Standing::Left(Left::Unsubscribed);
    const NOW: i64 = 1_800_000_000_000;

    fn member(mark: u8) -> Standing {
        Standing::Member(Mark::new([mark; 16]))
    }

    fn set_field(mark: u8) -> Standing {
        Standing::Left(Left::SetField(Mark::new([mark; 16])))
    }

    fn entry(confirmed: Option<Standing>, maybe: &[Standing], refused: Option<(Standing, i64)>) -> StateEntry {
        let refused = refused.map(|(standing, age)| Refused { standing, reason: "R".to_owned(), time_ms: NOW - age });
        StateEntry { identity: [1; 16], confirmed, maybe: maybe.to_vec(), refused, email: String::new() }
    }

    fn rules(full_resync: bool, left: Option<Standing>) -> Rules {
        Rules { full_resync, now_ms: NOW, left }
    }

    #[test]
    fn a_member_is_spared_a_request_only_where_nothing_else_may_be_there() {
        let wanted = |entry: StateEntry, full| match rules(full, None).member(Some(&entry), member(1)) {
            Verdict::Unchanged => "unchanged",
            Verdict::Excluded(_) => "excluded",
            Verdict::Add => "add",
            Verdict::Change => "change",
        };
        let confirmed = || entry(Some(member(1)), &[], None);
        assert_eq!((wanted(confirmed(), false), wanted(confirmed(), true)), ("unchanged", "change"));
        assert_eq!(wanted(entry(Some(member(1)), &[member(2)], None), false), "change");
        assert_eq!(wanted(entry(Some(member(2)), &[], None), false), "change");
        assert_eq!(wanted(entry(Some(set_field(2)), &[], None), false), "add");
        assert_eq!(wanted(entry(Some(set_field(2)), &[member(1)], None), false), "change");
        assert_eq!(wanted(entry(None, &[], Some((member(2), 0))), false), "add");
    }

    #[test]
    fn rule_5_refused_rows_are_due_again_when_changed_on_request_or_after_thirty_days() {
        let verdict = |refused: Standing, age: i64, full: bool| {
            let entry = entry(None, &[], Some((refused, age)));
            rules(full, None).member(Some(&entry), member(1)) == Verdict::Excluded(Rule::RefusedBefore("R"))
        };
        assert!(verdict(member(1), REFUSED_MS - 1, false));
        assert!(verdict(member(1), -5, false), "a clock that went back");
        for (refused, age, full) in [(member(1), REFUSED_MS, false), (member(2), 0, false), (member(1), 0, true)] {
            assert!(!verdict(refused, age, full));
        }
    }

    #[test]
    fn rule_6_one_who_was_unsubscribed_never_goes_again() {
        for entry in [entry(Some(UNSUBSCRIBED), &[], None), entry(Some(member(1)), &[UNSUBSCRIBED], None)] {
            for full in [false, true] {
                let verdict = rules(full, None).member(Some(&entry), member(1));
                assert_eq!(verdict, Verdict::Excluded(Rule::PreviouslyRemoved));
            }
        }
    }

    #[test]
    fn rule_1_whoever_may_be_there_leaves_until_exactly_that_is_confirmed() {
        let leaves = |entry: StateEntry, full| rules(full, Some(set_field(9))).leaver(&entry);
        let due = Departure::Due(set_field(9));
        assert_eq!(leaves(entry(Some(member(1)), &[], None), false), due);
        assert_eq!(leaves(entry(None, &[member(1)], None), false), due);
        assert_eq!(leaves(entry(Some(set_field(9)), &[member(1)], None), false), due);
        assert_eq!(leaves(entry(Some(set_field(9)), &[], None), true), Departure::None);
        assert_eq!(leaves(entry(Some(set_field(8)), &[], None), false), Departure::None);
        assert_eq!(leaves(entry(None, &[], Some((member(1), 0))), false), Departure::None);
        let refused = || entry(Some(member(1)), &[], Some((set_field(9), 0)));
        assert_eq!((leaves(refused(), false), leaves(refused(), true)), (Departure::RefusedBefore, due));
        assert_eq!(rules(false, None).leaver(&entry(Some(member(1)), &[], None)), Departure::None);
    }
}
