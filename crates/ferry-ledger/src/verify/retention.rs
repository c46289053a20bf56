//! Entries without bytes: allowed where the log itself says that a policy has taken them.

use super::report::Bad;
use crate::checkpoint::decimal;
use crate::view::EntryView;
use std::collections::{BTreeMap, HashMap};

/// What retention has been applied to, as the tenant's chain tells it.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// For each chain, up to which number by which policy, ascending.
    applied: HashMap<Box<str>, Vec<(u64, u64)>>,
}

impl Retention {
    /// Takes up an entry RETENTION_APPLIED, number `number` of the tenant's own chain.
    pub(super) fn apply(&mut self, own: &str, number: u64, view: &EntryView<'_>) -> Result<(), Bad> {
        let count = |key| view.detail(key).and_then(decimal);
        let (Some(chain), Some(through), Some(policy), Some(_)) =
            (view.detail("chain"), count("through"), count("policy"), count("days"))
        else {
            return Err(Bad::entry(own, number, "it must name `chain`, `through`, `policy` and `days`"));
        };
        let applied = self.applied.entry(chain.into()).or_default();
        if applied.last().is_none_or(|(last, _)| *last < through) {
            applied.push((through, policy));
        }
        Ok(())
    }

    /// How many entries of a chain each policy has taken; or the first that none has.
    pub(super) fn settle(&self, chain: &str, redacted: &[(u64, u64)], by: &mut BTreeMap<u64, u64>) -> Result<(), Bad> {
        let applied = self.applied.get(chain).map_or(&[][..], Vec::as_slice);
        for &(first, last) in redacted {
            let mut next = first;
            for &(through, policy) in applied {
                if next <= last && next <= through {
                    let end = last.min(through);
                    *by.entry(policy).or_default() += end - next + 1;
                    next = end + 1;
                }
            }
            if next <= last {
                return Err(Bad::entry(chain, next, "its bytes are gone, and no policy of retention has taken them"));
            }
        }
        Ok(())
    }
}
