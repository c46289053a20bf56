//! The next recipients file: the last one, moved on by what became of each row of a plan.
//!
//! All inputs are sorted by identity digest, so it is one merge of sequential reads into a sequential write. It takes no
//! key but those that its digests were made with long ago: a run whose connection is gone is folded like any other.

use super::file::{NewFile, Stream, broken};
use super::index::PlanIndex;
use super::lock::FolderLock;
use super::read::{self, HEADER, RecipientsFile, RecipientsReader};
use super::row::{Presence, Row};
use super::sets::{Context, FieldSet, Holder, Sets};
use super::times::SentTimes;
use crate::sealed::PlanError;
use crate::state::Outcomes;
use std::path::PathBuf;

/// What a file is made from, and where it goes.
pub struct RecipientsFold<'a> {
    /// The file before; nothing for none.
    pub base: Option<&'a RecipientsFile>,
    /// The index of the plan that was sent, or begun.
    pub index: &'a PlanIndex,
    /// Who sent to whom.
    pub holder: Holder,
    /// What was sent of each member.
    pub members: FieldSet,
    /// What the plan's removals are.
    pub removals: Removals,
    /// When.
    pub times: SentTimes,
    /// Where the next file goes.
    pub to: PathBuf,
}

/// What the removals of a plan do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removals {
    /// They take people off the list.
    TakeOff,
    /// They send these fields: the people stay, and one of their fields says that they left.
    Send(FieldSet),
}

/// What a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldedRecipients {
    /// People.
    pub rows: u64,
    /// Its checksum.
    pub digest: [u8; 32],
}

/// Writes the next file. On an error there is none. The lock is of the folder of both, taken before it was looked which
/// file is the last, and held until the next one is adopted.
pub fn fold_recipients(
    spec: &RecipientsFold<'_>,
    outcomes: &Outcomes,
    _lock: &FolderLock,
) -> Result<FoldedRecipients, PlanError> {
    let (members, removals) = spec.index.rows();
    if members.checked_add(removals) != Some(outcomes.rows()) {
        return Err(broken("the index has other rows than the outcomes are of"));
    }
    spec.index.verify()?;
    let base = spec.base.map(RecipientsReader::open).transpose()?;
    let mut next = Next::create(&spec.to, base.as_ref())?;
    let member = (true, next.sets.number(spec.members.clone())?);
    let removal = match &spec.removals {
        Removals::TakeOff => (false, next.sets.number(FieldSet::new([], &spec.members.purpose))?),
        Removals::Send(fields) => (true, next.sets.number(fields.clone())?),
    };
    let mut kept = base.as_ref().map(RecipientsReader::stream);
    let mut sections = [(spec.index.members(), 0, member), (spec.index.removals(), members, removal)];
    while let Some((identity, ordinal, (puts, set))) = earlier(&mut sections)? {
        let found = next.keep_before(&mut kept, &identity)?;
        let outcome = outcomes.get(ordinal);
        let before = found.map(|row| row.presence);
        let after = if puts { Presence::after_put(before, outcome) } else { Presence::after_take_off(before, outcome) };
        match after {
            None => found.map_or(Ok(()), |row| next.push(row))?,
            Some(presence) => {
                let (first_ms, last_ms) = spec.times.of(ordinal);
                next.push_moved(found, Row { identity, first_ms, last_ms, presence, set }, puts)?;
            }
        }
    }
    next.keep_rest(&mut kept)?;
    next.finish(&spec.holder, base.as_ref())
}

/// Writes the next file: the last one without some people, whose identities are sorted. On an error there is none. The
/// lock is as in [`fold_recipients`].
pub fn forget(
    base: &RecipientsFile,
    identities: &[[u8; 16]],
    to: PathBuf,
    _lock: &FolderLock,
) -> Result<FoldedRecipients, PlanError> {
    if !identities.is_sorted() {
        return Err(broken("the people to be forgotten are not in order"));
    }
    let base = RecipientsReader::open(base)?;
    let mut next = Next::create(&to, Some(&base))?;
    let mut kept = Some(base.stream());
    for identity in identities {
        // Theirs is passed, and not written.
        next.keep_before(&mut kept, identity)?;
    }
    next.keep_rest(&mut kept)?;
    next.finish(&base.context.holder, Some(&base))
}

/// Whether rows send something, and the number of what.
type Sent = (bool, u32);

