//! Clocks that are set back and forward: numbers order a log, and what is unusual is told.

use super::file::{checkpoints, resign};
use super::{Cases, Scene, exported};
use crate::audit::export::printed;

#[tokio::test(flavor = "multi_thread")]
async fn a12_a_time_that_was_set_back_or_forward_is_told_and_the_order_is_that_of_the_numbers() {
    let mut scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    // What a service writes whose clock was set, before a checkpoint covers it.
    scene.hold().await;
    scene.refused(3).await;
    let mut set = scene.own().await;
    let last = set.len();
    set.rows[last - 2].edit(|entry| entry.time_ms -= 90_000);
    set.rows[last - 1].edit(|entry| entry.time_ms += 3_600_000);
    scene.put_whole(&set.relinked()).await;
    scene.release().await;
    scene.refused(1).await;
    scene.keep().await;
    let case = cases.judge_with("the clock set", scene.file().await, &scene.notes());
    let report = case.is_good();
    assert_eq!(report.uncovered(), 0, "{report}");
    // Set back once, and once from forward.
    for number in [last - 1, last + 1] {
        let told = format!("tenants/acme {number} is ");
        assert!(report.anomalies.iter().any(|anomaly| anomaly.contains(&told)), "{number}: {report}");
    }
    case.is_told_by_the_command();
    // Covered ones cannot be set any more.
    let whole = scene.own().await;
    for by in [-90_000, 90_000] {
        let mut later = whole.clone();
        later.rows[4].edit(|entry| entry.time_ms += by);
        scene.put(&later).await;
        cases.judge(format!("by {by} ms"), scene.file().await).names("tenants/acme", 5);
    }
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_a_checkpoint_signed_by_a_clock_that_was_set_back_is_told() {
    let exported = exported().await;
    let mut cases = Cases::new(&exported.key);
    let mut items = exported.items.clone();
    let last = *checkpoints(&items).last().unwrap();
    resign(&mut items[last], &exported.stolen, |checkpoint| checkpoint.time_ms -= 86_400_000);
    let report = cases.judge_with("a day back", printed(&items), &exported.kept).is_good();
    let told = |anomaly: &String| anomaly.contains("the time of checkpoint 3 is before");
    assert!(report.anomalies.iter().any(told), "{report}");
    cases.agree();
}
