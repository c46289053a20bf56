//! What lies outside of the database, in a folder that its administrator should not be able to write: every signed
//! checkpoint, and everybody who is suppressed.
//!
//! Both files only grow. `checkpoints.notes` holds signed notes, one after the other. `suppressions.log` holds a line for
//! each person: `1 TENANT PERSON TIME ERASURE CHECK`, with the person's keyed digest in hex, the time in milliseconds, and
//! the first 16 hex digits of the SHA-256 of what stands before them and their space. A crash can leave the last note or
//! line cut; what is whole counts.

use super::keeper::Keys;
use aws_lc_rs::digest::{SHA256, digest};
use ferry_domain::error::Inside;
use ferry_domain::{Error, Result, Timestamp, hex};
use ferry_ledger::checkpoint::{Checkpoint, VerifierKey, open, split_notes};
use ferry_store::{SignedCheckpoint, SuppressedPerson};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const NOTES: &str = "checkpoints.notes";
const SUPPRESSIONS: &str = "suppressions.log";
/// The end of the notes is read first; the newest one lies there.
const WINDOW: u64 = 64 * 1024;

/// The folder outside of the database.
#[derive(Debug, Clone)]
pub struct Pins {
    folder: PathBuf,
}

/// Where the copied checkpoints end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The newest checkpoint that one of our keys has signed.
    pub(crate) newest: Option<SignedCheckpoint>,
    /// Where it ends in the file, which is where the next one goes.
    pub(crate) end: u64,
}

impl Pins {
    /// Takes a folder. One that was named must be there: an empty folder in the place of a volume that was not mounted
    /// would look like one whose notes are lost. The usual one is made.
    pub fn open(folder: &Path, named: bool) -> Result<Self> {
        if !named {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|cause| unusable(folder, "cannot be made", &cause))?;
        }
        let pins = Self { folder: folder.to_owned() };
        // Whether it can be written shows now, and not at the first checkpoint.
        for file in [NOTES, SUPPRESSIONS] {
            pins.writing(file)?;
        }
        Ok(pins)
    }

    /// The newest checkpoint, read from the end of the file. A whole note that none of our keys has signed is refused:
    /// nothing is written behind somebody else's.
    pub(crate) fn tail(&self, keys: &Keys) -> Result<Tail> {
        let failed = |cause| unusable(&self.folder.join(NOTES), "cannot be read", &cause);
        let mut file = self.writing(NOTES)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut window = WINDOW;
        loop {
            let start = length.saturating_sub(window);
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut bytes)).map_err(failed)?;
            let found = self.newest_in(&bytes, start == 0, keys)?;
            match found {
                Some((newest, end)) => return Ok(Tail { newest: Some(newest), end: start + end }),
                None if start == 0 => return Ok(Tail { newest: None, end: 0 }),
                None => window = window.saturating_mul(8),
            }
        }
    }

    /// The newest note in the end of a file, and where it ends there.
    fn newest_in(&self, bytes: &[u8], is_whole: bool, keys: &Keys) -> Result<Option<(SignedCheckpoint, u64)>> {
        // A window may begin, and a torn note may end, inside of a character.
        let skipped = bytes.iter().take(3).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count();
        let (text, torn) = match std::str::from_utf8(&bytes[skipped..]) {
            Ok(text) => (text, &[][..]),
            Err(error) => {
                let (text, torn) = bytes[skipped..].split_at(error.valid_up_to());
                (std::str::from_utf8(text).unwrap_or_default(), torn)
            }
        };
        // Behind what a crash cut there is nothing more, so this is none, and nothing may be written over it.
        if torn.windows(2).any(|two| two == b"\n\n") {
            return Err(self.foreign());
        }
        let (notes, _torn) = split_notes(text);
        // The first note of a window may be the end of one.
        let first = usize::from(!is_whole);
        let end = skipped + notes.iter().map(|note| note.len()).sum::<usize>();
        match notes.get(first..).and_then(<[&str]>::last) {
            Some(last) => read_note(last, keys).map(|newest| Some((newest, end as u64))).ok_or_else(|| self.foreign()),
            None => Ok(None),
        }
    }

    fn foreign(&self) -> Error {
        refused(format!(
            "{} ends with a checkpoint that no key of this key store has signed: it is the copy of another service, or \
             the key store is another one than before. Put the right key store back, or name a folder of this service's \
             own with --checkpoints-dir",
            self.folder.join(NOTES).display()
        ))
    }

    /// Writes notes behind the newest one, in the place of what a crash may have left there of the first of them.
    /// Durable when it returns.
    pub(crate) fn append(&self, tail: &Tail, notes: &[SignedCheckpoint]) -> Result<Tail> {
        let path = self.folder.join(NOTES);
        let failed = |cause| unusable(&path, "cannot be written", &cause);
        let mut file = self.writing(NOTES)?;
        file.set_len(tail.end).map_err(failed)?;
        file.seek(SeekFrom::Start(tail.end)).map_err(failed)?;
        let mut tail = tail.clone();
        for note in notes {
            let (half, rest) = note.note.as_bytes().split_at(note.note.len() / 2);
            file.write_all(half).map_err(failed)?;
            ferry_domain::failpoint!("checkpoint-half-copied");
            file.write_all(rest).map_err(failed)?;
            tail = Tail { newest: Some(note.clone()), end: tail.end + note.note.len() as u64 };
        }
        file.sync_all().and_then(|()| File::open(&self.folder)?.sync_all()).map_err(failed)?;
        Ok(tail)
    }

    /// Adds people to the log of suppressions. Durable when it returns. Who stands there already may stand there twice.
    pub fn append_suppressions(&self, people: &[SuppressedPerson]) -> Result<()> {
        let path = self.folder.join(SUPPRESSIONS);
        let failed = |cause| unusable(&path, "cannot be written", &cause);
        let mut file = self.writing(SUPPRESSIONS)?;
        let mut lines = String::new();
        // A line that a crash cut must not spoil the next one.
        let length = file.metadata().map_err(failed)?.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(length - 1)).and_then(|_| file.read_exact(&mut last)).map_err(failed)?;
            if last != *b"\n" {
                lines.push('\n');
            }
        }
        people.iter().for_each(|one| lines += &line_of(one));
        file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(lines.as_bytes())).map_err(failed)?;
        file.sync_all().map_err(failed)
    }

    /// Everybody in the log of suppressions, once each. A line that is not whole is passed over: it was never promised.
    pub fn suppressions(&self) -> Result<Vec<SuppressedPerson>> {
        let path = self.folder.join(SUPPRESSIONS);
        let bytes = std::fs::read(&path).map_err(|cause| unusable(&path, "cannot be read", &cause))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut people: Vec<SuppressedPerson> = text.lines().filter_map(person_of).collect();
        people.sort_by(|a, b| (&a.tenant, &a.person, a.time).cmp(&(&b.tenant, &b.person, b.time)));
        people.dedup_by(|later, first| (&later.tenant, &later.person) == (&first.tenant, &first.person));
        Ok(people)
    }

    /// The notes as they lie there.
    pub fn notes(&self) -> Result<String> {
        let path = self.folder.join(NOTES);
        let bytes = std::fs::read(&path).map_err(|cause| unusable(&path, "cannot be read", &cause))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where the notes lie.
    #[must_use]
    pub fn notes_path(&self) -> PathBuf {
        self.folder.join(NOTES)
    }

    fn writing(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&path).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => refused(format!(
                "{} does not exist; mount its volume, or make it, empty, if it is new",
                self.folder.display()
            )),
            _ => unusable(&path, "cannot be opened for writing", &cause),
        })
    }
}

