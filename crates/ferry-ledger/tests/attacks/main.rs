//! The attacks on a log that an offline verifier must find, by their ids in the test programme, on logs made by hand.
//! `tests/suite/attacks` of the workspace makes them on what a whole Ferry has written.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod entries;
mod file;

use common::{Item, Log, OWN, relink};
use ferry_ledger::verify::{Place, Report};

const RUN: &str = "tenants/acme/exports/x/runs/r1";

/// Ten entries of the tenant and six of a run; all are covered.
fn log() -> Log {
    let mut log = Log::new();
    log.own("TENANT_CREATED");
    log.seal(1, None);
    log.anchor("RUN_STARTED", RUN);
    log.attempt(RUN, "a");
    log.attempt(RUN, "b");
    log.anchor("RUN_ANCHORED", RUN);
    log.seal(0, None);
    log.attempt(RUN, "c");
    log.anchor("RUN_ENDED", RUN);
    for _ in 0..6 {
        log.own("CONNECTION_CHANGED");
    }
    log.seal(2, None);
    log
}

#[track_caller]
fn bad_entry(report: &Report, chain: &str, number: u64) {
    let place = report.bad.as_ref().map(|bad| &bad.place);
    assert_eq!(place, Some(&Place::Entry(chain.into(), number)), "{report}");
}

#[track_caller]
fn says(report: &Report, place: &Place, what: &str) {
    let bad = report.bad.as_ref().unwrap();
    assert!(bad.place == *place && bad.what.contains(what), "{report}");
}

fn note_of(item: &mut Item) -> String {
    item.seal().unwrap().note.clone()
}

#[test]
fn a_good_log_is_good_and_says_what_is_proved() {
    let mut log = log();
    let report = log.verify();
    assert_eq!((report.verdict().as_str(), report.entries, report.runs, report.covered), ("ok", 16, 1, 16), "{report}");
    log.own("NOT_COVERED_YET");
    log.attempt("tenants/acme/exports/x/runs/r2", "a");
    let report = log.verify();
    assert_eq!((report.verdict().as_str(), report.entries, report.uncovered()), ("ok", 19, 3), "{report}");
}

#[test]
fn the_rewriting_of_the_tests_is_what_it_says() {
    let mut log = log();
    let before = log.file();
    relink(&mut log.items, OWN);
    relink(&mut log.items, RUN);
    assert_eq!(log.file(), before, "a log that nobody altered has these hashes already");
}
