//! Runs that are held for an approval, or paused.

use super::*;
use ferry_domain::authz::action::{
    ApproveRun, DeleteConnection, DeleteExport, DeleteTenant, PlanExport, RevokePrincipal, UpdateConnection,
    VerifyConnection,
};
use ferry_domain::authz::target::{HeldRun, OperatedTenant};
use ferry_domain::{Culprit, PauseReason, RunError, Severity, TenantName, limits};

fn acme() -> TenantName {
    TenantName { tenant: TenantId::parse("acme").unwrap() }
}

/// Another administrator.
fn bob() -> Actor {
    let standing = Standing { tenants: [(acme().tenant, None)].into() };
    Actor::admit(token("bob", Some(Role::Administrator), 1), &standing)
}

/// A run that a guard holds since the tenth millisecond.
async fn held(store: &Store) -> Run {
    queue(store, "run-1", write(2)).await.unwrap();
    let claimed = store.run_claim("worker", at(9)).await.unwrap().unwrap();
    let adopted = store.plan_adopt(&claimed.lease, adoption(&["many would go"]), at(10)).await.unwrap().unwrap();
    assert_eq!(adopted.state, RunState::AwaitingApproval);
    assert!(matches!(store.intent_record(&claimed.lease, intent("a-0", 0), at(11)).await, Err(IntentRefused::Fenced)));
    assert!(store.run_claim("worker", at(11)).await.unwrap().is_none(), "nobody carries it meanwhile");
    adopted
}

async fn approve(store: &Store, by: &Actor, seen: Option<i64>, millis: i64) -> ferry_domain::Result<Run> {
    let target = HeldRun { name: run_name("run-1"), started_by: "ada".to_owned() };
    store.run_approve(permit::<ApproveRun>(by, target).unwrap(), seen, write(millis)).await
}

async fn cancel(store: &Store, millis: i64) -> Run {
    let target = RunTarget { name: run_name("run-1"), access: ACCESS };
    store.run_cancel(permit::<CancelRun>(&administrator(), target).unwrap(), write(millis)).await.unwrap()
}

fn refused(reason: Reason) -> RunError {
    let message = "the destination refused it".to_owned();
    RunError { reason, message, severity: Severity::Permanent, culprit: Culprit::User }
}

async fn pause(store: &Store, lease: &Lease, reason: PauseReason, resume: Option<i64>, millis: i64) -> Run {
    let of = match reason {
        PauseReason::Credentials => Reason::CredentialsRefused,
        PauseReason::Account => Reason::AccountLapsed,
        PauseReason::RetryAfter => Reason::DestinationRateLimited,
    };
    let pause = Pause { reason, resume_time: resume.map(at), error: refused(of) };
    store.run_pause(lease, pause, at(millis)).await.unwrap()
}

async fn new_key(store: &Store, version: u32, millis: i64) {
    let name = ConnectionName::parse("tenants/acme/connections/news").unwrap();
    let change = ConnectionChange {
        seen_version: seen_version(store).await,
        secret: Some(NewSecret { version, secret: StoredSecret::Sealed(vec![2]) }),
        state: Some(ConnectionState::Unverified),
        ..ConnectionChange::default()
    };
    let updating = permit::<UpdateConnection>(&administrator(), name).unwrap();
    store.connection_update(updating, change, write(millis)).await.unwrap();
}

async fn verified(store: &Store, verdict: Verdict, version: u32, millis: i64) {
    let name = ConnectionName::parse("tenants/acme/connections/news").unwrap();
    let verifying = permit::<VerifyConnection>(&administrator(), name).unwrap();
    store.connection_verified(verifying, (verdict, version), write(millis)).await.unwrap();
}

#[tokio::test]
async fn a_held_run_goes_on_once_another_administrator_approves() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let seen = held(&store).await;
    assert_eq!(seen.approval.unwrap().reasons, ["many would go"]);
    assert!(queue(&store, "run-2", write(11)).await.is_err(), "it is going on");
    let of_another = HeldRun { name: run_name("run-1"), started_by: "eve".to_owned() };
    let granted = permit::<ApproveRun>(&administrator(), of_another).unwrap();
    assert!(matches!(store.run_approve(granted, None, write(12)).await, Err(Error::Aborted { .. })));
    assert!(matches!(approve(&store, &bob(), Some(seen.version - 1), 12).await, Err(Error::Aborted { .. })));
    let approved = approve(&store, &bob(), Some(seen.version), 60).await.unwrap();
    assert_eq!((approved.state, approved.estimated_end_time), (RunState::Processing, Some(at(99 + 50))));
    let approval = approved.approval.unwrap();
    assert_eq!((approval.approved_by.as_deref(), approval.approve_time), (Some("bob"), Some(at(60))));
    let twice = approve(&store, &bob(), None, 61).await.unwrap_err();
    assert!(matches!(twice, Error::FailedPrecondition { reason: Reason::RunNotHeld, .. }), "{twice}");
    let claimed = store.run_claim("worker", at(62)).await.unwrap().unwrap();
    assert_eq!(claimed.plan, Some(plan(10)));
    store.intent_record(&claimed.lease, intent("a-1", 0), at(63)).await.unwrap();
}

