//! A chain that is cut at its end: found if a checkpoint covers what was cut, and only then.

use super::{Cases, Scene, own};
use crate::audit::{acme, entries};

/// Entries that are cut, at most.
const MOST: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a05_a_tail_cut_off_the_database_is_found_if_and_only_if_a_checkpoint_covers_it() {
    let mut scene = Scene::new().await;
    scene.refused(MOST).await;
    scene.keep().await;
    let mut cases = Cases::new(scene.key());
    let whole = scene.own().await;
    // Covered: found, however much is cut, and the first entry that lacks is named.
    for cut in (1..=10).chain((20..=MOST).step_by(10)) {
        let first = whole.len() + 1 - cut;
        scene
            .execute(&format!("DELETE FROM audit_entries WHERE tenant = 'acme' AND chain = '' AND number >= {first}"))
            .await;
        let case = cases.judge(format!("{cut} cut"), scene.file().await);
        case.says(&own(first), "it is missing");
        if cut == MOST {
            case.is_told_by_the_command();
        }
    }
    scene.put_whole(&whole).await;
    // Not covered yet: nothing tells, and the log goes on from there as if it had not been.
    scene.hold().await;
    scene.refused(5).await;
    let uncovered = scene.own().await;
    assert_eq!(uncovered.len(), whole.len() + 5);
    scene.put_whole(&whole).await;
    scene.release().await;
    scene.refused(1).await;
    scene.keep().await;
    let case = cases.judge_with("five cut before any checkpoint", scene.file().await, &scene.notes());
    assert_eq!(case.is_good().pinned_same, scene.kept.len() as u64, "{}", case.report);
    case.is_told_by_the_command();
    // Cut, and gone on from there by the service, so that numbers are whole again.
    let covered = scene.own().await;
    let kept = scene.notes();
    let mut cut = covered.clone();
    cut.rows.truncate(covered.len() - 3);
    scene.put_whole(&cut).await;
    scene.refused(5).await;
    let longer = entries(&mut scene.stage.client("administrator").await, &acme(), "").await;
    assert_eq!(longer.len(), covered.len() + 2, "it goes on");
    scene.keep().await;
    let first = scene.uncovered_before(covered.len() - 2);
    let case = cases.judge_with("cut and grown again", scene.file().await, &kept);
    case.says(&own(first), "not those that were signed");
    case.is_told_by_the_command();
    cases.agree();
}
