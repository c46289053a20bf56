//! What concerns the whole account: its key, its bill, its plan.

use super::play::{accepted, help, rested, start};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, ForbiddenShape, When, read_history};
use ferry_testkit::canary::people;
use ferry_testkit::judge::Judge;
use ferry_testkit::{Stage, StageOptions, TENANT, canary, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const PEOPLE: usize = 5_000;

fn forbidden() -> FaultRule {
    FaultRule::once(FaultKind::Forbidden { shape: ForbiddenShape::Empty })
}

async fn attention(stage: &Stage) -> String {
    let mut client = stage.client("administrator").await;
    let get = pb::GetConnectionRequest { name: format!("tenants/{TENANT}/connections/newsletter") };
    client.connections.get_connection(get).await.unwrap().into_inner().connection.unwrap().state_reason
}

/// Once it is mended, the run goes on where it stopped: everybody is confirmed. How many were delivered twice?
async fn helped(stage: &Stage, run: pb::Run, what: &str) -> u64 {
    let run = help(stage, run).await;
    let verdict = Judge::of(stage, &run.name, (0..PEOPLE).map(canary::email)).verdict().await;
    verdict.holds(what);
    assert_eq!((run.state(), verdict.counts.confirmed), (State::Succeeded, PEOPLE as i64), "{what}: {:?}", run.error);
    assert_eq!(attention(stage).await, "");
    verdict.extra
}

/// A run that meets a fault from then on, when some batches were taken and wait for their result.
async fn struck_on_the_way(rule: FaultRule) -> (Stage, pb::Run) {
    let stage = Stage::with(StageOptions { time_scale: 5.0 }).await;
    let run = start(&stage, &people(PEOPLE)).await;
    accepted(&stage, 8).await;
    stage.sim.faults().add(rule);
    let run = rested(&stage, &run).await;
    (stage, run)
}

/// Requests that came after the first such answer had left.
fn further(stage: &Stage, status: u16) -> usize {
    let history = read_history(&stage.journal()).unwrap();
    let first = history.requests.iter().find(|request| request.status == status).unwrap();
    // That it left is noted with the next request, if there is one.
    let first = first.answered_ms.unwrap_or(u64::MAX);
    history.requests.iter().filter(|request| request.at_ms > first).count()
}

/// F37.
#[tokio::test]
async fn a_revoked_key_costs_at_most_three_requests_after_the_first_refusal() {
    let (stage, run) = struck_on_the_way(forbidden().when(When::Always)).await;
    assert!(super::has_stopped(&run, "CREDENTIALS_REFUSED", "CULPRIT_USER"), "{:?} {:?}", run.state(), run.error);
    let further = further(&stage, 403);
    assert!((2..=3).contains(&further), "{further} requests after the first 403");
    assert_eq!(attention(&stage).await, "CREDENTIALS_REFUSED");
    assert_eq!(helped(&stage, run, "a revoked key").await, 0);
}

/// F38. The results come late, so that the refusal meets a batch that was looked at several times.
#[tokio::test]
async fn one_spurious_403_stops_nothing_whatever_it_strikes() {
    for (endpoint, questions) in [(Endpoint::Import, 0), (Endpoint::Status, 0), (Endpoint::Status, 30)] {
        let stage = Stage::with_sim(StageOptions { time_scale: 20.0 }, |config| {
            config.options.batch_latency_s = 60.0;
        })
        .await;
        let run = start(&stage, &people(PEOPLE)).await;
        eventually(SOON, || async {
            let asked = stage.sim.report().requests.get("status").copied().unwrap_or_default();
            if asked >= questions { Ok(()) } else { Err(asked) }
        })
        .await;
        stage.sim.faults().add(forbidden().on(endpoint));
        let seen = eventually(SOON, || async {
            let seen = stage.get_run(&run.name).await;
            assert_ne!(seen.state(), State::Paused);
            if seen.end_time.is_some() { Ok(seen) } else { Err(seen) }
        })
        .await;
        assert_eq!(seen.state(), State::Succeeded, "{endpoint:?} {questions}: {:?}", seen.error);
        assert_eq!(stage.sim.faults().struck(), 1);
        assert_eq!(attention(&stage).await, "");
        assert_eq!(helped(&stage, seen, "a spurious 403").await, 0);
    }
}

/// F39.
#[tokio::test]
async fn a_lapsed_account_stops_the_run_at_once_and_says_whose_bill_it_is() {
    let (stage, run) = struck_on_the_way(FaultRule::once(FaultKind::PaymentRequired).when(When::Always)).await;
    assert!(super::has_stopped(&run, "ACCOUNT_LAPSED", "CULPRIT_USER"), "{:?} {:?}", run.state(), run.error);
    assert!(further(&stage, 402) <= 3, "{} requests after the first 402", further(&stage, 402));
    assert_eq!(attention(&stage).await, "ACCOUNT_LAPSED");
    assert_eq!(helped(&stage, run, "a lapsed account").await, 0);
}

/// F40, told for the whole import.
#[tokio::test]
async fn e19_a_plan_that_is_used_up_sets_the_run_aside_once_what_went_is_settled() {
    let (stage, run) = struck_on_the_way(FaultRule::once(FaultKind::PlanLimit).when(When::Always)).await;
    assert!(super::has_stopped(&run, "ACCOUNT_FULL", "CULPRIT_USER"), "{:?} {:?}", run.state(), run.error);
    let counts = run.counts.unwrap();
    assert!(counts.queued == 0 && counts.confirmed >= 8 * 250 && counts.not_sent > 0, "{counts:?}");
    assert_eq!(attention(&stage).await, "ACCOUNT_FULL");
    assert_eq!(helped(&stage, run, "a full account").await, 0);
}

/// F40, told for each contact, without a reason.
#[tokio::test]
async fn e19_contacts_beyond_the_plan_are_refused_and_no_reason_is_made_up() {
    let stage = Stage::with_sim(StageOptions { time_scale: 100.0 }, |config| {
        config.accounts[0].contact_limit = 300;
    })
    .await;
    let run = start(&stage, &people(500)).await;
    let run = stage.ended(&run.name, SOON).await;
    let verdict = Judge::of(&stage, &run.name, (0..500).map(canary::email)).verdict().await;
    verdict.holds("contacts beyond the plan");
    let full = i64::try_from(stage.sim.report().contacts_confirmed).unwrap();
    assert_eq!((run.state(), verdict.counts.confirmed, verdict.counts.refused), (State::Succeeded, full, 500 - full));
    assert!((1..=300).contains(&full), "{full}");
    let mut client = stage.client("administrator").await;
    let request = pb::ListRejectedProfilesRequest { name: run.name.clone(), page_size: 1_000, ..Default::default() };
    let rows = client.runs.list_rejected_profiles(request).await.unwrap().into_inner().rejected_profiles;
    assert!(rows.iter().all(|row| row.reason == "DESTINATION_REASON_NOT_GIVEN"));
}
