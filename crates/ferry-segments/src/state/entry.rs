//! One person's entry in an export state, and how an outcome changes it.

use super::Outcome;
use super::standing::Standing;
use crate::digest::Digest;
use crate::normalise::{Email, identity_digest};
use crate::sealed::PlanError;

/// What else may be there is kept up to this many standings.
const MAYBE: usize = 8;

/// One person. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// The keyed digest of the person's identity.
    pub identity: [u8; 16],
    /// As what the destination last confirmed them.
    pub confirmed: Option<Standing>,
    /// What may be there besides, the oldest first: sent, with an outcome that is not known.
    pub maybe: Vec<Standing>,
    /// What the destination last refused.
    pub refused: Option<Refused>,
    /// The address, as it was sent last; empty where it was not asked for.
    pub email: String,
}

/// What the destination refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As what the person was to stand there.
    pub standing: Standing,
    /// Why, as Ferry shows it.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
}

impl StateEntry {
    pub(super) fn new(identity: [u8; 16]) -> Self {
        Self { identity, confirmed: None, maybe: Vec::new(), refused: None, email: String::new() }
    }

    fn standings(&self) -> impl Iterator<Item = Standing> {
        self.confirmed.iter().chain(&self.maybe).copied()
    }

    /// Whether the person is, or may be, there as a member.
    #[must_use]
    pub fn may_be_member(&self) -> bool {
        self.standings().any(Standing::is_member)
    }

    /// Whether the person is, or may be, on the list: as a member, or as one of whom a field says that they left. Who may
    /// have been unsubscribed is on it until exactly that is confirmed.
    #[must_use]
    pub fn may_be_on_list(&self) -> bool {
        self.standings().next().is_some() && !self.is_exactly(Standing::Left(super::Left::Unsubscribed))
    }

    /// The address, if it is that of this person: the state's digest covers the identity, and the identity that of the
    /// address.
    pub(crate) fn address(&self, digest_key: &[u8; 32]) -> Result<&str, PlanError> {
        let is_theirs = |email: Email| identity_digest(digest_key, &email) == self.identity;
        if Email::parse(&self.email).is_ok_and(is_theirs) {
            return Ok(&self.email);
        }
        Err(PlanError::Sealed("an address of it is not that of its entry".to_owned()))
    }

    /// Whether the person is, or may be, unsubscribed for good.
    #[must_use]
    pub fn may_be_unsubscribed(&self) -> bool {
        self.standings().any(Standing::is_unsubscribed)
    }

    /// Whether the person is there as exactly this, and nothing else may be.
    #[must_use]
    pub fn is_exactly(&self, standing: Standing) -> bool {
        self.confirmed == Some(standing) && self.maybe.is_empty()
    }

    /// What the outcome of a row changes. Nothing that was not sent comes here.
    pub(super) fn settle(&mut self, standing: Standing, outcome: Outcome<'_>, now_ms: i64) {
        match outcome {
            Outcome::NotSent => {}
            Outcome::Confirmed => {
                let unsubscribed = self.may_be_unsubscribed() && !standing.is_unsubscribed();
                self.confirmed = Some(standing);
                self.maybe.clear();
                self.refused = None;
                // Nobody is ever subscribed again, so what may have been final stays so.
                if unsubscribed {
                    self.maybe.push(Standing::Left(super::Left::Unsubscribed));
                }
            }
            Outcome::Refused { reason, may_be_there } => {
                self.refused = Some(Refused { standing, reason: reason.to_owned(), time_ms: now_ms });
                if may_be_there {
                    self.may_be(standing);
                }
            }
            Outcome::Unknown => {
                // It was due again, and what came of it is not the old refusal.
                self.refused = self.refused.take().filter(|refused| refused.standing != standing);
                self.may_be(standing);
            }
        }
    }

    /// Where the set is full, it loses the oldest of a kind that it has more of: that there may be a member, one who
    /// left, or one unsubscribed is never lost.
    fn may_be(&mut self, standing: Standing) {
        if self.maybe.contains(&standing) {
            return;
        }
        self.maybe.push(standing);
        if self.maybe.len() > MAYBE {
            let kind = |standing: &Standing| (standing.is_member(), standing.is_unsubscribed());
            let again =
                |place: &usize| self.maybe.iter().skip(place + 1).any(|later| kind(later) == kind(&self.maybe[*place]));
            let oldest = (0..self.maybe.len()).find(again);
            self.maybe.remove(oldest.unwrap_or(0));
        }
    }
}

/// A digest over all entries. The address is not in it: the identity is a keyed digest of the address.
pub(super) fn digest() -> Digest {
    Digest::new(b"ferry state 1")
}

impl StateEntry {
    pub(super) fn digest_into(&self, digest: &mut Digest) {
        digest.add(&self.identity);
        digest.add(&Standing::encode(self.confirmed));
        digest.add(&(self.maybe.len() as u64).to_be_bytes());
        for standing in &self.maybe {
            digest.add(&Standing::encode(Some(*standing)));
        }
        digest.add(&Standing::encode(self.refused.as_ref().map(|refused| refused.standing)));
        if let Some(refused) = &self.refused {
            digest.add(&refused.time_ms.to_be_bytes());
            digest.add_framed(refused.reason.as_bytes());
        }
    }
}
