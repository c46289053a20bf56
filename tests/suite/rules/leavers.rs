//! Rules 4, 6 and 7: those who left the segment.

use super::{SECOND_LIST, Scene, canary, to_list};
use ferry_proto::v1 as pb;
use ferry_proto::v1::leave_policy::{Keep, Policy, SetField, Unsubscribe};
use ferry_proto::v1::run::State;
use ferry_testkit::TENANT;
use tonic::Code;
use tonic_types::StatusExt;

fn set_field(export: &mut pb::Export) {
    let policy = SetField { field: 1, member_value: "yes".to_owned(), left_value: "no".to_owned() };
    export.leave_policy = Some(pb::LeavePolicy { policy: Some(Policy::SetField(policy)) });
    unguarded(export);
}

fn unsubscribe(export: &mut pb::Export) {
    let policy = Unsubscribe { acknowledge_irreversible: true };
    export.leave_policy = Some(pb::LeavePolicy { policy: Some(Policy::Unsubscribe(policy)) });
    unguarded(export);
}

/// Lets any share of the members be removed.
fn unguarded(export: &mut pb::Export) {
    export.removal_guard = Some(pb::RemovalGuard { max_percent: Some(100), max_number: Some(1_000) });
}

fn field(scene: &Scene, person: &str) -> String {
    let contact = scene.contact(person).unwrap();
    contact.fields.get(&1).cloned().unwrap_or_default()
}

const BOTH: [(&str, &str); 2] = [("a", "Ada"), ("b", "Bob")];

#[tokio::test]
async fn rule_6_who_leaves_stays_as_they_are_unless_the_export_says_otherwise() {
    let scene = Scene::new(&BOTH).await;
    scene.succeeds().await;
    scene.members(&[("a", "Ada")]);
    let counts = scene.succeeds().await;
    assert_eq!((counts.unchanged, counts.removals, scene.imports()), (1, 0, 1));
    assert!(scene.is_on_list("b"));
}

#[tokio::test]
async fn rule_6_a_field_mirrors_who_is_a_member_and_forth_and_back() {
    let scene = Scene::with(&BOTH, set_field).await;
    scene.succeeds().await;
    assert_eq!((field(&scene, "a"), field(&scene, "b")), ("yes".to_owned(), "yes".to_owned()));
    scene.members(&[("a", "Ada")]);
    let counts = scene.succeeds().await;
    assert_eq!((counts.unchanged, counts.removals, counts.removals_confirmed), (1, 1, 1));
    assert_eq!((field(&scene, "a"), field(&scene, "b")), ("yes".to_owned(), "no".to_owned()));
    assert!(scene.is_on_list("b"), "the list keeps them");
    assert_eq!(scene.succeeds().await.removals, 0, "who left has left");
    scene.members(&BOTH);
    assert_eq!(scene.succeeds().await.confirmed, 1);
    assert_eq!(field(&scene, "b"), "yes");
}

/// A policy that comes later holds for those who left before it.
#[tokio::test]
async fn rule_6_who_left_before_the_policy_is_marked_by_it() {
    let mut scene = Scene::new(&BOTH).await;
    scene.succeeds().await;
    scene.members(&[("a", "Ada")]);
    scene.succeeds().await;
    scene.update(&["leave_policy", "removal_guard"], set_field).await;
    let counts = scene.succeeds().await;
    assert_eq!((counts.confirmed, counts.removals_confirmed), (1, 1));
    assert_eq!((field(&scene, "a"), field(&scene, "b")), ("yes".to_owned(), "no".to_owned()));
}

#[tokio::test]
async fn rule_6_to_unsubscribe_is_approved_first_and_final() {
    let scene = Scene::with(&BOTH, unsubscribe).await;
    scene.succeeds().await;
    scene.members(&[("a", "Ada")]);
    let held = scene.run().await;
    assert_eq!(held.state(), State::AwaitingApproval);
    assert_eq!((held.approval.clone().unwrap().reasons.len(), scene.imports()), (1, 1), "{:?}", held.approval);
    let run = scene.approve(&held.name).await;
    assert_eq!((run.state(), run.counts.unwrap().removals_confirmed), (State::Succeeded, 1), "{:?}", run.error);
    assert!(scene.is_on_list("a") && !scene.is_on_list("b"));
    assert_eq!(run.approval.unwrap().approved_by, "second administrator");
    scene.members(&BOTH);
    let run = scene.run_as(pb::RunExportRequest { full_resync: true, ..Default::default() }).await;
    assert_eq!((run.state(), run.counts.unwrap().excluded), (State::Succeeded, 1));
    assert_eq!(scene.rows(&run.name).await, [("STAGE_EXCLUDED", "PREVIOUSLY_REMOVED".to_owned())]);
    assert!(!scene.is_on_list("b"));
    scene.members(&[("b", "Bob")]);
    assert_eq!(scene.run().await.state(), State::Succeeded, "only the first such run is held");
    assert!(!scene.is_on_list("a"));
}

