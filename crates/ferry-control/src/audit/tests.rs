//! The copy outside of the database, cut and changed in every way.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::keeper::Keys;
use super::pins::{Pins, keys_of_log};
use ferry_domain::{Error, Timestamp};
use ferry_ledger::checkpoint::{Checkpoint, Signer};
use ferry_store::{SignedCheckpoint, SuppressedPerson};
use std::fs;
use tempfile::TempDir;

const LOG: &str = "ferry.audit/1";

fn keys() -> Keys {
    Keys::new(vec![(1, [1; 32].into()), (2, [2; 32].into())])
}

fn checkpoint(seed: u8, size: u64) -> SignedCheckpoint {
    let signer = Signer::new(LOG, &[seed; 32]).unwrap();
    let next_key = (size == 3).then(|| Signer::new(LOG, &[2; 32]).unwrap().verifier_key().clone());
    let said = Checkpoint { origin: LOG.to_owned(), size, root: [7; 32], time_ms: 5, next_key };
    SignedCheckpoint {
        origin: said.origin.clone(),
        size,
        root: said.root,
        note: said.sign(&signer),
        key_generation: seed.into(),
        time: Timestamp::from_millis(5),
    }
}

fn pins() -> (TempDir, Pins) {
    let folder = tempfile::tempdir().unwrap();
    let pins = Pins::open(&folder.path().join("checkpoints"), false).unwrap();
    (folder, pins)
}

fn said(error: Error) -> String {
    match error {
        Error::Unavailable(inside) | Error::Internal(inside) => inside.0,
        other => other.to_string(),
    }
}

#[test]
fn k20_a_note_that_is_cut_anywhere_leaves_the_one_before_valid_and_is_written_again() {
    let (_folder, pins) = pins();
    let (first, second) = (checkpoint(1, 1), checkpoint(1, 2));
    let whole = pins.append(&pins.tail(&keys()).unwrap(), std::slice::from_ref(&first)).unwrap();
    for cut in 0..second.note.len() {
        for filled in [0, 100] {
            let mut bytes = first.note.clone().into_bytes();
            bytes.extend_from_slice(&second.note.as_bytes()[..cut]);
            bytes.resize(bytes.len() + filled, 0);
            fs::write(pins.notes_path(), bytes).unwrap();
            let tail = pins.tail(&keys()).unwrap();
            assert_eq!(tail, whole, "cut at {cut}");
            pins.append(&tail, std::slice::from_ref(&second)).unwrap();
            assert_eq!(pins.notes().unwrap(), format!("{}{}", first.note, second.note));
        }
    }
}

#[test]
fn the_newest_note_is_found_in_a_long_file() {
    let (_folder, pins) = pins();
    let all: Vec<_> = (1..1_500).map(|size| checkpoint(1, size)).collect();
    pins.append(&pins.tail(&keys()).unwrap(), &all).unwrap();
    let tail = pins.tail(&keys()).unwrap();
    assert_eq!(tail.newest.as_ref(), all.last());
    assert_eq!(tail.end, fs::metadata(pins.notes_path()).unwrap().len());
}

#[test]
fn nothing_is_written_behind_the_note_of_somebody_else() {
    let (_folder, pins) = pins();
    for notes in [checkpoint(3, 1).note, checkpoint(1, 1).note + &checkpoint(3, 2).note] {
        fs::write(pins.notes_path(), &notes).unwrap();
        let error = said(pins.tail(&keys()).unwrap_err());
        assert!(error.contains("no key of this key store has signed"), "{error}");
    }
    let mut bytes = checkpoint(1, 1).note.into_bytes();
    bytes.push(0xff);
    bytes.extend_from_slice(checkpoint(1, 2).note.as_bytes());
    fs::write(pins.notes_path(), bytes).unwrap();
    assert!(pins.tail(&keys()).is_err(), "a whole note behind damage is not cut away");
}

#[test]
fn a_folder_that_was_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("volume");
    let error = said(Pins::open(&missing, true).unwrap_err());
    assert!(error.contains("mount its volume"), "{error}");
    assert!(!missing.exists());
    Pins::open(&missing, false).unwrap();
    assert!(missing.exists());
}

#[test]
fn suppressions_are_read_back_and_a_torn_line_spoils_no_other() {
    let (folder, pins) = pins();
    let person = |byte: u8, time: i64| SuppressedPerson {
        tenant: "acme".to_owned(),
        person: vec![byte; 16],
        time: Timestamp::from_millis(time),
        erasure: "e-1".to_owned(),
    };
    pins.append_suppressions(&[person(1, 5)]).unwrap();
    let path = folder.path().join("checkpoints").join("suppressions.log");
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(pins.suppressions().unwrap().len() <= 1, "without its line feed it may be whole");
        pins.append_suppressions(&[person(2, 6), person(1, 7), person(1, 5)]).unwrap();
        assert_eq!(pins.suppressions().unwrap(), [person(1, 5), person(2, 6)], "cut at {cut}");
    }
    let mut changed = whole.clone();
    changed[10] ^= 1;
    fs::write(&path, changed).unwrap();
    assert!(pins.suppressions().unwrap().is_empty());
}

#[test]
fn a16_the_first_key_and_the_newest_are_told_from_the_copy() {
    let key = |seed: u8| Signer::new(LOG, &[seed; 32]).unwrap().verifier_key().clone();
    let notes = |some: &[SignedCheckpoint]| some.iter().map(|one| one.note.as_str()).collect::<String>();
    let all = [checkpoint(1, 1), checkpoint(1, 3), checkpoint(2, 4)];
    assert_eq!(keys_of_log(&notes(&all[..1]), &keys()), Some((key(1), key(1))));
    assert_eq!(keys_of_log(&notes(&all[..2]), &keys()), Some((key(1), key(2))), "the next key signs from now on");
    assert_eq!(keys_of_log(&notes(&all), &keys()), Some((key(1), key(2))));
    assert_eq!(keys_of_log("", &keys()), None);
}
