//! Crashes at places that are no line of code: on the wire, and while it drains.

use super::{Crash, EXTRA_PER_CRASH, EXTRA_PER_FAULT, SOON, wire::Wire};
use ferry_sim::{Endpoint, FaultKind, FaultRule};
use ferry_testkit::eventually;
use ferry_testkit::judge::{Open, open_attempts};

const SCALE: f64 = 100.0;

/// Waits until what is on record without an outcome is as wanted.
async fn open(crash: &Crash, wanted: impl Fn(Open) -> bool) {
    eventually(SOON, || async {
        let open = open_attempts(&crash.stage).await;
        if wanted(open) { Ok(()) } else { Err(open) }
    })
    .await;
}

/// Holds what the fault holds of the next import, and waits until it does.
async fn holds(crash: &Crash, kind: FaultKind) {
    let faults = crash.stage.sim.faults();
    faults.add(FaultRule::once(kind).on(Endpoint::Import));
    eventually(SOON, || async { if faults.rules().is_empty() { Ok(()) } else { Err("no import came") } }).await;
}

/// I4, in the act: the simulator has the request's head and has not even read its body.
#[tokio::test]
async fn an_intent_is_on_record_before_its_request_is_at_the_destination() {
    let mut crash = Crash::prepared(SCALE).await;
    let run = crash.ask().await.unwrap();
    holds(&crash, FaultKind::HoldBefore).await;
    let seen = open_attempts(&crash.stage).await;
    assert!(seen.undecided > 0, "the simulator holds a request that is not on record");
    crash.stage.sim.faults().release();
    assert_eq!(crash.judged("a request that was held", 0).await.extra, 0, "{}", run.name);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_until_its_repeat_settles_it() {
    let mut crash = Crash::prepared(SCALE).await;
    crash.stage.sim.faults().add(FaultRule::once(FaultKind::ResetAfterwards).on(Endpoint::Import));
    assert_eq!(crash.judged("an answer that was lost", EXTRA_PER_FAULT).await.extra, EXTRA_PER_FAULT);
}

#[tokio::test]
async fn k07_killed_when_connected_and_no_byte_written() {
    let mut crash = Crash::prepared(SCALE).await;
    let wire = Wire::to(crash.stage.sim.addr()).await;
    crash.stage.restart_through(wire.addr).await;
    // The connection of the questions before the plan is gone when the first import goes out.
    let gone = FaultRule::once(FaultKind::IdleReset { after_ms: 1 }).on(Endpoint::Other);
    crash.stage.sim.faults().add(gone);
    crash.ask().await.unwrap();
    eventually(SOON, || async {
        if crash.stage.sim.report().requests.contains_key("other") { Ok(()) } else { Err("nothing is asked") }
    })
    .await;
    wire.stop_after(0);
    wire.stopped().await;
    open(&crash, |open| open.undecided > 0).await;
    crash.kill().await;
    wire.renew();
    assert_eq!(crash.stage.sim.report().batches_accepted, 0);
    crash.stage.start().await;
    assert_eq!(crash.judged("a connection without a request", 0).await.extra, 0);
}

#[tokio::test]
async fn k08_killed_when_half_a_body_is_written() {
    let mut crash = Crash::prepared(SCALE).await;
    let wire = Wire::to(crash.stage.sim.addr()).await;
    crash.stage.restart_through(wire.addr).await;
    crash.ask().await.unwrap();
    crash.accepted(2).await;
    // A record of TLS has 16 KiB, a body of 250 people about 30.
    wire.stop_after(18_000);
    wire.stopped().await;
    open(&crash, |open| open.undecided > 0).await;
    crash.kill().await;
    wire.renew();
    crash.stage.start().await;
    crash.judged("half a body", EXTRA_PER_CRASH).await;
}

#[tokio::test]
async fn k09_killed_when_the_whole_request_is_written() {
    let mut crash = Crash::prepared(SCALE).await;
    crash.ask().await.unwrap();
    crash.accepted(2).await;
    holds(&crash, FaultKind::HoldAnswer).await;
    open(&crash, |open| open.decided > 0).await;
    crash.kill().await;
    crash.stage.sim.faults().release();
    crash.stage.start().await;
    let verdict = crash.judged("a request without its answer", EXTRA_PER_CRASH).await;
    assert!(verdict.extra >= 250, "the one that was accepted is sent again");
}

#[tokio::test]
async fn k10_killed_when_the_answer_is_in_the_kernels_buffer() {
    let mut crash = Crash::prepared(SCALE).await;
    let wire = Wire::to(crash.stage.sim.addr()).await;
    crash.stage.restart_through(wire.addr).await;
    crash.ask().await.unwrap();
    crash.accepted(2).await;
    holds(&crash, FaultKind::HoldAnswer).await;
    open(&crash, |open| open.decided > 0).await;
    crash.stage.service().signal("STOP");
    let before = wire.answered();
    crash.stage.sim.faults().release();
    eventually(SOON, || async { if wire.answered() > before { Ok(()) } else { Err("no answer came") } }).await;
    crash.kill().await;
    crash.stage.start().await;
    let verdict = crash.judged("an answer that nobody read", EXTRA_PER_CRASH).await;
    assert!(verdict.extra >= 250, "the one that was accepted is sent again");
}

#[tokio::test]
async fn k25_killed_while_it_drains() {
    let mut crash = Crash::prepared(SCALE).await;
    crash.ask().await.unwrap();
    crash.accepted(2).await;
    holds(&crash, FaultKind::HoldAnswer).await;
    crash.stage.service().signal("TERM");
    let log = crash.stage.log();
    let stopping = || std::fs::read_to_string(&log).unwrap().lines().any(|line| line.ends_with(" INFO stopping"));
    eventually(SOON, || async { if stopping() { Ok(()) } else { Err("it goes on") } }).await;
    crash.kill().await;
    crash.stage.sim.faults().release();
    crash.stage.start().await;
    crash.judged("a crash while it drains", EXTRA_PER_CRASH).await;
}