#[tokio::test]
async fn rule_4_an_empty_segment_removes_nobody_without_approval() {
    let scene = Scene::with(&BOTH, set_field).await;
    scene.succeeds().await;
    scene.members(&[]);
    let held = scene.run().await;
    assert_eq!((held.state(), held.counts.unwrap().removals), (State::AwaitingApproval, 2));
    assert_eq!(field(&scene, "a"), "yes");
    let mut starter = scene.stage.client("administrator").await;
    let request = pb::ApproveRunRequest { name: held.name.clone(), ..Default::default() };
    let refused = starter.runs.approve_run(request).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.get_details_error_info().unwrap().reason.as_str()),
        (Code::PermissionDenied, "OWN_RUN")
    );
    let run = scene.approve(&held.name).await;
    assert_eq!((run.state(), run.counts.unwrap().removals_confirmed), (State::Succeeded, 2));
    assert_eq!(field(&scene, "a"), "no");
}

/// A row that cannot be read may be anybody's.
#[tokio::test]
async fn rule_4_a_segment_with_unreadable_rows_removes_nobody_without_approval() {
    let scene = Scene::with(&BOTH, set_field).await;
    scene.succeeds().await;
    scene.write("people", &format!("{}{}\n", super::csv(&[("a", "Ada")]), canary::name("ragged")));
    assert_eq!(scene.run().await.state(), State::AwaitingApproval);
    assert_eq!(field(&scene, "b"), "yes");
}

#[tokio::test]
async fn a_run_that_would_remove_more_than_the_guard_allows_waits() {
    let people: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let people: Vec<(&str, &str)> = people.iter().map(|person| (person.as_str(), "Name")).collect();
    let scene = Scene::with(&people, |export| {
        set_field(export);
        export.removal_guard = Some(pb::RemovalGuard { max_percent: Some(10), max_number: Some(1_000) });
    })
    .await;
    scene.succeeds().await;
    scene.members(&people[2..]);
    assert_eq!(scene.succeeds().await.removals_confirmed, 2, "two of twenty are a tenth");
    scene.members(&people[5..]);
    let held = scene.run().await;
    assert_eq!((held.state(), held.counts.unwrap().removals), (State::AwaitingApproval, 3));
    let mut client = scene.stage.client("administrator").await;
    let cancel = pb::CancelRunRequest { name: held.name.clone(), ..Default::default() };
    client.runs.cancel_run(cancel).await.unwrap();
    let ended = scene.rests(&held.name).await;
    assert_eq!((ended.state(), ended.counts.unwrap().removals_not_sent), (State::Cancelled, 3));
}

/// Two exports put a person on one list; one of them lets go.
#[tokio::test]
async fn rule_7_whom_another_export_holds_on_the_list_is_not_removed() {
    let scene = Scene::with(&BOTH, unsubscribe).await;
    scene.stage.segment("others", "csv", super::csv(&[("b", "Bob")]).as_bytes());
    let other = scene.stage.export("newsletter", "others");
    let other = scene.stage.create_export("others", other).await;
    scene.succeeds().await;
    let run = scene.stage.run(&other.name).await;
    assert_eq!(scene.rests(&run.name).await.state(), State::Succeeded);
    scene.members(&[("c", "Cid")]);
    let held = scene.run().await;
    assert_eq!((held.state(), held.counts.unwrap().removals), (State::AwaitingApproval, 1), "a alone");
    let run = scene.approve(&held.name).await;
    assert_eq!(run.state(), State::Succeeded, "{:?}", run.error);
    assert!(!scene.is_on_list("a") && scene.is_on_list("b") && scene.is_on_list("c"));
}

