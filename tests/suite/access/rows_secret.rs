//! The rows C10, C11, C14 and C20 of the feature table: keys that change, keys that are only named, keys that are
//! refused.

use super::{
    by_reference, cause, create, export, fields, journal, keys, make_export, must_not_run, needs_attention, people,
    read, run, set_key, verify,
};
use ferry_proto::v1::connection::State;
use ferry_proto::v1::run::State as RunState;
use ferry_sim::{FaultKind, FaultRule, ForbiddenShape, When};
use ferry_testkit::{Stage, TENANT};
use std::path::PathBuf;
use tonic::Code;

const KEY: &str = "connection.settings.activecampaign.api_key";

/// A stage whose service reads secrets below a folder, and the file `key` in the tenant's part of it.
async fn with_file_root() -> (Stage, PathBuf) {
    let mut stage = Stage::new().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let root = stage.path("secrets");
    std::fs::create_dir_all(root.join(TENANT)).unwrap();
    std::fs::write(root.join(TENANT).join("key"), &stage.api_key).unwrap();
    stage.restart_and(&[format!("--secret-file-root={}", root.display())], &[]).await;
    (stage, root.join(TENANT).join("key"))
}

/// The notification of the same row comes with the issue of notifications.
#[tokio::test]
async fn c10_a_named_secret_is_read_at_run_time_and_a_missing_one_fails_the_run() {
    let (stage, file) = with_file_root().await;
    let before = keys(&stage);
    let mut client = stage.client("administrator").await;
    let made = create(&mut client, by_reference(&stage, "file:key")).await.unwrap();
    let new: Vec<String> = keys(&stage).difference(&before).cloned().collect();
    assert!(!new.iter().any(|name| name.contains(".secret.")), "a key is held although it is only named: {new:?}");
    let weekly = make_export(&stage, &mut client, TENANT).await.name;
    assert_eq!(run(&mut client, &weekly).await.state(), RunState::Succeeded);

    std::fs::write(&file, "another-key").unwrap();
    assert_eq!(cause(&run(&mut client, &weekly).await), "CREDENTIALS_REFUSED", "the value of today is sent");
    std::fs::write(&file, &stage.api_key).unwrap();
    assert_eq!(verify(&mut client, &made.name).await.0, "OK");
    assert_eq!(run(&mut client, &weekly).await.state(), RunState::Succeeded);

    std::fs::remove_file(&file).unwrap();
    let asked = journal(&stage).len();
    let failed = run(&mut client, &weekly).await;
    assert_eq!((failed.state(), cause(&failed)), (RunState::Failed, "SECRET_UNAVAILABLE"));
    assert_eq!(journal(&stage).len(), asked, "nothing is sent without a key");
    needs_attention(&read(&mut client, &made.name).await, "SECRET_UNAVAILABLE");
    must_not_run(&stage, &mut client, &weekly).await;
    let (outcome, connection) = verify(&mut client, &made.name).await;
    assert_eq!(outcome, "SECRET_UNAVAILABLE");
    needs_attention(&connection, "SECRET_UNAVAILABLE");
    std::fs::write(&file, &stage.api_key).unwrap();
    let (outcome, connection) = verify(&mut client, &made.name).await;
    assert_eq!((outcome.as_str(), connection.state(), connection.state_reason.as_str()), ("OK", State::Ready, ""));
    assert_eq!(run(&mut client, &weekly).await.state(), RunState::Succeeded);
}

#[tokio::test]
async fn c11_a_connection_that_names_its_key_takes_no_typed_one() {
    let (stage, _) = with_file_root().await;
    let mut client = stage.client("administrator").await;
    let made = create(&mut client, by_reference(&stage, "file:key")).await.unwrap();
    let before = keys(&stage);
    let refused = set_key(&mut client, &made.name, "typed").await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec![KEY.to_owned()]));
    assert_eq!(read(&mut client, &made.name).await, made);
    assert_eq!(keys(&stage), before);
    assert_eq!(verify(&mut client, &made.name).await.0, "OK", "the named key is still the one in force");
}

#[tokio::test]
async fn c14_a_new_key_holds_from_the_next_run_on_and_leaves_exports_alone() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let made = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await;
    let mut set_time = None;
    let steps =
        [(None, ""), (Some("not-the-key".to_owned()), "CREDENTIALS_REFUSED"), (Some(stage.api_key.clone()), "")];
    for (key, expected) in steps {
        if let Some(key) = key {
            let updated = set_key(&mut client, &made.name, &key).await.unwrap();
            assert_eq!(updated.state(), State::Unverified, "a new key was not tried yet");
            let settings = updated.settings.clone();
            assert_ne!(settings, set_time, "when it was set is told");
            set_time = settings;
        }
        assert_eq!(cause(&run(&mut client, &weekly.name).await), expected);
        let after = export(&mut client, &weekly.name).await;
        assert_eq!((&after.etag, &after.update_time, &after.updated_by), {
            (&weekly.etag, &weekly.update_time, &weekly.updated_by)
        });
    }
    let secrets = keys(&stage).into_iter().filter(|name| name.contains(".secret.")).count();
    assert_eq!(secrets, 1, "the data keys of replaced keys are destroyed");
}

#[tokio::test]
async fn c20_a_refused_key_stops_all_runs_until_somebody_mends_it() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let made = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await.name;
    let revoked = || FaultRule::once(FaultKind::Forbidden { shape: ForbiddenShape::Empty }).when(When::Always);
    for by_a_new_key in [false, true] {
        stage.sim.faults().add(revoked());
        assert_eq!(cause(&run(&mut client, &weekly).await), "CREDENTIALS_REFUSED");
        needs_attention(&read(&mut client, &made.name).await, "CREDENTIALS_REFUSED");
        must_not_run(&stage, &mut client, &weekly).await;
        let (outcome, connection) = verify(&mut client, &made.name).await;
        assert_eq!(outcome, "CREDENTIALS_REFUSED");
        needs_attention(&connection, "CREDENTIALS_REFUSED");
        must_not_run(&stage, &mut client, &weekly).await;
        stage.sim.faults().clear();
        must_not_run(&stage, &mut client, &weekly).await;
        if by_a_new_key {
            let mended = set_key(&mut client, &made.name, &stage.api_key).await.unwrap();
            assert_eq!((mended.state(), mended.state_reason.as_str()), (State::Unverified, ""));
        } else {
            let (outcome, mended) = verify(&mut client, &made.name).await;
            assert_eq!((outcome.as_str(), mended.state(), mended.state_reason.as_str()), ("OK", State::Ready, ""));
        }
        assert_eq!(run(&mut client, &weekly).await.state(), RunState::Succeeded);
    }
}
