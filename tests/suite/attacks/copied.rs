//! Entries that are right where they were written, and are shown elsewhere or twice.

use super::rows::Chain;
use super::scene::OTHER;
use super::{Cases, Scene, own};
use crate::audit::acme;
use ferry_ledger::verify::Place;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_an_entry_of_another_tenant_or_run_copied_in_the_database_is_found() {
    let scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    let (whole, theirs) = (scene.own().await, Chain::read(&scene.database, OTHER, "").await);
    let there = theirs.len() - 1;
    // Their row as it is, under our tenant's name.
    let mut copied = whole.clone();
    copied.rows[there - 1] = theirs.rows[there - 1].clone();
    scene.put(&copied).await;
    cases.judge("a row copied", scene.file().await).names(&acme(), there);
    // With every hash made anew, and the number that belongs there: nothing but the tenant in its bytes is wrong.
    for number in [2, whole.len() / 2, whole.len()] {
        let mut copied = whole.clone();
        copied.rows[number - 1] = theirs.rows[there - 1].clone();
        scene.put_whole(&copied.rewritten()).await;
        let case = cases.judge(format!("copied to {number}"), scene.file().await);
        case.says(&own(number), "of another place: tenant \"globex\"");
    }
    let mut all = whole.clone();
    all.rows.clone_from(&theirs.rows);
    scene.put_whole(&all).await;
    cases.judge("their whole chain", scene.file().await).says(&own(1), "of another place: tenant \"globex\"");
    scene.put_whole(&whole).await;
    // What one run sent, in the chain of another.
    let (sent, other) = (scene.sent(0).await, scene.sent(1).await);
    let mut copied = sent.clone();
    copied.rows[1] = other.rows[1].clone();
    scene.put_whole(&copied.rewritten()).await;
    let place = Place::Entry(scene.runs[0].name.clone(), 2);
    cases.judge("of another run", scene.file().await).says(&place, "of another place");
    scene.put_whole(&sent).await;
    cases.judge("nothing", scene.file().await).is_good();
    cases.agree();
}

/// As a transaction would that is tried again though it had been committed.
#[tokio::test(flavor = "multi_thread")]
async fn a18_an_intent_or_an_outcome_written_twice_into_the_database_is_found_by_its_attempt() {
    let mut scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    let twice = |sent: &Chain, kind: &str| {
        let place = sent.first(kind);
        let mut twice = sent.clone();
        twice.rows.insert(place + 1, sent.rows[place].clone());
        (twice.rewritten(), place + 2)
    };
    let sent = scene.sent(0).await;
    for kind in ["EGRESS_INTENT", "EGRESS_OUTCOME"] {
        let (twice, number) = twice(&sent, kind);
        scene.put_whole(&twice).await;
        let place = Place::Entry(scene.runs[0].name.clone(), u64::try_from(number).unwrap());
        cases.judge(format!("{kind} twice"), scene.file().await).says(&place, "already");
    }
    scene.put_whole(&sent).await;
    // Before any checkpoint covers the run, with the anchors that belong to it: all hashes are right, and it is signed.
    scene.hold().await;
    scene.run(900).await;
    let run = scene.runs.len() - 1;
    let (twice, number) = twice(&scene.sent(run).await, "EGRESS_INTENT");
    scene.put_whole(&twice).await;
    let mut anchors = scene.own().await;
    for row in &mut anchors.rows {
        let name = &scene.runs[run].name;
        row.edit(|entry| {
            if entry.object == *name && entry.kind == "RUN_ENDED" {
                entry.details.insert("run_entries".into(), twice.len().to_string());
                entry.details.insert("run_head".into(), hex(&twice.head()));
            }
        });
    }
    scene.put_whole(&anchors.relinked()).await;
    scene.release().await;
    scene.refused(1).await;
    scene.keep().await;
    let place = Place::Entry(scene.runs[run].name.clone(), u64::try_from(number).unwrap());
    cases.judge_with("twice, and signed", scene.file().await, &scene.notes()).says(&place, "already");
    cases.agree();
}
