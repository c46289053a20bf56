//! A database that was put back from a backup, a copy that is lost, and a key that is rotated.

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::judge::{Witness, copied_notes, covered, log_keys, number_on_record, quiet, whole_chains};
use ferry_testkit::{Stage, StageOptions, TENANT, adds_up, canary, eventually};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn people(who: Range<usize>) -> String {
    canary::csv(who.map(canary::row))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let there = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &there);
        } else {
            std::fs::copy(entry.path(), there).unwrap();
        }
    }
}

/// Puts the backup back. The service is not running.
fn put_back(stage: &Stage) {
    std::fs::remove_dir_all(stage.path("data")).unwrap();
    copy(&stage.path("backup"), &stage.path("data"));
}

async fn stop(stage: &mut Stage) {
    assert_eq!(stage.stop().await.unwrap(), Some(0));
}

fn change_segment(stage: &Stage, who: Range<usize>) {
    std::fs::write(stage.path("segments").join(TENANT).join("people"), people(who)).unwrap();
}

async fn runs(stage: &Stage) -> pb::Run {
    let run = stage.run(&format!("tenants/{TENANT}/exports/weekly")).await;
    stage.ended(&run.name, SOON).await
}

/// Everybody is there, and the next run knows it.
async fn sends_everybody_once_more(stage: &Stage, count: i64) {
    let counts = runs(stage).await.counts.unwrap();
    assert_eq!((counts.unchanged, counts.confirmed), (0, count), "{counts:?}");
    let counts = runs(stage).await.counts.unwrap();
    assert_eq!((counts.unchanged, counts.confirmed), (count, 0), "{counts:?}");
}

#[tokio::test]
async fn a11_a_database_from_yesterdays_backup_is_refused_until_somebody_takes_it_up() {
    let mut stage = Stage::new().await;
    let mut witness = Witness::default();
    assert_eq!(stage.run_csv(&people(0..300)).await.state(), State::Succeeded);
    stop(&mut stage).await;
    let unsigned = "SELECT COUNT(*) FROM audit_chains WHERE number > leaf_number";
    assert_eq!(number_on_record(&stage, unsigned).await, 0, "a clean stop covers its last entries");
    witness.look(&stage).await;
    copy(&stage.path("data"), &stage.path("backup"));
    stage.start().await;
    change_segment(&stage, 0..600);
    assert_eq!(runs(&stage).await.counts.unwrap().confirmed, 300);
    stop(&mut stage).await;
    witness.look(&stage).await;
    let old = log_keys(&stage);
    put_back(&stage);
    let requests = |stage: &Stage| stage.sim.report().requests.values().sum::<u64>();
    let before = requests(&stage);
    for _ in 0..2 {
        let told = stage.start_refused().await;
        assert!(told.contains("does not know that one") && told.contains("acknowledge-restore"), "{told}");
    }
    assert_eq!(requests(&stage), before, "nothing is sent from it");
    let told = stage.command(&["audit", "acknowledge-restore"]);
    assert!(told.contains("a new log begins: ferry.audit/"), "{told}");
    stage.start().await;
    sends_everybody_once_more(&stage, 600).await;
    let restored = "SELECT COUNT(*) FROM audit_entries WHERE kind = 'DATABASE_RESTORED'";
    assert_eq!(number_on_record(&stage, restored).await, 2, "the operator's chain and acme's");
    let new = log_keys(&stage);
    assert_ne!(old[0].name(), new[0].name());
    covered(&stage).await;
    witness.look(&stage).await;
    witness.agrees(&stage).await;
    whole_chains(&stage).await;
    quiet(&mut stage).await;
}

/// The backup was made while a run was sending: what it has sent since is unknown, and is in no account as not sent.
#[tokio::test]
async fn a11_a_run_of_the_backup_ends_as_unknown_and_nobody_is_lost() {
    let mut stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    stage.segment("people", "csv", people(0..2_500).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    eventually(SOON, || async {
        let accepted = stage.sim.report().batches_accepted;
        if accepted >= 3 { Ok(()) } else { Err(accepted) }
    })
    .await;
    stage.kill();
    copy(&stage.path("data"), &stage.path("backup"));
    stage.start().await;
    assert_eq!(stage.ended(&run.name, SOON).await.state(), State::Succeeded);
    stop(&mut stage).await;
    put_back(&stage);
    let told = stage.start_refused().await;
    assert!(told.contains("acknowledge-restore"), "{told}");
    let told = stage.command(&["audit", "acknowledge-restore"]);
    assert!(told.contains("1 runs that had begun to send"), "{told}");
    stage.start().await;
    let run = stage.ended(&run.name, SOON).await;
    let counts = run.counts.unwrap();
    assert_eq!((run.state(), run.error.unwrap().reason.as_str()), (State::Cancelled, "OUTCOME_UNKNOWN"));
    assert!(adds_up(&counts) && counts.not_sent == 0 && counts.unknown > 0, "{counts:?}");
    sends_everybody_once_more(&stage, 2_500).await;
    whole_chains(&stage).await;
    quiet(&mut stage).await;
}

#[tokio::test]
async fn a11_nothing_is_acknowledged_that_was_not_restored() {
    let mut stage = Stage::new().await;
    covered(&stage).await;
    stop(&mut stage).await;
    let keys = stage.path("keys").display().to_string();
    let data = stage.path("data").display().to_string();
    let words = ["audit", "acknowledge-restore", "--data-dir", &data, "--keys-dir", &keys];
    let refused = std::process::Command::new(ferry_testkit::binary("ferry")).args(words).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("there is nothing to acknowledge"), "{told}");
}

#[tokio::test]
async fn a_lost_copy_is_written_again_and_said_loudly() {
    let mut stage = Stage::new().await;
    let mut witness = Witness::default();
    covered(&stage).await;
    witness.look(&stage).await;
    stop(&mut stage).await;
    let (before, _) = copied_notes(&stage);
    std::fs::remove_dir_all(stage.path("keys").join("checkpoints")).unwrap();
    stage.start().await;
    let log = std::fs::read_to_string(stage.log()).unwrap();
    assert!(log.contains("checkpoints that were copied are no longer there"));
    assert!(copied_notes(&stage).0.starts_with(&before));
    witness.look(&stage).await;
    witness.agrees(&stage).await;
}

#[tokio::test]
async fn a16_a_rotated_key_is_named_by_the_one_before_it() {
    let mut stage = Stage::new().await;
    let mut witness = Witness::default();
    covered(&stage).await;
    for generation in 2..=3 {
        witness.look(&stage).await;
        stop(&mut stage).await;
        let next = stage.command(&["audit", "rotate-key"]);
        assert_eq!(log_keys(&stage)[1].to_string(), next.trim(), "generation {generation}");
        stage.start().await;
        stage.create_connection(&format!("newsletter-{generation}")).await;
        covered(&stage).await;
    }
    witness.look(&stage).await;
    let signed_by = |generation: u32| {
        let stage = &stage;
        let count = format!("SELECT COUNT(*) FROM audit_checkpoints WHERE key_generation = {generation}");
        async move { number_on_record(stage, &count).await }
    };
    for generation in 1..=3 {
        assert!(signed_by(generation).await > 0, "generation {generation}");
    }
    witness.agrees(&stage).await;
    whole_chains(&stage).await;
}