fn unusable(path: &Path, what: &str, cause: &std::io::Error) -> Error {
    refused(format!("{} {what}: {cause}; the copy of the audit log's checkpoints must lie there", path.display()))
}

pub(super) fn refused(text: String) -> Error {
    Error::Unavailable(Inside(text))
}

/// A note that one of our keys has signed.
pub(super) fn read_note(note: &str, keys: &Keys) -> Option<SignedCheckpoint> {
    let origin = note.lines().next()?;
    let known = keys.of(origin);
    let verifiers: Vec<_> = known.iter().map(|(_, key)| key.clone()).collect();
    let opened = open(note, &verifiers).ok()?;
    let checkpoint = Checkpoint::parse(opened.text).ok()?;
    let (key_generation, _) = known.iter().find(|(_, key)| *key == opened.key)?;
    Some(SignedCheckpoint {
        origin: checkpoint.origin,
        size: checkpoint.size,
        root: checkpoint.root,
        note: note.to_owned(),
        key_generation: *key_generation,
        time: Timestamp::from_millis(checkpoint.time_ms),
    })
}

/// The key that the newest log in these notes began with, and the one that signs it now.
#[must_use]
pub fn keys_of_log(notes: &str, keys: &Keys) -> Option<(VerifierKey, VerifierKey)> {
    let notes: Vec<SignedCheckpoint> = split_notes(notes).0.iter().filter_map(|note| read_note(note, keys)).collect();
    let newest = notes.last()?;
    let first = notes.iter().find(|note| note.origin == newest.origin)?;
    let next = newest.note.lines().find_map(|line| line.strip_prefix("next-key ")?.parse().ok());
    let of = |generation: u32| keys.of(&newest.origin).into_iter().find(|(found, _)| *found == generation);
    let now = next.or_else(|| of(newest.key_generation).map(|(_, key)| key))?;
    Some((of(first.key_generation)?.1, now))
}

fn line_of(one: &SuppressedPerson) -> String {
    let person = hex::encode(&one.person);
    let line = format!("1 {} {person} {} {}", one.tenant, one.time.as_millis(), one.erasure);
    let check = check_of(&line);
    format!("{line} {check}\n")
}

fn person_of(line: &str) -> Option<SuppressedPerson> {
    let (line, check) = line.rsplit_once(' ')?;
    if check_of(line) != check {
        return None;
    }
    let mut parts = line.split(' ');
    let mut part = || parts.next();
    let (Some("1"), tenant, person, time, erasure) = (part(), part()?, part()?, part()?, part()?) else { return None };
    Some(SuppressedPerson {
        tenant: tenant.to_owned(),
        person: hex::decode(person)?,
        time: Timestamp::from_millis(time.parse().ok()?),
        erasure: erasure.to_owned(),
    })
}

fn check_of(line: &str) -> String {
    hex::encode(&digest(&SHA256, line.as_bytes()).as_ref()[..8])
}