/// The other export comes after the plan and before its approval. Who is its, the plan cannot know, so nobody goes.
#[tokio::test]
async fn rule_7_when_another_export_came_to_the_list_since_the_plan_nobody_is_unsubscribed_until_the_next_run() {
    let scene = Scene::with(&[("a", "Ada"), ("b", "Bob"), ("c", "Cid")], unsubscribe).await;
    scene.succeeds().await;
    scene.members(&[("a", "Ada")]);
    let held = scene.run().await;
    assert_eq!((held.state(), held.counts.unwrap().removals), (State::AwaitingApproval, 2));
    scene.stage.segment("others", "csv", super::csv(&[("b", "Bob")]).as_bytes());
    let other = scene.stage.create_export("others", scene.stage.export("newsletter", "others")).await;
    let run = scene.stage.run(&other.name).await;
    assert_eq!(scene.rests(&run.name).await.state(), State::Succeeded);
    let run = scene.approve(&held.name).await;
    let counts = run.counts.unwrap();
    assert_eq!((counts.removals_confirmed, counts.removals_not_sent), (0, 2), "{:?}", run.error);
    assert!(run.warnings.iter().any(|text| text.contains("was unsubscribed: another export")), "{:?}", run.warnings);
    assert!(scene.is_on_list("b") && scene.is_on_list("c"));
    let held = scene.run().await;
    assert_eq!((held.state(), held.counts.unwrap().removals), (State::AwaitingApproval, 1), "c alone");
    let run = scene.approve(&held.name).await;
    assert_eq!((run.state(), run.counts.unwrap().removals_confirmed), (State::Succeeded, 1), "{:?}", run.error);
    assert!(scene.is_on_list("a") && scene.is_on_list("b") && !scene.is_on_list("c"));
}

/// The same person at two exports that send one field differently is told when the second is checked.
#[tokio::test]
async fn rule_7_two_exports_that_map_one_field_differently_are_warned_of() {
    let scene = Scene::new(&BOTH).await;
    let mut other = scene.stage.export("newsletter", "people");
    other.field_mappings[1].profile_column = "email".to_owned();
    let other = scene.stage.create_export("others", other).await;
    let mut client = scene.stage.client("administrator").await;
    let request = pb::ValidateExportRequest { name: other.name };
    let answer = client.exports.validate_export(request).await.unwrap().into_inner();
    let names = format!("tenants/{TENANT}/exports/weekly");
    assert!(answer.warnings.iter().any(|text| text.contains("first_name") && text.contains(&names)), "{answer:?}");
}

/// What somebody has approved is what goes, and to where, whatever the export says by then.
#[tokio::test]
async fn rule_6_a_held_run_keeps_to_what_it_was_planned_with() {
    let mut scene = Scene::with(&BOTH, unsubscribe).await;
    scene.succeeds().await;
    scene.members(&[("a", "Anna")]);
    let held = scene.run().await;
    assert_eq!(held.state(), State::AwaitingApproval);
    let planned = scene.export.clone();
    // A list that does not exist, so that asking for it cannot stay unseen.
    let settings = pb::ActiveCampaignExport { list_id: "99".to_owned(), exclude_automations: Some(false) };
    let elsewhere = pb::ExportSettings { settings: Some(pb::export_settings::Settings::Activecampaign(settings)) };
    let change = |export: &mut pb::Export| {
        export.settings = Some(elsewhere);
        export.leave_policy = Some(pb::LeavePolicy { policy: Some(Policy::Keep(Keep {})) });
    };
    scene.update(&["settings", "leave_policy"], change).await;
    let run = scene.approve(&held.name).await;
    let counts = run.counts.unwrap();
    assert_eq!((run.state(), counts.confirmed, counts.removals_confirmed), (State::Succeeded, 1, 1), "{:?}", run.error);
    assert!(scene.is_on_list("a") && !scene.is_on_list("b"));
    assert_eq!(scene.stage.sim.report().batches_with_automations, 0, "the same bytes as planned");
    scene.update(&["settings"], |export| export.settings = to_list(SECOND_LIST)).await;
    assert_eq!(scene.succeeds().await.confirmed, 1, "of the second list nothing is known");
    scene.update(&["settings", "leave_policy"], |export| *export = planned).await;
    let counts = scene.succeeds().await;
    assert_eq!((counts.unchanged, counts.removals), (1, 0), "of the planned list all is");
}

/// Whom another export has put on the list meanwhile stays there, although the policy that asks for that is gone.
#[tokio::test]
async fn rule_7_a_held_run_looks_for_others_by_the_policy_that_it_was_planned_with() {
    let mut scene = Scene::with(&BOTH, unsubscribe).await;
    scene.succeeds().await;
    scene.members(&[("a", "Ada")]);
    let held = scene.run().await;
    assert_eq!(held.state(), State::AwaitingApproval);
    scene.stage.segment("others", "csv", super::csv(&[("b", "Bob")]).as_bytes());
    let other = scene.stage.create_export("others", scene.stage.export("newsletter", "others")).await;
    let run = scene.stage.run(&other.name).await;
    assert_eq!(scene.rests(&run.name).await.state(), State::Succeeded);
    let keep = |export: &mut pb::Export| {
        export.leave_policy = Some(pb::LeavePolicy { policy: Some(Policy::Keep(Keep {})) });
    };
    scene.update(&["leave_policy"], keep).await;
    let run = scene.approve(&held.name).await;
    assert_eq!(run.counts.unwrap().removals_confirmed, 0, "{:?}", run.state());
    assert!(scene.is_on_list("b"));
}
