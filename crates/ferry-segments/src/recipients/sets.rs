//! What stands once a file and not once a row: who sent to whom, and the sets of fields that were sent.

use super::file::broken;
use super::row::SETS;
use crate::sealed::PlanError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Who sent to whom: the names, as they are kept when the connection and the export are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The connection's id.
    pub connection: String,
    /// The connection's uid.
    pub connection_uid: String,
    /// The account's host.
    pub host: String,
    /// The list.
    pub list: u32,
    /// The export's id.
    pub export: String,
    /// The export's uid.
    pub export_uid: String,
}

/// Which fields were sent of a person, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldSet {
    /// Names of destination fields, sorted, each once.
    pub fields: Vec<String>,
    /// The export's display name when they were last sent.
    pub purpose: String,
}

impl FieldSet {
    /// Sorts the fields, and takes each once.
    #[must_use]
    pub fn new(fields: impl IntoIterator<Item = String>, purpose: &str) -> Self {
        let mut fields: Vec<String> = fields.into_iter().collect();
        fields.sort_unstable();
        fields.dedup();
        Self { fields, purpose: purpose.to_owned() }
    }

    /// The fields of both, for the later purpose.
    #[must_use]
    pub fn and(&self, later: &Self) -> Self {
        Self::new(self.fields.iter().chain(&later.fields).cloned(), &later.purpose)
    }
}

/// A set and how many rows have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Counted {
    #[serde(flatten)]
    pub(super) set: FieldSet,
    pub(super) rows: u64,
}

/// What a file says once, as JSON behind its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Context {
    #[serde(flatten)]
    pub(super) holder: Holder,
    pub(super) sets: Vec<Counted>,
}

/// The sets of the next file. Those of the last that no row has any more are left out.
pub(super) struct Sets {
    sets: Vec<Counted>,
    numbers: HashMap<FieldSet, u32>,
    /// The number that each set of the last file has in this one.
    carried: Vec<u32>,
    /// The number of each set of this file with a later one added; found once, so that no row allocates.
    joined: HashMap<(u32, u32), u32>,
}

impl Sets {
    pub(super) fn new(before: &[Counted]) -> Result<Self, PlanError> {
        let (numbers, joined) = (HashMap::new(), HashMap::new());
        let mut sets = Self { sets: Vec::new(), numbers, carried: Vec::with_capacity(before.len()), joined };
        for counted in before {
            let number = if counted.rows > 0 { sets.number(counted.set.clone())? } else { 0 };
            sets.carried.push(number);
        }
        Ok(sets)
    }

    /// The number of a set, new or not.
    pub(super) fn number(&mut self, set: FieldSet) -> Result<u32, PlanError> {
        if let Some(number) = self.numbers.get(&set) {
            return Ok(*number);
        }
        if self.sets.len() >= SETS {
            return Err(broken("more sets of fields than there can be"));
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.numbers.insert(set.clone(), number);
        self.sets.push(Counted { set, rows: 0 });
        Ok(number)
    }

    /// The number that a set of the last file has in this one.
    pub(super) fn carried(&self, number: u32) -> Result<u32, PlanError> {
        let carried = usize::try_from(number).ok().and_then(|place| self.carried.get(place));
        carried.copied().ok_or_else(|| broken("a row of it has a set of fields that it does not name"))
    }

    /// The number of two sets together.
    pub(super) fn joined(&mut self, earlier: u32, later: u32) -> Result<u32, PlanError> {
        if let Some(number) = self.joined.get(&(earlier, later)) {
            return Ok(*number);
        }
        let both = match (self.sets.get(earlier as usize), self.sets.get(later as usize)) {
            (Some(earlier), Some(later)) => earlier.set.and(&later.set),
            _ => return Err(broken("a set of fields is missing")),
        };
        let number = self.number(both)?;
        self.joined.insert((earlier, later), number);
        Ok(number)
    }

    pub(super) fn count(&mut self, number: u32) {
        if let Some(counted) = self.sets.get_mut(number as usize) {
            counted.rows += 1;
        }
    }

    pub(super) fn finish(self) -> Vec<Counted> {
        self.sets
    }
}
