//! Whom an erasure suppresses.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::tests::{bodies, build, kept_back, member, place, spec_of};
use super::*;
use crate::mark::Mark;
use crate::normalise::{Email, identity_digest};
use crate::samples::read_samples;
use crate::state::{Standing, StateEntry, StateWriter};
use std::path::Path;

fn identity(email: &str) -> [u8; 16] {
    identity_digest(&[1; 32], &Email::parse(email).unwrap())
}

/// A state in which these are members.
fn state(folder: &Path, people: &[&str]) -> StateFile {
    let standing = Standing::Member(Mark::new([7; 16]));
    let entry = |email: &&str| StateEntry {
        identity: identity(email),
        confirmed: Some(standing),
        maybe: Vec::new(),
        refused: None,
        email: (*email).to_owned(),
    };
    let mut entries: Vec<StateEntry> = people.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.identity);
    let place = place(folder, "state");
    let mut writer = StateWriter::create(&place).unwrap();
    entries.iter().for_each(|entry| writer.push(entry).unwrap());
    StateFile { place, digest: writer.finish().unwrap() }
}

#[test]
fn d1_a_suppressed_person_is_counted_and_nothing_is_written_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let huge = "x".repeat(1_000);
    let rows = [
        member("ada@b.cd", "Ada"),
        member("bob@b.cd", "Bob"),
        member(" ADA@b.cd", "Twin"),
        member("Eve@b.cd", &huge),
        member("bad", "Bad"),
    ];
    let suppressed = [identity("ada@b.cd"), identity("eve@b.cd"), identity("nobody@b.cd")].into();
    let spec = SnapshotSpec { suppressed, ..spec_of(folder.path(), &rows) };
    let made = build(&spec, &SnapshotControl::default()).unwrap();
    assert_eq!((made.members, made.excluded, made.suppressed, made.twins), (5, 2, 2, 1));
    assert_eq!((made.rejected, made.planned), (1, 1), "a row that is too large is nobody's but theirs");
    assert!(bodies(&spec)[0].starts_with("bob@b.cd"));
    let rest = [(Some(5), "EMAIL_MALFORMED".to_owned()), (None, "SUPPRESSED".to_owned())];
    assert_eq!(kept_back(&spec), [&rest[..], &rest[1..]].concat());
    let samples = read_samples(spec.samples.as_ref().unwrap()).unwrap();
    assert!(samples.iter().all(|sample| sample.email == "bob@b.cd"));
}

#[test]
fn d1_a_suppressed_person_is_no_leaver_either() {
    let folder = tempfile::tempdir().unwrap();
    for suppressed in [false, true] {
        let spec = spec_of(folder.path(), &[member("cid@b.cd", "Cid")]);
        let suppressed_people = if suppressed { [identity("ada@b.cd")].into() } else { Default::default() };
        let base = Some(state(folder.path(), &["ada@b.cd", "bob@b.cd"]));
        let spec = SnapshotSpec { suppressed: suppressed_people, base, leavers: Leavers::Unsubscribe, ..spec };
        let made = build(&spec, &SnapshotControl::default()).unwrap();
        assert_eq!((made.removals, made.known), (2 - u64::from(suppressed), 2));
        assert_eq!(bodies(&spec).iter().any(|body| body.starts_with("ada")), !suppressed);
    }
}
