//! Starting, watching and cancelling: to the end, with an exit code that says which.

use super::{ferry, said, snapshots, states};
use crate::watch::{on_record, small, stage, stage_at};
use ferry_proto::v1 as pb;
use ferry_testkit::TENANT;
use std::time::Duration;

#[tokio::test]
async fn a_run_is_started_and_watched_to_its_end() {
    let (stage, export) = stage().await;
    let said = said(ferry(&stage, "administrator", &["runs", "start", "weekly", "--watch"])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains(&format!("started {export}/runs/")), "{said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines.iter().all(|line| line.contains("Z weekly ")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains(" sending: ") && line.contains(" of 5,000")), "{lines:#?}");
    assert!(lines.last().unwrap().contains(" succeeded in "), "{lines:#?}");
    assert!(lines.last().unwrap().contains("5,000 of 5,000 people confirmed"), "{lines:#?}");
    // A line for each change, and few for the progress: the run takes seconds.
    assert!(lines.len() < 15, "{lines:#?}");
}

#[tokio::test]
async fn in_json_each_event_is_a_line_with_its_token_and_any_of_them_goes_on() {
    let (stage, _) = stage().await;
    let json = ["runs", "start", "weekly", "--watch", "--output", "json"];
    let whole = said(ferry(&stage, "administrator", &json)).await;
    assert_eq!((whole.code, whole.err.as_str()), (Some(0), ""), "{whole:?}");
    let lines = whole.json();
    assert!(lines.iter().all(|line| line["resumeToken"].as_str().is_some_and(|token| !token.is_empty())));
    assert_eq!(snapshots(&lines), 1);
    let run = lines[0]["run"]["name"].as_str().unwrap();
    let record = on_record(&stage, run).await;
    let whole_states = states(&lines);
    assert!(record.ends_with(&whole_states) && whole_states.len() >= 4, "{whole_states:?} of {record:?}");
    let complete = lines.iter().position(|line| line["snapshotComplete"].is_boolean()).unwrap();
    let middle = (complete + lines.len()) / 2;
    let token = lines[middle]["resumeToken"].as_str().unwrap();
    let rest = ["runs", "watch", "--run", run, "--resume-token", token, "--output", "json"];
    let rest = said(ferry(&stage, "viewer", &rest)).await;
    assert_eq!(rest.code, Some(0), "{rest:?}");
    let both: Vec<_> = lines[..=middle].iter().cloned().chain(rest.json()).collect();
    assert_eq!(states(&both), whole_states, "no gap and no repeat");
    assert_eq!(snapshots(&rest.json()), 0, "it goes on and does not begin again");
    // Behind the end nothing comes, and the exit code tells how it ended all the same.
    let last = lines.last().unwrap()["resumeToken"].as_str().unwrap();
    let last = ["runs", "watch", "--run", run, "--resume-token", last, "--output", "json"];
    let after = said(ferry(&stage, "viewer", &last)).await;
    assert_eq!((after.code, after.out.as_str()), (Some(0), ""), "{after:?}");
}

#[tokio::test]
async fn a_token_of_another_watch_begins_with_a_new_snapshot_and_says_so() {
    let (stage, export) = small().await;
    let json = ["runs", "start", "weekly", "--watch", "--output", "json"];
    let first = said(ferry(&stage, "administrator", &json)).await.json();
    let token = first.last().unwrap()["resumeToken"].as_str().unwrap();
    let other = stage.run(&export).await;
    let words = ["runs", "watch", "--run", &other.name, "--resume-token", token, "--output", "json"];
    let said = said(ferry(&stage, "viewer", &words)).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("the resume token is not one of this watch"), "{said:?}");
    assert_eq!(snapshots(&said.json()), 1);
}

#[tokio::test]
async fn a_run_that_fails_has_an_exit_code_of_its_own_and_says_why() {
    let (stage, _) = small().await;
    let mut export = stage.export("newsletter", "people");
    let settings = pb::ActiveCampaignExport { list_id: "99".to_owned(), exclude_automations: None };
    let settings = pb::export_settings::Settings::Activecampaign(settings);
    export.settings = Some(pb::ExportSettings { settings: Some(settings) });
    stage.create_export("nowhere", export).await;
    let said = said(ferry(&stage, "administrator", &["runs", "start", "nowhere", "--watch"])).await;
    assert_eq!(said.code, Some(3), "{said:?}");
    let last = said.out.lines().last().unwrap();
    assert!(last.contains(" failed") && last.contains("LIST_NOT_FOUND, for whoever configured it: "), "{last}");
}

#[tokio::test]
async fn a_run_is_cancelled_by_the_end_of_its_id() {
    let (stage, export) = stage_at(1.0).await;
    let run = stage.run(&export).await;
    let watch = ["runs", "watch", "--run", &run.name];
    let watching = tokio::spawn(said(ferry(&stage, "viewer", &watch)));
    let end = &run.uid[run.uid.len() - 12..];
    let cancelled = said(ferry(&stage, "administrator", &["runs", "cancel", end, "--output", "json"])).await;
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    let told = &cancelled.json()[0];
    assert_eq!(told["name"], run.name.as_str());
    assert!(["STATE_CANCELLING", "STATE_CANCELLED"].contains(&told["state"].as_str().unwrap()), "{told}");
    let watched = watching.await.unwrap();
    assert_eq!(watched.code, Some(4), "{watched:?}");
    assert!(watched.out.lines().last().unwrap().contains(" cancelled"), "{watched:?}");
    let run = stage.ended(&run.name, Duration::from_secs(60)).await;
    let again = said(ferry(&stage, "administrator", &["runs", "cancel", &format!("weekly/{}", run.uid)])).await;
    assert_eq!(again.code, Some(0), "one that was cancelled is answered as it is: {again:?}");
    assert!(again.out.contains("is cancelled"), "{again:?}");
}

#[tokio::test]
async fn several_names_are_watched_until_each_has_ended() {
    let (stage, export) = small().await;
    let first = stage.run(&export).await;
    stage.ended(&first.name, Duration::from_secs(60)).await;
    let second = stage.run(&export).await;
    let said = said(ferry(&stage, "viewer", &["runs", "watch", &first.name, &second.name])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for run in [&first, &second] {
        let end = &run.uid[run.uid.len() - 12..];
        assert!(said.out.lines().any(|line| line.contains(end) && line.contains(" succeeded")), "{said:?}");
    }
    assert!(first.name.starts_with(&format!("tenants/{TENANT}/")));
}
