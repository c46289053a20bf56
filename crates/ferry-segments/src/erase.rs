//! Makes sealed files anew without one person. Each is written whole beside the old one and put into its place, so a crash
//! leaves the one or the other.

use crate::normalise::{Email, identity_digest};
use crate::rejected::{RejectedReader, RejectedRow, RejectedWriter};
use crate::samples::{Samples, read_samples};
use crate::sealed::{Place, PlanError};
use crate::state::{Folded, StateEmails, StateEntry, StateFile, StateReader, StateWriter};

/// Rows that are read at once.
const PAGE: usize = 4_096;

/// Whom a file is to be without.
#[derive(Clone)]
pub struct ErasedPerson {
    /// The keyed digest of their identity.
    pub identity: [u8; 16],
    /// Its key.
    pub digest_key: [u8; 32],
}

impl ErasedPerson {
    /// Whether this is an address of theirs. A text that is no address is nobody's.
    fn has(&self, text: &str) -> bool {
        Email::parse(text).is_ok_and(|email| identity_digest(&self.digest_key, &email) == self.identity)
    }
}

/// The entry of a person in a state.
pub fn find_in_state(state: &StateFile, identity: &[u8; 16]) -> Result<Option<StateEntry>, PlanError> {
    let mut reader = StateReader::open(state, StateEmails::Skipped)?;
    let mut found = None;
    while let Some(entry) = reader.next_entry()? {
        if entry.identity == *identity {
            found = Some(entry);
        }
    }
    Ok(found)
}

/// Writes a state without a person. Nothing, and no file, if they are not in it.
pub fn state_without(state: &StateFile, identity: &[u8; 16], to: &Place) -> Result<Option<Folded>, PlanError> {
    let mut reader = StateReader::open(state, StateEmails::Read)?;
    let mut writer = StateWriter::create(to)?;
    let (mut rows, mut members, mut found) = (0, 0, false);
    while let Some(entry) = reader.next_entry()? {
        if entry.identity == *identity {
            found = true;
            continue;
        }
        rows += 1;
        members += u64::from(entry.may_be_member());
        writer.push(&entry)?;
    }
    if !found {
        return Ok(None);
    }
    Ok(Some(Folded { rows, members, digest: writer.finish()? }))
}

/// Takes a person out of a file of rows that did not go: their rows stay, without address and place. False if there is
/// no such file, or they are not in it.
pub fn erase_from_rejected(place: &Place, person: &ErasedPerson) -> Result<bool, PlanError> {
    let is_theirs = |row: &RejectedRow| row.email.as_deref().is_some_and(|email| person.has(email));
    let (mut offset, mut found) = (0, false);
    loop {
        let rows = RejectedReader::page(&place.path, &place.key, &place.aad, offset, PAGE)?;
        if rows.is_empty() {
            break;
        }
        offset += rows.len();
        found |= rows.iter().any(is_theirs);
    }
    if !found {
        return Ok(false);
    }
    let mut writer = RejectedWriter::create(&place.path, &place.key, &place.aad)?;
    for from in (0..offset).step_by(PAGE) {
        for mut row in RejectedReader::page(&place.path, &place.key, &place.aad, from, PAGE)? {
            if is_theirs(&row) {
                (row.email, row.line) = (None, None);
            }
            writer.push(row)?;
        }
    }
    writer.finish()?;
    Ok(true)
}

