//! Rules 1, 2 and 8: what an export remembers, and what a run makes of it.

use super::{SECOND_LIST, SOON, Scene, canary, eventually, to_list};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, When};
use ferry_testkit::{HOST, LIST, OTHER_HOST, TENANT};

#[tokio::test]
async fn rule_1_a_second_run_sends_what_is_new_or_changed_and_nothing_else() {
    let scene = Scene::new(&[("a", "Ada"), ("b", "Bob"), ("c", "Cid")]).await;
    assert_eq!(scene.succeeds().await.confirmed, 3);
    let again = scene.succeeds().await;
    assert_eq!((again.unchanged, again.confirmed, scene.imports()), (3, 0, 1), "nothing to do is no import");
    scene.members(&[("a", "Ada"), ("b", "Bert"), ("c", "Cid"), ("d", "Dot")]);
    let third = scene.succeeds().await;
    assert_eq!((third.unchanged, third.confirmed, scene.imports()), (2, 2, 2));
    assert_eq!(scene.first_name("b"), canary::name("Bert"));
    assert_eq!(scene.stage.sim.report().contacts_accepted, 5);
}

/// An answer that never comes leaves a person neither there nor not there.
#[tokio::test]
async fn rule_1_what_may_be_there_is_sent_again_although_nothing_changed() {
    let scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    let lost = FaultRule::once(FaultKind::ResetAfterwards).on(Endpoint::Import).when(When::Always);
    scene.stage.sim.faults().add(lost);
    let run = scene.run().await;
    assert_eq!((run.state(), run.counts.unwrap().unknown), (State::Failed, 2));
    scene.stage.sim.faults().clear();
    let again = scene.succeeds().await;
    assert_eq!((again.unchanged, again.confirmed), (0, 2));
    assert_eq!(scene.succeeds().await.unchanged, 2);
}

/// A value that was confirmed and then perhaps overwritten is not what is wanted, even if it is wanted again.
#[tokio::test]
async fn rule_1_a_confirmed_value_that_was_perhaps_overwritten_is_sent_again() {
    let scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    scene.succeeds().await;
    scene.members(&[("a", "Other"), ("b", "Bob")]);
    let lost = FaultRule::once(FaultKind::ResetAfterwards).on(Endpoint::Import).when(When::Always);
    scene.stage.sim.faults().add(lost);
    assert_eq!(scene.run().await.counts.unwrap().unknown, 1);
    scene.stage.sim.faults().clear();
    scene.members(&[("a", "Ada"), ("b", "Bob")]);
    let back = scene.succeeds().await;
    assert_eq!((back.unchanged, back.confirmed), (1, 1));
    assert_eq!(scene.first_name("a"), canary::name("Ada"));
}

/// `kill -9` once an import was taken: the next process makes the state from what is on record, and from what it asks.
#[tokio::test]
async fn rule_2_the_state_after_a_crash_is_that_of_the_recorded_outcomes() {
    let mut scene = Scene::new(&[("a", "Ada"), ("b", "Bob"), ("excluded", "Eve")]).await;
    let mut client = scene.stage.client("administrator").await;
    let request = pb::RunExportRequest { name: scene.export.name.clone(), ..Default::default() };
    let run = client.exports.run_export(request).await.unwrap().into_inner().run.unwrap();
    eventually(SOON, || async { if scene.imports() > 0 { Ok(()) } else { Err(()) } }).await;
    scene.stage.kill();
    scene.stage.start().await;
    let ended = scene.rests(&run.name).await;
    assert_eq!((ended.state(), ended.counts.unwrap().confirmed), (State::Succeeded, 2));
    let again = scene.succeeds().await;
    assert_eq!((again.unchanged, again.excluded, again.confirmed), (2, 1, 0));
}

