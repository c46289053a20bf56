//! Crashes in a second run, which sends a difference and says of those who left that they did.

use super::{EXTRA_PER_CRASH, SOON, people};
use ferry_proto::v1 as pb;
use ferry_proto::v1::leave_policy::{Policy, SetField};
use ferry_proto::v1::run::State;
use ferry_sim::ContactView;
use ferry_testkit::judge::{Judge, quiet};
use ferry_testkit::{HOST, LIST, Stage, TENANT, canary};
use std::ops::Range;

/// Ten batches stay, ten come and ten leave.
const FIRST: Range<usize> = 0..5_000;
const SECOND: Range<usize> = 2_500..7_500;

fn mirrors(mut export: pb::Export) -> pb::Export {
    let policy = SetField { field: 1, member_value: "yes".to_owned(), left_value: "no".to_owned() };
    export.leave_policy = Some(pb::LeavePolicy { policy: Some(Policy::SetField(policy)) });
    export.removal_guard = Some(pb::RemovalGuard { max_percent: Some(100), max_number: Some(5_000) });
    export
}

async fn succeeds(stage: &Stage, run: &pb::Run) -> pb::RunCounts {
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Succeeded, "{:?}", ended.error);
    ended.counts.unwrap()
}

async fn crashes_at(point: &str) {
    let mut stage = Stage::new().await;
    stage.segment("people", "csv", people(FIRST).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", mirrors(stage.export("newsletter", "people"))).await.name;
    succeeds(&stage, &stage.run(&export).await).await;
    std::fs::write(stage.path("segments").join(TENANT).join("people"), people(SECOND)).unwrap();
    stage.kill();
    stage.start_to_die(point).await;
    let run = stage.run(&export).await;
    stage.died().await;
    stage.start().await;
    let counts = succeeds(&stage, &run).await;
    let verdict = Judge::of(&stage, &run.name, SECOND.map(canary::email)).allowing(EXTRA_PER_CRASH).verdict().await;
    verdict.holds(point);
    assert_eq!((counts.unchanged, counts.confirmed, counts.removals_confirmed), (2_500, 2_500, 2_500));
    let contacts = stage.sim.contacts(HOST, LIST);
    let says = |contact: &&ContactView, value: &str| contact.fields.get(&1).is_some_and(|is| is == value);
    let with = |value: &str| contacts.iter().filter(|contact| says(contact, value)).count();
    assert_eq!((with("yes"), with("no")), (5_000, 2_500));
    quiet(&mut stage).await;
    let third = succeeds(&stage, &stage.run(&export).await).await;
    assert_eq!((third.unchanged, third.confirmed, third.removals), (5_000, 0, 0), "the state outlived the crash");
}

#[tokio::test]
async fn k11_killed_in_a_difference_when_an_answer_is_read() {
    crashes_at("answer-read:12").await;
}

#[tokio::test]
async fn k18_killed_in_a_difference_when_the_next_state_is_written() {
    crashes_at("state-folded:1").await;
}
