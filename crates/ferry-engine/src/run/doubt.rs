//! Doubt about the key: a good one is refused now and then, a revoked one always.
//!
//! After a refusal one request at a time goes out, each after a wait, until one is taken or [`REFUSED_KEYS`] in a row
//! were refused. So a refusal by mistake costs a wait, and a revoked key few requests.
//!
//! [`REFUSED_KEYS`]: super::retry::REFUSED_KEYS

use std::sync::atomic::{AtomicU32, Ordering};

/// Refusals in a row, of whatever request of the run.
#[derive(Debug, Default)]
pub(super) struct KeyDoubt(AtomicU32);

/// What a request knew of the doubt when it was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(u32);

impl KeyDoubt {
    pub(super) fn refusals(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn asking(&self) -> Asked {
        Asked(self.refusals())
    }

    /// Whether the key was refused, or taken again, since a request was let go.
    pub(super) fn has_changed(&self, asked: Asked) -> bool {
        self.refusals() != asked.0
    }

    /// The key was refused. Requests that were on their way together are refused together: that is one refusal.
    pub(super) fn refused(&self, asked: Asked) {
        self.move_on(asked, asked.0 + 1);
    }

    /// The key was taken. Says nothing if it was refused after that request had been let go.
    pub(super) fn taken(&self, asked: Asked) {
        self.move_on(asked, 0);
    }

    fn move_on(&self, asked: Asked, refusals: u32) {
        // Another request of the same time may have told it already.
        let _other = self.0.compare_exchange(asked.0, refusals, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_same_moment_are_one_and_an_old_answer_proves_nothing() {
        let doubt = KeyDoubt::default();
        let (first, second, third) = (doubt.asking(), doubt.asking(), doubt.asking());
        doubt.refused(first);
        doubt.refused(second);
        assert_eq!(doubt.refusals(), 1);
        assert!(doubt.has_changed(third));
        doubt.taken(third);
        assert_eq!(doubt.refusals(), 1, "it was sent before the refusal");
        doubt.refused(doubt.asking());
        assert_eq!(doubt.refusals(), 2);
        doubt.taken(doubt.asking());
        assert_eq!(doubt.refusals(), 0);
    }
}