#[tokio::test]
async fn a_run_that_nobody_approves_within_a_day_ends_and_cannot_be_approved_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    held(&store).await;
    let day = i64::try_from(limits::APPROVAL_WAITS.as_millis()).unwrap();
    assert!(store.run_claim("worker", at(9 + day)).await.unwrap().is_none());
    assert_eq!(run(&store, "run-1").await.state, RunState::AwaitingApproval);
    let late = approve(&store, &bob(), None, 10 + day).await.unwrap_err();
    assert!(matches!(late, Error::FailedPrecondition { reason: Reason::PlanExpired, .. }), "{late}");
    assert!(store.run_claim("worker", at(10 + day)).await.unwrap().is_none());
    let ended = run(&store, "run-1").await;
    assert_eq!((ended.state, ended.end_time), (RunState::Failed, Some(at(10 + day))));
    assert_eq!(ended.error.unwrap().reason, Reason::PlanExpired);
    assert!(ended.counts.add_up() && ended.counts.not_sent == 10, "{:?}", ended.counts);
    assert!(approve(&store, &bob(), None, 11 + day).await.is_err());
    assert!(store.run_claim("worker", at(12 + day)).await.unwrap().is_none());
    assert!(queue(&store, "run-2", write(12 + day)).await.is_ok(), "the export is free again");
}