/// A part of the index, the ordinal that it is at, and what its rows are.
type Section<'a> = (Stream<'a>, u64, Sent);

/// Whose row it is, its ordinal, and what it is.
type IndexRow = ([u8; 16], u64, Sent);

/// The next row of either part, by identity. Nobody is in both.
fn earlier(sections: &mut [Section<'_>; 2]) -> Result<Option<IndexRow>, PlanError> {
    let [members, removals] = sections;
    let first = match (identity(&mut members.0)?, identity(&mut removals.0)?) {
        (Some(member), Some(removal)) if removal < member => Some((removal, removals)),
        (Some(member), _) => Some((member, members)),
        (None, removal) => removal.map(|removal| (removal, removals)),
    };
    Ok(first.map(|(identity, section)| {
        section.0.pass();
        section.1 += 1;
        (identity, section.1 - 1, section.2)
    }))
}

fn identity(rows: &mut Stream<'_>) -> Result<Option<[u8; 16]>, PlanError> {
    Ok(rows.peek()?.and_then(|row| row.first_chunk().copied()))
}

/// The file in the making.
struct Next {
    file: NewFile,
    sets: Sets,
    rows: u64,
    last: Option<[u8; 16]>,
}

impl Next {
    fn create(to: &std::path::Path, base: Option<&RecipientsReader>) -> Result<Self, PlanError> {
        let sets = Sets::new(base.map_or(&[], |base| base.context.sets.as_slice()))?;
        Ok(Self { file: NewFile::create(to, HEADER)?, sets, rows: 0, last: None })
    }

    /// Writes the rows of the last file before an identity as they were, and hands out the one that is theirs.
    fn keep_before(&mut self, kept: &mut Option<Stream<'_>>, of: &[u8; 16]) -> Result<Option<Row>, PlanError> {
        let Some(kept) = kept else { return Ok(None) };
        while let Some(found) = identity(kept)?.filter(|found| found <= of) {
            let row = self.next_of(kept)?;
            if found == *of {
                return Ok(row);
            }
            row.map_or(Ok(()), |row| self.push(row))?;
        }
        Ok(None)
    }

    fn keep_rest(&mut self, kept: &mut Option<Stream<'_>>) -> Result<(), PlanError> {
        let Some(kept) = kept else { return Ok(()) };
        while let Some(row) = self.next_of(kept)? {
            self.push(row)?;
        }
        Ok(())
    }

    /// The next row of the last file, with the number that its set has in this one.
    fn next_of(&mut self, kept: &mut Stream<'_>) -> Result<Option<Row>, PlanError> {
        let Some(row) = kept.peek()?.map(Row::decode).transpose()? else { return Ok(None) };
        kept.pass();
        Ok(Some(Row { set: self.sets.carried(row.set)?, ..row }))
    }

    /// What was known of a person, moved on by what was sent. To take somebody off sends nothing of them, so it changes
    /// neither what was sent nor when.
    fn push_moved(&mut self, found: Option<Row>, sent: Row, puts: bool) -> Result<(), PlanError> {
        let row = match found {
            None => sent,
            Some(found) if !puts => Row { presence: sent.presence, ..found },
            Some(found) => Row {
                first_ms: found.first_ms.min(sent.first_ms),
                last_ms: found.last_ms.max(sent.last_ms),
                set: self.sets.joined(found.set, sent.set)?,
                ..sent
            },
        };
        self.push(row)
    }

    fn push(&mut self, row: Row) -> Result<(), PlanError> {
        if self.last.is_some_and(|last| last >= row.identity) {
            return Err(broken("its rows are not in order"));
        }
        self.last = Some(row.identity);
        self.rows += 1;
        self.sets.count(row.set);
        self.file.write(&row.encode())
    }

    /// The last file is compared with its checksum before anything of it is believed.
    fn finish(mut self, holder: &Holder, base: Option<&RecipientsReader>) -> Result<FoldedRecipients, PlanError> {
        base.map_or(Ok(()), RecipientsReader::verify)?;
        let context = Context { holder: holder.clone(), sets: self.sets.finish() };
        let context = serde_json::to_vec(&context).map_err(|_| broken("its context cannot be written"))?;
        self.file.write(&context)?;
        let digest = self.file.finish(&read::header(self.rows, &context))?;
        Ok(FoldedRecipients { rows: self.rows, digest })
    }
}