/// Takes a person out of the samples of a plan. False if there are none, or they are not among them.
pub fn erase_from_samples(place: &Place, person: &ErasedPerson) -> Result<bool, PlanError> {
    if !place.path.exists() {
        return Ok(false);
    }
    let mut rows = read_samples(place)?;
    let before = rows.len();
    rows.retain(|row| !person.has(&row.email));
    if rows.len() == before {
        return Ok(false);
    }
    Samples::of(rows).write(place)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::file_key::FileKey;
    use crate::mark::Mark;
    use crate::rejected::Stage;
    use crate::samples::{Action, Sample};
    use crate::state::Standing;
    use std::path::Path;

    const KEY: [u8; 32] = [9; 32];

    fn identity(email: &str) -> [u8; 16] {
        identity_digest(&KEY, &Email::parse(email).unwrap())
    }

    fn ada() -> ErasedPerson {
        ErasedPerson { identity: identity("ada@b.cd"), digest_key: KEY }
    }

    fn place(folder: &Path, name: &str) -> Place {
        Place { path: folder.join(name), key: FileKey::new([5; 32]), aad: name.as_bytes().to_vec() }
    }

    #[test]
    fn d1_a_state_is_made_anew_without_the_person_and_with_all_others() {
        let folder = tempfile::tempdir().unwrap();
        let standing = Standing::Member(Mark::new([1; 16]));
        let entry = |email: &str| StateEntry {
            identity: identity(email),
            confirmed: Some(standing),
            maybe: Vec::new(),
            refused: None,
            email: email.to_owned(),
        };
        let mut entries = ["ada@b.cd", "bob@b.cd", "cid@b.cd"].map(entry);
        entries.sort_by_key(|entry| entry.identity);
        let from = place(folder.path(), "state-1");
        let mut writer = StateWriter::create(&from).unwrap();
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        let state = StateFile { place: from, digest: writer.finish().unwrap() };
        assert!(find_in_state(&state, &ada().identity).unwrap().is_some());
        let to = place(folder.path(), "state-2");
        let folded = state_without(&state, &ada().identity, &to).unwrap().unwrap();
        assert_eq!((folded.rows, folded.members), (2, 2));
        let next = StateFile { place: to, digest: folded.digest };
        assert!(find_in_state(&next, &ada().identity).unwrap().is_none());
        assert!(find_in_state(&next, &identity("bob@b.cd")).unwrap().is_some());
        let nowhere = place(folder.path(), "state-3");
        assert!(state_without(&next, &ada().identity, &nowhere).unwrap().is_none() && !nowhere.path.exists());
    }

    #[test]
    fn d1_rows_that_did_not_go_stay_without_the_address_and_samples_go() {
        let folder = tempfile::tempdir().unwrap();
        let (rejected, samples) = (place(folder.path(), "rejected.parquet"), place(folder.path(), "samples.parquet"));
        assert!(!erase_from_rejected(&rejected, &ada()).unwrap() && !erase_from_samples(&samples, &ada()).unwrap());
        let mut writer = RejectedWriter::create(&rejected.path, &rejected.key, &rejected.aad).unwrap();
        for line in 0..10_000 {
            let email = if line == 5_000 { " ADA@b.cd".to_owned() } else { format!("x{line}@b.cd") };
            let row = RejectedRow {
                segment: "s".to_owned(),
                line: Some(line),
                stage: Stage::Excluded,
                reason: "R".to_owned(),
                destination_reason: None,
                email: Some(email),
            };
            writer.push(row).unwrap();
        }
        writer.finish().unwrap();
        let sample = |email: &str| Sample {
            action: Action::Add,
            email: email.to_owned(),
            values: Vec::new(),
            reason: String::new(),
        };
        Samples::of(vec![sample("ada@b.cd"), sample("bob@b.cd")]).write(&samples).unwrap();
        assert!(erase_from_rejected(&rejected, &ada()).unwrap() && erase_from_samples(&samples, &ada()).unwrap());
        let rows = RejectedReader::page(&rejected.path, &rejected.key, &rejected.aad, 0, usize::MAX).unwrap();
        assert_eq!(rows.len(), 10_000);
        assert!((rows[5_000].email.as_ref(), rows[5_000].line) == (None, None));
        assert!(rows.iter().filter(|row| row.email.is_none()).count() == 1);
        assert!(read_samples(&samples).unwrap().iter().all(|row| row.email == "bob@b.cd"));
        assert!(!erase_from_rejected(&rejected, &ada()).unwrap() && !erase_from_samples(&samples, &ada()).unwrap());
    }
}