#[tokio::test]
async fn a_held_run_ends_at_once_when_it_is_cancelled_or_its_right_is_lost() {
    for lose in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = stage(folder.path()).await;
        held(&store).await;
        if lose {
            let revoking = permit::<RevokePrincipal>(&administrator(), acme()).unwrap();
            store.principal_revoke(revoking, "ada".to_owned(), write(20)).await.unwrap();
        } else {
            cancel(&store, 20).await;
        }
        let ended = run(&store, "run-1").await;
        assert_eq!((ended.state, ended.end_time), (RunState::Cancelled, Some(at(20))));
        assert_eq!(ended.error.map(|error| error.reason), lose.then_some(Reason::RoleTooLow));
        assert!(store.run_claim("worker", at(21)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_run_of_a_removed_tenant_neither_expires_nor_resumes() {
    for held_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = stage(folder.path()).await;
        if held_first {
            held(&store).await;
        } else {
            queue(&store, "run-1", write(2)).await.unwrap();
            let lease = claimed(&store).await.lease;
            pause(&store, &lease, PauseReason::Credentials, None, 20).await;
        }
        let deleting = permit::<DeleteTenant>(&administrator(), OperatedTenant(acme())).unwrap();
        store.tenant_delete(deleting, None, write(30)).await.unwrap();
        verified(&store, Verdict::Taken, 1, 31).await;
        store.leases_reset(at(32)).await.unwrap();
        let day = i64::try_from(limits::APPROVAL_WAITS.as_millis()).unwrap();
        assert!(store.run_claim("worker", at(33 + day)).await.unwrap().is_none());
        assert!(!run(&store, "run-1").await.state.is_terminal());
    }
}

#[tokio::test]
async fn a_paused_run_goes_on_with_a_new_key_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    store.intent_record(&lease, intent("a-1", 0), at(11)).await.unwrap();
    let paused = pause(&store, &lease, PauseReason::Credentials, None, 20).await;
    assert_eq!((paused.state, paused.pause_reason), (RunState::Paused, Some(PauseReason::Credentials)));
    assert_eq!(paused.error.unwrap().reason, Reason::CredentialsRefused);
    assert_eq!(connection(&store).await.attention, Some(Reason::CredentialsRefused));
    let refused = store.intent_record(&lease, intent("a-2", 0), at(21)).await.unwrap_err();
    assert!(matches!(refused, IntentRefused::Fenced), "{refused}");
    store.leases_reset(at(22)).await.unwrap();
    assert!(store.run_claim("worker", at(1_000_000)).await.unwrap().is_none(), "time alone mends no key");
    verified(&store, Verdict::Refused(Reason::CredentialsRefused), 1, 23).await;
    assert!(store.run_claim("worker", at(24)).await.unwrap().is_none());
    new_key(&store, 2, 25).await;
    let resumed = run(&store, "run-1").await;
    assert_eq!((resumed.state, resumed.pause_reason, resumed.error), (RunState::Processing, None, None));
    let claimed = store.run_claim("worker", at(26)).await.unwrap().unwrap();
    assert_eq!((claimed.plan, claimed.secret), (Some(plan(10)), StoredSecret::Sealed(vec![2])));
    assert_eq!(store.batches(&claimed.lease).await.unwrap().len(), 1, "it goes on where it stopped");
}

#[tokio::test]
async fn a_run_paused_for_the_account_goes_on_once_the_destination_takes_the_key_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    pause(&store, &lease, PauseReason::Account, None, 20).await;
    verified(&store, Verdict::Nothing, 1, 21).await;
    assert!(store.run_claim("worker", at(22)).await.unwrap().is_none());
    verified(&store, Verdict::Taken, 1, 23).await;
    assert!(store.run_claim("worker", at(24)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_run_that_met_an_older_key_does_not_wait_for_somebody_who_was_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    new_key(&store, 2, 15).await;
    let given_up = pause(&store, &lease, PauseReason::Credentials, None, 20).await;
    assert_eq!(given_up.state, RunState::Processing);
    assert_eq!(connection(&store).await.attention, None);
    let claimed = store.run_claim("worker", at(21)).await.unwrap().unwrap();
    assert_eq!(claimed.secret, StoredSecret::Sealed(vec![2]));
}

#[tokio::test]
async fn a_wait_that_the_destination_asked_for_ends_by_itself_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let endless = Pause { reason: PauseReason::RetryAfter, resume_time: None, error: refused(Reason::AccountLapsed) };
    assert!(store.run_pause(&lease, endless, at(20)).await.is_err());
    pause(&store, &lease, PauseReason::RetryAfter, Some(500), 20).await;
    assert_eq!(connection(&store).await.attention, None, "nobody has to act");
    new_key(&store, 2, 21).await;
    assert!(store.run_claim("worker", at(499)).await.unwrap().is_none());
    let claimed = store.run_claim("worker", at(500)).await.unwrap().unwrap();
    assert_eq!((claimed.run.state, claimed.run.pause_reason), (RunState::Processing, None));
}

#[tokio::test]
async fn a_paused_run_that_is_cancelled_ends_at_once_unless_something_was_sent() {
    for sent in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = stage(folder.path()).await;
        queue(&store, "run-1", write(2)).await.unwrap();
        let lease = claimed(&store).await.lease;
        if sent {
            store.intent_record(&lease, intent("a-1", 0), at(11)).await.unwrap();
        }
        pause(&store, &lease, PauseReason::Credentials, None, 20).await;
        let cancelled = cancel(&store, 21).await;
        assert_eq!((cancelled.error, cancelled.pause_reason), (None, None), "a person asked for it");
        let claimed = store.run_claim("worker", at(22)).await.unwrap();
        if sent {
            assert_eq!(cancelled.state, RunState::Cancelling);
            assert_eq!(claimed.unwrap().run.state, RunState::Cancelling);
        } else {
            assert_eq!((cancelled.state, cancelled.end_time), (RunState::Cancelled, Some(at(21))));
            assert!(claimed.is_none() && cancelled.counts.add_up());
        }
    }
}

#[tokio::test]
async fn a_run_that_was_asked_to_stop_is_neither_paused_nor_held() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let first = store.run_claim("worker", at(9)).await.unwrap().unwrap().lease;
    cancel(&store, 10).await;
    let adopted = store.plan_adopt(&first, adoption(&["many would go"]), at(11)).await.unwrap().unwrap();
    assert_eq!((adopted.state, adopted.approval), (RunState::Cancelling, None));
    let paused = pause(&store, &first, PauseReason::Credentials, None, 12).await;
    assert_eq!(paused.state, RunState::Cancelling);
    assert!(store.run_claim("worker", at(13)).await.unwrap().is_some(), "it is settled by its next owner");
}

