//! Rule 3: a plan shows what it would do. That it is carried out as it is while it stands: `guards/plans.rs`.

use super::{Scene, canary};
use ferry_proto::v1 as pb;
use ferry_proto::v1::plan_sample::Action;
use ferry_proto::v1::run::State;

#[tokio::test]
async fn rule_3_a_plan_shows_who_would_be_added_changed_and_refused_and_sends_nothing() {
    let scene = Scene::new(&[("a", "Ada"), ("b", "Bob"), ("excluded", "Eve")]).await;
    scene.succeeds().await;
    scene.members(&[("a", "Ada"), ("b", "Bert"), ("c", "Cid"), ("excluded", "Eve")]);
    let plan = scene.plan().await;
    assert!(plan.dry_run && plan.state() == State::Succeeded, "{plan:?}");
    let summary = plan.plan_summary.unwrap();
    assert_eq!((summary.adds, summary.changes, summary.removals, summary.refusals), (1, 1, 0, 1));
    let mut samples: Vec<(Action, String, String)> =
        summary.samples.iter().map(|sample| (sample.action(), sample.email.clone(), sample.reason.clone())).collect();
    samples.sort();
    let sample = |action, person: &str, reason: &str| (action, canary::email(person), reason.to_owned());
    let expected = [
        sample(Action::Add, "c", ""),
        sample(Action::Change, "b", ""),
        sample(Action::Refuse, "excluded", "REFUSED_BEFORE"),
    ];
    assert!(samples == expected, "{} samples", samples.len());
    assert!(plan.estimated_end_time.is_some());
    assert_eq!(scene.imports(), 1);
    let mut viewer = scene.stage.client("viewer").await;
    let seen = viewer.runs.get_run(pb::GetRunRequest { name: plan.name }).await.unwrap().into_inner().run.unwrap();
    assert!(seen.plan_summary.unwrap().samples.is_empty(), "a viewer sees no people");
}
