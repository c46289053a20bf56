//! Single entries in the database: edited, deleted, moved, and linked wrongly. The first bad one is named.

use super::rows::Row;
use super::{Cases, Edit, Scene, own};
use crate::audit::acme;
use ferry_ledger::EntryResult;

/// One for each field of an entry.
const EDITS: [(&str, Edit); 14] = [
    ("tenant", |entry| entry.tenant.push('x')),
    ("chain", |entry| entry.chain.push('x')),
    ("number", |entry| entry.number += 1),
    ("time", |entry| entry.time_ms += 1),
    ("kind", |entry| entry.kind.push('X')),
    ("actor", |entry| entry.actor.push('x')),
    ("role", |entry| entry.actor_role.push('x')),
    ("required role", |entry| entry.required_role.push('x')),
    ("object", |entry| entry.object.push('x')),
    ("result", |entry| entry.result = EntryResult::Failed),
    ("reason", |entry| entry.reason.push('x')),
    ("correlation id", |entry| entry.correlation_id.push('x')),
    ("origin", |entry| entry.origin.push('x')),
    ("details", |entry| drop(entry.details.insert("count".into(), "1".into()))),
];

#[tokio::test(flavor = "multi_thread")]
async fn a01_a_field_that_is_edited_in_the_database_is_found_and_its_entry_named() {
    let scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    for (name, whole) in [(acme(), scene.own().await), (scene.runs[0].name.clone(), scene.sent(0).await)] {
        let spoil = async |cases: &mut Cases, number: usize, what: &str, spoil: &dyn Fn(&mut Row)| {
            let mut spoilt = whole.clone();
            spoil(&mut spoilt.rows[number - 1]);
            scene.put(&spoilt).await;
            cases.judge(format!("{what} of {name} {number}"), scene.file().await).names(&name, number);
        };
        for (what, edit) in EDITS {
            spoil(&mut cases, whole.len() / 2, what, &|row| row.edit(edit)).await;
        }
        for number in 1..=whole.len() {
            spoil(&mut cases, number, "actor", &|row| row.edit(|entry| entry.actor = "nobody".into())).await;
        }
        spoil(&mut cases, 2, "hash of the bytes", &|row| row.body_hash[0] ^= 1).await;
        spoil(&mut cases, 2, "hash", &|row| row.hash[31] ^= 1).await;
        // The hash of the edited bytes made anew too, and no other.
        let and_hash = |row: &mut Row| {
            row.edit(|entry| entry.actor = "nobody".into());
            row.body_hash = ferry_ledger::body_hash(&row.body).to_vec();
        };
        spoil(&mut cases, whole.len(), "actor and its hash", &and_hash).await;
        scene.put(&whole).await;
    }
    let report = cases.judge_with("nothing", scene.file().await, &scene.notes()).is_good().clone();
    assert_eq!((report.uncovered(), report.pinned_same), (0, 3), "{report}");
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a02_an_entry_that_is_deleted_from_the_database_is_found_wherever_it_was() {
    let scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    for (name, whole) in [(acme(), scene.own().await), (scene.runs[0].name.clone(), scene.sent(0).await)] {
        for number in [1, 2, whole.len() / 2, whole.len() - 1, whole.len()] {
            let mut lacking = whole.clone();
            lacking.rows.remove(number - 1);
            scene.put(&lacking).await;
            cases.judge(format!("{name} {number} deleted"), scene.file().await).names(&name, number);
        }
        // The service goes on from the entry before the deleted one.
        let mut cut = whole.clone();
        cut.rows.pop();
        scene.put_whole(&cut).await;
        cases.judge(format!("the last of {name} forgotten"), scene.file().await).names(&name, whole.len());
        scene.put_whole(&whole).await;
    }
    // All that a run sent.
    let run = scene.sent(1).await;
    scene.execute(&format!("DELETE FROM audit_entries WHERE chain = '{}'", scene.runs[1].uid)).await;
    cases.judge("all of a run deleted", scene.file().await).names(&scene.runs[1].name, 1);
    scene.put(&run).await;
    cases.judge("nothing", scene.file().await).is_good();
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a03_entries_that_change_places_in_the_database_are_found() {
    let scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    let whole = scene.own().await;
    let swap = |one: usize, two: usize| {
        let mut swapped = whole.clone();
        swapped.rows.swap(one - 1, two - 1);
        (swapped.rows[one - 1].number, swapped.rows[two - 1].number) = (one, two);
        swapped
    };
    let last = whole.len();
    for (one, two) in [(1, 2), (2, last), (last / 2, last / 2 + 1), (last - 1, last)] {
        scene.put(&swap(one, two)).await;
        cases.judge(format!("{one} and {two} swapped"), scene.file().await).names(&acme(), one);
    }
    // A block of refusals, with something else before it that is moved behind it.
    let (first, until) = (whole.first("CALL_DENIED"), whole.first("CALL_DENIED") + 4);
    let mut moved = whole.clone();
    moved.rows[first - 1..until].rotate_left(1);
    for (number, row) in (1..).zip(&mut moved.rows) {
        row.number = number;
    }
    scene.put(&moved).await;
    cases.judge("a block moved", scene.file().await).names(&acme(), first);
    // With every hash made anew only the checkpoint tells, and from where on.
    let rewritten = moved.rewritten();
    scene.put_whole(&rewritten).await;
    let place = own(scene.uncovered_before(first));
    cases.judge("a block moved, all hashes anew", scene.file().await).says(&place, "not those that were signed");
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_a_wrong_link_in_the_middle_is_found_though_both_ends_are_right() {
    let scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    let whole = scene.own().await;
    for number in 2..whole.len() {
        let mut spoilt = whole.clone();
        let row = &mut spoilt.rows[number - 1];
        row.edit(|entry| entry.actor = "nobody".into());
        row.body_hash = ferry_ledger::body_hash(&row.body).to_vec();
        scene.put(&spoilt).await;
        cases.judge(format!("{number} edited"), scene.file().await).says(&own(number), "does not follow");
    }
    // Nor is the link itself another, with all bytes as they were.
    let mut spoilt = whole.clone();
    spoilt.rows[whole.len() / 2].hash[7] ^= 1;
    scene.put(&spoilt).await;
    cases.judge("a link", scene.file().await).says(&own(whole.len() / 2 + 1), "does not follow");
    cases.agree();
}