/// A cancelled run leaves what it sent in the state, and the rest due.
#[tokio::test]
async fn rule_2_a_run_that_ended_early_counts_for_what_it_sent() {
    let people: Vec<(String, &str)> = (0..50_000).map(|number| (number.to_string(), "Name")).collect();
    let people: Vec<(&str, &str)> = people.iter().map(|(person, name)| (person.as_str(), *name)).collect();
    let scene = Scene::new(&people).await;
    let mut client = scene.stage.client("administrator").await;
    let request = pb::RunExportRequest { name: scene.export.name.clone(), ..Default::default() };
    let run = client.exports.run_export(request).await.unwrap().into_inner().run.unwrap();
    eventually(SOON, || async { if scene.imports() >= 5 { Ok(()) } else { Err(()) } }).await;
    let cancel = pb::CancelRunRequest { name: run.name.clone(), ..Default::default() };
    client.runs.cancel_run(cancel).await.unwrap();
    let first = scene.rests(&run.name).await.counts.unwrap();
    assert!(first.not_sent > 0 && first.confirmed > 0, "{first:?}");
    let second = scene.succeeds().await;
    assert_eq!(second.unchanged, first.confirmed);
    assert_eq!(second.confirmed, first.not_sent + first.unknown);
}

#[tokio::test]
async fn a_changed_mapping_makes_the_needed_changes_again() {
    let mut scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    scene.succeeds().await;
    scene
        .update(&["field_mappings"], |export| export.field_mappings[1].destination_field = "last_name".to_owned())
        .await;
    let again = scene.succeeds().await;
    assert_eq!((again.unchanged, again.confirmed), (0, 2));
    let mapping = pb::FieldMapping { destination_field: "email".to_owned(), profile_column: "email".to_owned() };
    let name = scene.export.field_mappings[1].clone();
    scene.update(&["field_mappings"], |export| export.field_mappings = vec![name, mapping]).await;
    assert_eq!(scene.succeeds().await.unchanged, 2, "the order of mappings is no value");
}

#[tokio::test]
async fn rule_8_a_new_host_knows_nobody_and_a_new_key_forgets_nobody() {
    let scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    scene.succeeds().await;
    let mut client = scene.stage.client("administrator").await;
    let with = |scene: &Scene, host: &str| {
        let mut connection = scene.stage.connection();
        connection.name = format!("tenants/{TENANT}/connections/newsletter");
        if let Some(pb::connection_settings::Settings::Activecampaign(settings)) =
            connection.settings.as_mut().and_then(|settings| settings.settings.as_mut())
        {
            settings.host = host.to_owned();
        }
        let mask = prost_types::FieldMask { paths: vec!["settings".to_owned()] };
        pb::UpdateConnectionRequest { connection: Some(connection), update_mask: Some(mask), ..Default::default() }
    };
    client.connections.update_connection(etagged(&scene, with(&scene, HOST)).await).await.unwrap();
    assert_eq!(scene.succeeds().await.unchanged, 2, "a new key");
    client.connections.update_connection(etagged(&scene, with(&scene, OTHER_HOST)).await).await.unwrap();
    assert_eq!(scene.succeeds().await.confirmed, 2, "a new host");
}

/// What is known of each list is known of that list alone, however the export goes back and forth.
#[tokio::test]
async fn rule_8_each_list_has_a_state_of_its_own() {
    let mut scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    for (list, known) in [(LIST, 0), (SECOND_LIST, 0), (SECOND_LIST, 2), (LIST, 2), (SECOND_LIST, 2)] {
        scene.update(&["settings"], |export| export.settings = to_list(list)).await;
        let counts = scene.succeeds().await;
        assert_eq!((counts.unchanged, counts.confirmed), (known, 2 - known), "list {list}");
    }
}

async fn etagged(scene: &Scene, mut request: pb::UpdateConnectionRequest) -> pb::UpdateConnectionRequest {
    let mut client = scene.stage.client("administrator").await;
    let get = pb::GetConnectionRequest { name: format!("tenants/{TENANT}/connections/newsletter") };
    let found = client.connections.get_connection(get).await.unwrap().into_inner().connection.unwrap();
    if let Some(connection) = request.connection.as_mut() {
        connection.etag = found.etag;
    }
    request
}

#[tokio::test]
async fn rule_11_a_full_resync_sends_members_as_if_nothing_were_known_of_them() {
    let scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    scene.succeeds().await;
    let run = scene.run_as(pb::RunExportRequest { full_resync: true, ..Default::default() }).await;
    assert_eq!((run.state(), run.counts.unwrap().confirmed), (State::Succeeded, 2));
    assert_eq!(scene.succeeds().await.unchanged, 2);
}
