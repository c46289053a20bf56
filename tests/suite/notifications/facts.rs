//! What is told, and how often.

use super::{SOON, acme, fails, stage_at, told};
use crate::guards::held;
use ferry_proto::v1 as pb;
use ferry_proto::v1::notification::Kind;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, ForbiddenShape, RetryAfter, When};
use ferry_testkit::canary::people;
use ferry_testkit::{Stage, eventually};

async fn start_refresh(stage: &Stage, segment: &str, cause: &str) -> pb::Run {
    let segment = format!("{}/segments/{segment}", acme());
    let request = pb::StartRefreshRequest {
        parent: acme(),
        failed_segments: vec![pb::FailedSegment { segment, cause: cause.to_owned() }],
        ..Default::default()
    };
    let mut client = stage.client("administrator").await;
    client.refresh.start_refresh(request).await.unwrap().into_inner().runs.remove(0)
}

fn kinds(told: &[pb::Notification]) -> Vec<(Kind, String)> {
    told.iter().map(|found| (found.kind(), found.subject.clone())).collect()
}

#[tokio::test]
async fn n1_a_permanent_failure_a_time_out_and_a_skip_by_upstream_make_one_notification_each() {
    let (stage, _receiver, export) = stage_at(500.0).await;
    stage.sim.faults().add(FaultRule::once(FaultKind::BatchStuck));
    let late = stage.run(&export.name).await;
    assert_eq!(stage.ended(&late.name, SOON).await.state(), State::TimedOut);
    let skipped = start_refresh(&stage, "people", "the upstream job is down").await;
    assert_eq!(stage.ended(&skipped.name, SOON).await.state(), State::Skipped);
    let failed = fails(&stage, &export).await;
    let found = told(&stage).await;
    let expected = [(Kind::RunFailed, failed.name), (Kind::RunSkipped, skipped.name), (Kind::RunTimedOut, late.name)];
    assert_eq!(kinds(&found), expected, "the newest first");
    let reasons: Vec<&str> = found.iter().map(|found| found.reason.as_str()).collect();
    assert_eq!(reasons, ["COLUMN_NOT_FOUND", "SEGMENT_FAILED", "TIMED_OUT"]);
    assert!(found[1].message.contains("the upstream job is down"), "{}", found[1].message);
    for found in &found {
        assert!(found.name.starts_with(&format!("{}/notifications/", acme())) && found.create_time.is_some());
    }
    let mut client = stage.client("viewer").await;
    let (mut paged, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListNotificationsRequest { parent: acme(), page_size: 2, page_token };
        let page = client.notifications.list_notifications(request).await.unwrap().into_inner();
        paged.extend(page.notifications);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, found);
}

#[tokio::test]
async fn r9_a_429_or_a_5xx_that_heals_is_not_told_and_one_that_does_not_is_told_once() {
    let (stage, _receiver, export) = stage_at(1_000.0).await;
    let limited = FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(30) };
    for (number, kind) in [limited, FaultKind::ServerError, FaultKind::BadGateway].into_iter().enumerate() {
        let file = stage.path("segments").join(ferry_testkit::TENANT).join("people");
        std::fs::write(file, people(10 + number)).unwrap();
        stage.sim.faults().add(FaultRule::once(kind).on(Endpoint::Import));
        let run = stage.run(&export.name).await;
        let ended = stage.ended(&run.name, SOON).await;
        assert_eq!(ended.state(), State::Succeeded, "{:?}", ended.error);
    }
    assert_eq!(stage.sim.faults().struck(), 3);
    assert_eq!(told(&stage).await, []);
    stage.sim.faults().clear();
    stage.sim.faults().add(FaultRule::once(FaultKind::ServerError).when(When::Always));
    std::fs::write(stage.path("segments").join(ferry_testkit::TENANT).join("people"), people(20)).unwrap();
    let run = stage.run(&export.name).await;
    let ended = stage.ended(&run.name, SOON).await;
    assert!([State::Failed, State::TimedOut].contains(&ended.state()), "{ended:?}");
    let found = told(&stage).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].subject.as_str(), &found[0].reason), (run.name.as_str(), &ended.error.unwrap().reason));
}

#[tokio::test]
async fn a_connection_that_needs_attention_is_told_once_however_many_runs_notice_and_again_once_mended() {
    let (stage, _receiver, export) = stage_at(100.0).await;
    let second = stage.create_export("daily", stage.export("newsletter", "people")).await;
    let connection = export.connection.clone();
    for time in 1..=2 {
        let refused = FaultRule::once(FaultKind::Forbidden { shape: ForbiddenShape::Empty }).on(Endpoint::Import);
        stage.sim.faults().add(refused.when(When::Always));
        std::fs::write(stage.path("segments").join(ferry_testkit::TENANT).join("people"), people(5 * time)).unwrap();
        let runs = [stage.run(&export.name).await, stage.run(&second.name).await];
        for run in &runs {
            eventually(SOON, || async {
                let run = stage.get_run(&run.name).await;
                if run.state() == State::Paused { Ok(()) } else { Err(run) }
            })
            .await;
        }
        let found = told(&stage).await;
        let expected = vec![(Kind::ConnectionNeedsAttention, connection.clone()); time];
        assert_eq!(kinds(&found), expected, "a pause is no failure");
        assert_eq!(found[0].reason, "CREDENTIALS_REFUSED");
        stage.sim.faults().clear();
        let mut client = stage.client("administrator").await;
        let verify = pb::VerifyConnectionRequest { name: connection.clone() };
        assert_eq!(client.connections.verify_connection(verify).await.unwrap().into_inner().outcome, "OK");
        for run in &runs {
            assert_eq!(stage.ended(&run.name, SOON).await.state(), State::Succeeded);
        }
    }
}

#[tokio::test]
async fn a_lost_export_user_is_told() {
    let (stage, _receiver, export) = stage_at(100.0).await;
    let mut another = held::another_administrator(&stage).await;
    let request =
        pb::RevokePrincipalRequest { name: acme(), subject: "administrator".to_owned(), ..Default::default() };
    another.tenants.revoke_principal(request).await.unwrap();
    let found = told(&stage).await;
    assert_eq!(kinds(&found), [(Kind::ConnectionNeedsAttention, export.connection)]);
    assert_eq!(found[0].reason, "EXPORT_USER_LOST");
}

#[tokio::test]
async fn a_guard_that_holds_a_run_is_told_once() {
    let (stage, run) = held::held().await;
    let found = told(&stage).await;
    assert_eq!(kinds(&found), [(Kind::RunAwaitingApproval, run.name)]);
    assert!(found[0].reason.is_empty() && found[0].message.contains("ApproveRun"), "{found:?}");
}
