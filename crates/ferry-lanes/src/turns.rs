//! Whose turn it is: of all who share an account, the one that was served longest ago.
//!
//! Shares are equal by turns, whatever each has waiting and since when. Who comes new begins behind those that wait
//! already, and saves up nothing while it does not ask.

use crate::limiter::Class;
use std::collections::HashMap;

/// Imports bound a run, so they come first. This many of them in a row, then something else that waits: where answers
/// are slow, the limit of a second is used up and polls would get nothing.
const IMPORTS_IN_A_ROW: u32 = 3;

/// One of those who share an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Party(u64);

/// The turn in which a party was last served, in each of its shares: see [`share`].
type Served = [u64; 3];

#[derive(Debug, Default)]
pub(crate) struct Turns {
    parties: HashMap<Party, Served>,
    last_party: u64,
    turn: u64,
    imports_in_a_row: u32,
}

impl Turns {
    pub(crate) fn join(&mut self) -> Party {
        self.last_party += 1;
        let party = Party(self.last_party);
        self.parties.insert(party, [self.turn; 3]);
        party
    }

    pub(crate) fn leave(&mut self, party: Party) {
        self.parties.remove(&party);
    }

    pub(crate) fn served(&mut self, party: Party, class: Class) {
        self.turn += 1;
        self.imports_in_a_row = if class.is_import() { (self.imports_in_a_row + 1).min(IMPORTS_IN_A_ROW) } else { 0 };
        if let Some(served) = self.parties.get_mut(&party) {
            served[share(class)] = self.turn;
        }
    }

    /// The places of those who wait, in the order in which they may be served. They stand in the order of their coming.
    pub(crate) fn order(&self, waiting: impl Iterator<Item = (Party, Class)>) -> Vec<usize> {
        let imports_first = self.imports_in_a_row < IMPORTS_IN_A_ROW;
        let rank = |(place, (party, class)): (usize, (Party, Class))| {
            let served = self.parties.get(&party).map_or(0, |served| served[share(class)]);
            (class.is_import() != imports_first, served, place)
        };
        let mut order: Vec<(bool, u64, usize)> = waiting.enumerate().map(rank).collect();
        order.sort_unstable();
        order.into_iter().map(|(.., place)| place).collect()
    }
}

/// What has limits of its own is shared by itself.
fn share(class: Class) -> usize {
    match class {
        Class::ImportMany => 0,
        Class::ImportOne => 1,
        Class::Poll | Class::Other => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Serves whoever is first, as long as somebody waits, and tells whom in which order. Of its requests, a party has
    /// up to four waiting at once; it comes once `begins` requests of others were served.
    fn serve(turns: &mut Turns, parties: &[(usize, usize)]) -> Vec<usize> {
        let mut left: Vec<usize> = parties.iter().map(|(requests, _)| *requests).collect();
        let mut joined: Vec<Option<Party>> = vec![None; parties.len()];
        let mut waiting: Vec<(usize, Party)> = Vec::new();
        let mut order = Vec::new();
        loop {
            for (index, (_, begins)) in parties.iter().enumerate() {
                if order.len() < *begins && !waiting.is_empty() {
                    continue;
                }
                let party = *joined[index].get_or_insert_with(|| turns.join());
                while left[index] > 0 && waiting.iter().filter(|(waiter, _)| *waiter == index).count() < 4 {
                    left[index] -= 1;
                    waiting.push((index, party));
                }
            }
            let first = turns.order(waiting.iter().map(|(_, party)| (*party, Class::ImportMany)));
            let Some(first) = first.first() else { return order };
            let (index, party) = waiting.remove(*first);
            turns.served(party, Class::ImportMany);
            order.push(index);
        }
    }

    proptest! {
        /// While two have something to send, neither is ever served more than once more often than the other.
        #[test]
        fn shares_are_equal_by_turns(parties in proptest::collection::vec((1_usize..60, 0_usize..40), 2..6)) {
            let order = serve(&mut Turns::default(), &parties);
            prop_assert_eq!(order.len(), parties.iter().map(|(requests, _)| requests).sum::<usize>());
            for one in 0..parties.len() {
                for other in 0..one {
                    let place = |of: usize| move |served: &usize| *served == of;
                    let begins = parties[one].1.max(parties[other].1).min(order.len());
                    let last = |of: usize| order.iter().rposition(place(of)).unwrap_or(0);
                    let both = order.get(begins..=last(one).min(last(other))).unwrap_or_default();
                    let served = |of: usize| both.iter().filter(|served| **served == of).count();
                    prop_assert!(served(one).abs_diff(served(other)) <= 1, "{both:?}");
                }
            }
        }
    }

    #[test]
    fn who_comes_new_is_served_after_those_that_wait_and_before_their_next() {
        let mut turns = Turns::default();
        let (a, b) = (turns.join(), turns.join());
        for party in [a, b, a, b] {
            turns.served(party, Class::ImportMany);
        }
        let new = turns.join();
        let mut waiting = vec![a, a, b, b, new];
        let mut order = Vec::new();
        while let Some(first) = turns.order(waiting.iter().map(|party| (*party, Class::ImportMany))).first() {
            let party = waiting.remove(*first);
            turns.served(party, Class::ImportMany);
            order.push(party);
        }
        assert_eq!(order, [a, b, new, a, b]);
    }

    #[test]
    fn polls_are_not_kept_waiting_by_imports() {
        let mut turns = Turns::default();
        let (sends, settles) = (turns.join(), turns.join());
        let mut since_poll = 0;
        for _ in 0..100 {
            let waiting = [(sends, Class::ImportMany), (sends, Class::Poll), (settles, Class::Poll)];
            let first = turns.order(waiting.into_iter())[0];
            turns.served(waiting[first].0, waiting[first].1);
            since_poll = if waiting[first].1 == Class::Poll { 0 } else { since_poll + 1 };
            assert!(since_poll <= IMPORTS_IN_A_ROW);
        }
    }

    #[test]
    fn polls_of_a_run_that_sends_have_their_turn_beside_those_of_one_that_settles() {
        let mut turns = Turns::default();
        let (sends, settles) = (turns.join(), turns.join());
        let mut polls = [0, 0];
        for round in 0..100 {
            if round % 2 == 0 {
                turns.served(sends, Class::ImportMany);
            }
            let first = turns.order([(settles, Class::Poll), (sends, Class::Poll)].into_iter())[0];
            polls[first] += 1;
            turns.served([settles, sends][first], Class::Poll);
        }
        assert_eq!(polls, [50, 50]);
    }

    #[test]
    fn who_left_is_forgotten() {
        let mut turns = Turns::default();
        for _ in 0..1_000 {
            let party = turns.join();
            turns.served(party, Class::ImportMany);
            turns.leave(party);
        }
        assert!(turns.parties.is_empty());
    }
}
