//! Runs that take people off a list and read no segment, queued as the removal of a connection does.

use super::{LIST, SECOND_LIST, Scene, canary, csv, to_list};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::judge::number_on_record;
use ferry_testkit::{HOST, TENANT};
use sea_orm::{ConnectOptions, ConnectionTrait, Database};

/// Stops the service and queues a retraction of an export from a list. It is found at the next start.
async fn retract(scene: &mut Scene, export: &str, list: u32) -> String {
    scene.stage.kill();
    let path = scene.stage.path("data").join("ferry.db");
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rw", path.display()));
    options.max_connections(1).sqlx_logging(false);
    let database = Database::connect(options).await.unwrap();
    let counts = serde_json::to_string(&ferry_domain::Counts::default()).unwrap();
    let id = format!("retraction-{export}-{list}");
    // A run of the export as it was queued, but for what makes it a retraction.
    let statements = [
        format!("CREATE TEMP TABLE new AS SELECT * FROM runs WHERE export = '{export}' ORDER BY create_time LIMIT 1"),
        format!(
            "UPDATE new SET id = '{id}', \"trigger\" = '\"retraction\"', list = {list}, state = 'queued', \
             counts = '{counts}', warnings = '[]', version = 1, epoch = 0, entries = 0, entries_anchored = 0, \
             batches_total = 0, batches_settled = 0, waited_ms = 0, create_time = create_time + 86400000"
        ),
        "UPDATE new SET phase = NULL, error = NULL, estimated_end_time = NULL, start_time = NULL, end_time = NULL, \
         owner = NULL, plan_of = NULL, plan_summary = NULL, approval = NULL, wait_time = NULL, entries_head = NULL, \
         dry_run = 0, full_resync = 0"
            .to_owned(),
        "INSERT INTO runs SELECT * FROM new".to_owned(),
    ];
    for statement in statements {
        database.execute_unprepared(&statement).await.unwrap();
    }
    database.close().await.unwrap();
    format!("tenants/{TENANT}/exports/{export}/runs/{id}")
}

/// People of a list at the simulator.
fn on_list(scene: &Scene, list: u32) -> usize {
    scene.stage.sim.contacts(HOST, list).len()
}

#[tokio::test]
async fn rule_7_a_retraction_takes_off_all_whom_the_export_put_there_and_nobody_whom_another_holds() {
    let mut scene = Scene::new(&[("a", "Ada"), ("b", "Bob"), ("d", "Dan")]).await;
    scene.stage.segment("others", "csv", csv(&[("b", "Bob"), ("c", "Cid")]).as_bytes());
    scene.stage.create_connection("second").await;
    let other = scene.stage.create_export("others", scene.stage.export("second", "others")).await;
    scene.succeeds().await;
    let latest = scene.run().await.name;
    let run = scene.stage.run(&other.name).await;
    assert_eq!(scene.rests(&run.name).await.state(), State::Succeeded);
    // Who left the segment and stayed on the list was put there too.
    scene.members(&[("a", "Ada"), ("b", "Bob")]);
    let name = retract(&mut scene, "weekly", LIST).await;
    scene.stage.start().await;
    let run = scene.rests(&name).await;
    let counts = run.counts.unwrap();
    assert_eq!((run.state(), counts.members, counts.removals_confirmed), (State::Succeeded, 0, 2), "{:?}", run.error);
    assert_eq!(run.trigger(), pb::run::Trigger::Retraction);
    assert!(run.warnings.iter().any(|text| text.contains("another export holds them")), "{:?}", run.warnings);
    assert!(!scene.is_on_list("a") && scene.is_on_list("b") && scene.is_on_list("c") && !scene.is_on_list("d"));
    let mut client = scene.stage.client("administrator").await;
    let export = client.exports.get_export(pb::GetExportRequest { name: scene.export.name.clone() }).await.unwrap();
    assert_eq!(export.into_inner().export.unwrap().latest_run, latest, "it is none of the export's own");
    let run = scene.run().await;
    assert_eq!((run.state(), run.counts.unwrap().excluded), (State::Succeeded, 1), "to unsubscribe is final");
}

/// Two exports of one connection put a person on a list. Neither keeps them there once the connection goes.
#[tokio::test]
async fn rule_7_exports_of_the_same_connection_hold_nobody_against_its_retraction() {
    let mut scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    scene.stage.segment("others", "csv", csv(&[("b", "Bob"), ("c", "Cid")]).as_bytes());
    let other = scene.stage.create_export("others", scene.stage.export("newsletter", "others")).await;
    scene.succeeds().await;
    let run = scene.stage.run(&other.name).await;
    assert_eq!(scene.rests(&run.name).await.state(), State::Succeeded);
    let names = [retract(&mut scene, "weekly", LIST).await, {
        scene.stage.start().await;
        retract(&mut scene, "others", LIST).await
    }];
    scene.stage.start().await;
    for name in names {
        let run = scene.rests(&name).await;
        assert_eq!((run.state(), run.counts.unwrap().removals_confirmed), (State::Succeeded, 2), "{:?}", run.error);
    }
    assert!(["a", "b", "c"].iter().all(|person| !scene.is_on_list(person)));
}

/// The list that an export went to before is retracted too, by a run of its own.
#[tokio::test]
async fn a_retraction_is_of_the_list_that_it_was_queued_for() {
    let mut scene = Scene::new(&[("a", "Ada"), ("b", "Bob")]).await;
    scene.succeeds().await;
    scene.update(&["settings"], |export| export.settings = to_list(SECOND_LIST)).await;
    scene.succeeds().await;
    let name = retract(&mut scene, "weekly", LIST).await;
    scene.stage.start().await;
    let run = scene.rests(&name).await;
    assert_eq!((run.state(), run.counts.unwrap().removals_confirmed), (State::Succeeded, 2), "{:?}", run.error);
    assert_eq!((on_list(&scene, LIST), on_list(&scene, SECOND_LIST)), (0, 2));
}

/// Killed with a request on its way, it goes on with the same plan.
#[tokio::test]
async fn a_retraction_that_is_killed_goes_on_where_it_stopped() {
    let people: Vec<String> = (0..600).map(|number| format!("p{number}")).collect();
    let people: Vec<(&str, &str)> = people.iter().map(|person| (person.as_str(), "Name")).collect();
    let mut scene = Scene::new(&people).await;
    scene.succeeds().await;
    for point in ["plan-written:1", "intent-committed:2", "state-folded:1"] {
        assert!(on_list(&scene, LIST) > 0 || point == "state-folded:1", "{point}");
        if point == "plan-written:1" {
            retract(&mut scene, "weekly", LIST).await;
        }
        scene.stage.start_to_die(point).await;
        scene.stage.died().await;
    }
    scene.stage.start().await;
    let run = scene.rests(&format!("{}/runs/retraction-weekly-{LIST}", scene.export.name)).await;
    assert_eq!((run.state(), run.counts.unwrap().removals_confirmed), (State::Succeeded, 600), "{:?}", run.error);
    assert_eq!(on_list(&scene, LIST), 0);
    let members = "SELECT members FROM export_states";
    assert_eq!(number_on_record(&scene.stage, members).await, 0);
    assert!(scene.contact("p1").is_some(), "{}", canary::email("p1"));
}
