//! Rule 7: whoever another export holds on the same list is not taken off it.

use crate::sealed::PlanError;
use crate::state::{StateCursor, StateEmails, StateEntry, StateFile};

/// The states of other exports, beside identities that are asked for in order. They are opened with the first question.
pub(super) struct Others<'a> {
    files: &'a [StateFile],
    cursors: Option<Vec<StateCursor>>,
}

impl<'a> Others<'a> {
    pub(super) fn new(files: &'a [StateFile]) -> Self {
        Self { files, cursors: None }
    }

    /// Whether one of them has, or may have, this person there as a member. Identities come in order.
    pub(super) fn hold(&mut self, identity: &[u8; 16]) -> Result<bool, PlanError> {
        let open = |file| StateCursor::open(Some(file), StateEmails::Skipped);
        let cursors = match &mut self.cursors {
            Some(cursors) => cursors,
            None => self.cursors.insert(self.files.iter().map(open).collect::<Result<_, _>>()?),
        };
        let mut held = false;
        for cursor in cursors {
            while cursor.next_before(Some(identity))?.is_some() {}
            let entry = cursor.peek().filter(|entry| entry.identity == *identity);
            held |= entry.is_some_and(StateEntry::may_be_member);
        }
        Ok(held)
    }

    /// Reads to the ends: only there it is known that the states were those that were adopted.
    pub(super) fn finish(&mut self) -> Result<(), PlanError> {
        for cursor in self.cursors.iter_mut().flatten() {
            while cursor.next_before(None)?.is_some() {}
        }
        Ok(())
    }
}