#[tokio::test]
async fn a_paused_dry_run_does_not_wait_for_a_connection_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let target = || ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let new = NewRun { id: run_name("run-1").run, trigger: Trigger::OnDemand, full_resync: false, plan_of: None };
    store.run_create_plan(permit::<PlanExport>(&administrator(), target()).unwrap(), new, write(2)).await.unwrap();
    let lease = store.run_claim("worker", at(3)).await.unwrap().unwrap().lease;
    pause(&store, &lease, PauseReason::Credentials, None, 4).await;
    let deleting = permit::<DeleteExport>(&administrator(), target()).unwrap();
    store.export_delete(deleting, None, write(5)).await.unwrap();
    let name = ConnectionName::parse("tenants/acme/connections/news").unwrap();
    let deleting = permit::<DeleteConnection>(&administrator(), name).unwrap();
    let new_run = || unreachable!("nothing is retracted");
    let asked = RemovalAsked { seen_version: None, force: false, retract: false, new_run };
    let removed = store.connection_delete(deleting, asked, write(6)).await.unwrap();
    assert!(matches!(removed, Removal::Tombstoned(_)));
    let ended = run(&store, "run-1").await;
    assert_eq!((ended.state, ended.end_time), (RunState::Cancelled, Some(at(6))));
    assert_eq!(ended.error.unwrap().reason, Reason::ConnectionRemoved);
}

#[tokio::test]
async fn what_a_run_waits_is_added_up_and_not_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    held(&store).await;
    let seen = run(&store, "run-1").await;
    assert_eq!((seen.waited.as_millis(), seen.start_time), (0, Some(at(9))), "it is told once it is over");
    approve(&store, &bob(), None, 60).await.unwrap();
    let lease = store.run_claim("worker", at(70)).await.unwrap().unwrap().lease;
    pause(&store, &lease, PauseReason::RetryAfter, Some(500), 100).await;
    let lease = store.run_claim("worker", at(520)).await.unwrap().unwrap().lease;
    let after_both = run(&store, "run-1").await;
    assert_eq!((after_both.waited.as_millis(), after_both.start_time), (50 + 420, Some(at(9))));
    assert_eq!(after_both.estimated_end_time, Some(at(99 + 50 + 420)), "it is as much later");
    pause(&store, &lease, PauseReason::Credentials, None, 600).await;
    store.leases_reset(at(610)).await.unwrap();
    new_key(&store, 2, 630).await;
    let claimed = store.run_claim("worker", at(900)).await.unwrap().unwrap();
    assert_eq!(claimed.run.waited.as_millis(), 50 + 420 + 30, "until the key was there, not until it was claimed");
    pause(&store, &claimed.lease, PauseReason::Account, None, 1_000).await;
    let cancelled = cancel(&store, 1_001).await;
    assert_eq!((cancelled.waited.as_millis(), cancelled.pause_reason), (501, None));
}

#[tokio::test]
async fn a_waiting_run_says_until_when_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    held(&store).await;
    let expires = async || run(&store, "run-1").await.approval.unwrap().expire_time;
    assert_eq!(expires().await, Some(at(10).plus(limits::APPROVAL_WAITS)));
    approve(&store, &bob(), None, 60).await.unwrap();
    assert_eq!(expires().await, None);
    let lease = store.run_claim("worker", at(70)).await.unwrap().unwrap().lease;
    assert_eq!(run(&store, "run-1").await.resume_time, None);
    let paused = pause(&store, &lease, PauseReason::RetryAfter, Some(500), 100).await;
    assert_eq!((paused.resume_time, paused.approval.unwrap().expire_time), (Some(at(500)), None));
    let claimed = store.run_claim("worker", at(500)).await.unwrap().unwrap();
    assert_eq!(claimed.run.resume_time, None);
    let cancelled = cancel(&store, 501).await;
    assert_eq!(cancelled.approval.unwrap().expire_time, None);
}

#[tokio::test]
async fn no_run_gets_into_a_state_that_may_not_follow() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let row = crate::run::load(&store.readers, &run_name("run-1")).await.unwrap();
    for from in RunState::ALL {
        for to in RunState::ALL.into_iter().filter(|to| *to != from) {
            let found = crate::entity::run::Model { state: from.as_str().to_owned(), ..row.clone() };
            let done = store.writer.run(move |transaction| {
                Box::pin(async move {
                    let mut changed = sea_orm::IntoActiveModel::into_active_model(found.clone());
                    crate::run::change_state(&mut changed, to);
                    changed.end_time = sea_orm::ActiveValue::Set(to.is_terminal().then_some(3));
                    crate::run_change::update(transaction, &found, changed, at(3)).await.map(|_| ())
                })
            });
            assert_eq!(done.await.is_ok(), from.may_become(to), "{from:?} to {to:?}");
        }
    }
}
