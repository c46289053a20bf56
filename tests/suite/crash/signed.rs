//! Crashes around a checkpoint: whatever is cut off, the log goes on as one history.

use super::{Crash, EXTRA_PER_CRASH, SOON};
use ferry_proto::v1 as pb;
use ferry_testkit::judge::{Witness, copied_notes, covered, number_on_record, whole_chains};
use ferry_testkit::{Client, eventually};
use std::net::SocketAddr;
use tonic::Code;

/// What is in the database and not in the copy: the newest size of each.
async fn uncopied(crash: &Crash) -> bool {
    let signed = number_on_record(&crash.stage, "SELECT MAX(size) FROM audit_checkpoints").await;
    let copied = copied_notes(&crash.stage).0.last().map_or(0, |note| note.lines().nth(1).unwrap().parse().unwrap());
    signed > copied
}

/// A call that leaves nothing behind but an entry of its refusal.
async fn refused_call(addr: SocketAddr, token: String, name: String) -> Option<Code> {
    let mut viewer = Client::connect(addr, &token).await;
    let answer = viewer.exports.delete_export(pb::DeleteExportRequest { name, ..Default::default() }).await;
    answer.err().map(|status| status.code())
}

async fn goes_on(mut crash: Crash, mut witness: Witness, what: &str) {
    crash.stage.start().await;
    let (before, crashes) = (witness.count(), crash.crashes);
    // The run may be over and signed: a refused call is something new in any case.
    let refused = refused_call(crash.stage.addr(), crash.stage.token("viewer"), crash.export.clone()).await;
    assert_eq!(refused, Some(Code::PermissionDenied), "{what}");
    crash.judged(what, EXTRA_PER_CRASH * crashes).await;
    covered(&crash.stage).await;
    assert!(!uncopied(&crash).await, "{what}");
    assert_eq!(copied_notes(&crash.stage).1, 0, "{what}: nothing torn is left");
    witness.look(&crash.stage).await;
    assert!(witness.count() > before, "{what}: signed on");
    witness.agrees(&crash.stage).await;
    whole_chains(&crash.stage).await;
}

#[tokio::test]
async fn k19_killed_when_a_run_has_ended_and_no_checkpoint_covers_it() {
    let mut crash = Crash::prepared(100.0).await;
    let mut witness = Witness::default();
    crash.dies_at("run-ended:1", 1).await;
    witness.look(&crash.stage).await;
    let unsigned = "SELECT COUNT(*) FROM audit_chains WHERE number > leaf_number";
    assert!(number_on_record(&crash.stage, unsigned).await > 0, "the end is not covered");
    goes_on(crash, witness, "killed before the checkpoint of a run's end").await;
}

/// A run has begun, and checkpoints cover all that came before it.
async fn with_a_run() -> (Crash, Witness) {
    let (crash, mut witness) = (Crash::prepared(100.0).await, Witness::default());
    covered(&crash.stage).await;
    witness.look(&crash.stage).await;
    crash.ask().await.unwrap();
    (crash, witness)
}

/// Lets the service die as it signs. On a slow machine the run may be over and signed by then: so there is something else
/// to be signed, a refused call, which the service may die of.
async fn dies_signing(crash: &mut Crash, point: &str) {
    if crash.crashes == 0 {
        crash.stage.kill();
    }
    crash.stage.start_to_die(point).await;
    let refused = refused_call(crash.stage.addr(), crash.stage.token("viewer"), crash.export.clone());
    let refused = tokio::spawn(refused);
    crash.stage.died().await;
    refused.abort();
    crash.crashed().await;
}

#[tokio::test]
async fn k19_killed_three_times_as_a_checkpoint_is_begun() {
    let (mut crash, mut witness) = with_a_run().await;
    for _ in 0..3 {
        dies_signing(&mut crash, "checkpoint-begun:1").await;
        witness.look(&crash.stage).await;
    }
    goes_on(crash, witness, "killed as a checkpoint is begun").await;
}

#[tokio::test]
async fn k20_killed_when_a_checkpoint_is_committed_and_not_copied() {
    let (mut crash, mut witness) = with_a_run().await;
    for _ in 0..2 {
        dies_signing(&mut crash, "checkpoint-committed:1").await;
        witness.look(&crash.stage).await;
        assert!(uncopied(&crash).await, "it died too late");
    }
    goes_on(crash, witness, "killed before a checkpoint is copied").await;
}

#[tokio::test]
async fn k20_killed_with_half_of_a_checkpoint_in_the_copy() {
    let (mut crash, mut witness) = with_a_run().await;
    let before = copied_notes(&crash.stage).0;
    for _ in 0..3 {
        dies_signing(&mut crash, "checkpoint-half-copied:1").await;
        witness.look(&crash.stage).await;
        let (notes, torn) = copied_notes(&crash.stage);
        assert!(torn > 0, "it died elsewhere");
        assert!(notes.starts_with(&before), "what was copied stays");
    }
    goes_on(crash, witness, "killed with half of a checkpoint in the copy").await;
}

/// What cannot be copied is not signed further, and that heals by itself.
#[tokio::test]
async fn the_log_waits_while_its_copy_cannot_be_written() {
    let crash = Crash::prepared(100.0).await;
    let mut witness = Witness::default();
    covered(&crash.stage).await;
    let folder = crash.stage.path("keys").join("checkpoints");
    let away = crash.stage.path("keys").join("away");
    std::fs::rename(&folder, &away).unwrap();
    let signed = "SELECT COUNT(*) FROM audit_checkpoints";
    let before = number_on_record(&crash.stage, signed).await;
    let run = crash.ask().await.unwrap();
    crash.stage.ended(&run.name, SOON).await;
    eventually(SOON, || async {
        let log = std::fs::read_to_string(crash.stage.log()).unwrap();
        if log.contains("the audit log cannot be signed") { Ok(()) } else { Err("it says nothing") }
    })
    .await;
    assert!(number_on_record(&crash.stage, signed).await <= before + 1, "at most the one that is not copied");
    std::fs::rename(&away, &folder).unwrap();
    covered(&crash.stage).await;
    witness.look(&crash.stage).await;
    witness.agrees(&crash.stage).await;
}
