//! The next state of an export: the last one, moved on by what became of each row of a plan.
//!
//! The same inputs make the same state, entry for entry, so a crash before it was adopted costs a repetition and
//! nothing else. All inputs are sorted by identity: it is one merge, and its memory does not grow with them.

use super::entry::StateEntry;
use super::read::{StateCursor, StateEmails};
use super::{Outcome, Outcomes, StateFile, StateWriter};
use crate::plan::{PlanEntries, PlanEntry};
use crate::sealed::{Place, PlanError};

/// What a state is made from, and where it goes.
pub struct FoldSpec {
    /// The state before; nothing for none.
    pub base: Option<StateFile>,
    /// The plan that was sent, or begun.
    pub plan: Place,
    /// Rows of its members; those after are its removals.
    pub planned: u64,
    /// Where the next state goes.
    pub to: Place,
    /// When a refusal counts from, in milliseconds since 1970: a time on record, so that a repetition has the same.
    pub now_ms: i64,
}

/// What a state came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// People.
    pub rows: u64,
    /// Of these, who is or may be a member at the destination.
    pub members: u64,
    /// Of all entries.
    pub digest: [u8; 32],
}

/// Writes the next state. On an error there is no file.
pub fn fold(spec: &FoldSpec, outcomes: &Outcomes) -> Result<Folded, PlanError> {
    let rows = outcomes.rows();
    let mut members = PlanEntries::open(&spec.plan, 0..spec.planned)?;
    if members.rows() != rows || spec.planned > rows {
        return Err(PlanError::Sealed("the plan has other rows than the outcomes are of".to_owned()));
    }
    let mut removals = PlanEntries::open(&spec.plan, spec.planned..rows)?;
    let mut state = StateCursor::open(spec.base.as_ref(), StateEmails::Read)?;
    let mut next = Next { writer: StateWriter::create(&spec.to)?, rows: 0, members: 0 };
    while let Some(row) = earlier(&mut members, &mut removals)? {
        while let Some(kept) = state.next_before(Some(&row.identity))? {
            next.push(&kept)?;
        }
        let found = state.next_of(&row.identity)?;
        next.push_settled(found, row, outcomes, spec.now_ms)?;
    }
    while let Some(kept) = state.next_before(None)? {
        next.push(&kept)?;
    }
    Ok(Folded { rows: next.rows, members: next.members, digest: next.writer.finish()? })
}

/// The next row of either section, by identity. Nobody is in both.
fn earlier(members: &mut PlanEntries, removals: &mut PlanEntries) -> Result<Option<PlanEntry>, PlanError> {
    let member_first = match (members.peek()?, removals.peek()?) {
        (Some(member), Some(removal)) => member.identity < removal.identity,
        (member, _) => member.is_some(),
    };
    if member_first { members.next_entry() } else { removals.next_entry() }
}

struct Next {
    writer: StateWriter,
    rows: u64,
    members: u64,
}

impl Next {
    fn push(&mut self, entry: &StateEntry) -> Result<(), PlanError> {
        self.rows += 1;
        self.members += u64::from(entry.may_be_member());
        self.writer.push(entry)
    }

    fn push_settled(
        &mut self,
        found: Option<StateEntry>,
        row: PlanEntry,
        outcomes: &Outcomes,
        now_ms: i64,
    ) -> Result<(), PlanError> {
        let outcome = outcomes.get(row.ordinal);
        if outcome == Outcome::NotSent {
            return found.map_or(Ok(()), |entry| self.push(&entry));
        }
        let mut entry = found.unwrap_or_else(|| StateEntry::new(row.identity));
        entry.email = row.email;
        entry.settle(row.standing, outcome, now_ms);
        self.push(&entry)
    }
}
