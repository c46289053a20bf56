//! A fact is told once, in the transaction that makes it, to whoever wants it; and what is to be sent is sent by one.

use super::schedules::second_process;
use super::*;
use crate::{delivery as deliveries, notification as notifications};
use ferry_domain::authz::action::{CreateWebhook, DeleteWebhook, ListNotifications, UpdateWebhook, VerifyConnection};
use ferry_domain::{
    Culprit, Notification, NotificationKind, RunError, Severity, TenantName, ToTell, WebhookName, limits,
};
use std::collections::BTreeSet;

const LEASE: i64 = 30_000;

fn acme() -> TenantName {
    TenantName { tenant: TenantId::parse("acme").unwrap() }
}

fn hook(id: &str) -> WebhookName {
    WebhookName::parse(&format!("tenants/acme/webhooks/{id}")).unwrap()
}

async fn make_webhook(store: &Store, id: &str, kinds: &[NotificationKind], disabled: bool) {
    make_webhook_of(store, id, (format!("uid-of-{id}"), kinds, disabled)).await;
}

async fn make_webhook_of(store: &Store, id: &str, (uid, kinds, disabled): (String, &[NotificationKind], bool)) {
    let new = NewWebhook {
        uid,
        display_name: id.to_owned(),
        url: "https://hooks.example.com/".to_owned(),
        kinds: kinds.to_vec(),
        disabled,
        sealed_secret: vec![1],
    };
    let permit = permit::<CreateWebhook>(&administrator(), hook(id)).unwrap();
    store.webhook_create(permit, new, write(1)).await.unwrap();
}

async fn told(store: &Store) -> Vec<Notification> {
    let permit = permit::<ListNotifications>(&administrator(), acme()).unwrap();
    store.notification_list(permit, Page { after: None, size: 500 }).await.unwrap().items
}

/// Claims all that is due, and tells by which webhook it was claimed.
async fn claim_all(store: &Store, millis: i64) -> Vec<Delivery> {
    let mut claimed = Vec::new();
    loop {
        let due = store.deliveries_due(at(millis), (&[], &[]), 100).await.unwrap();
        if due.is_empty() {
            return claimed;
        }
        for due in due {
            claimed.extend(store.delivery_claim(due, at(millis)).await.unwrap());
        }
    }
}

/// A run that fails at this time.
async fn fail(store: &Store, id: &str, millis: i64) -> RunName {
    queue(store, id, write(millis)).await.unwrap();
    let lease = store.run_claim("worker", at(millis)).await.unwrap().unwrap().lease;
    let error = RunError {
        reason: Reason::DestinationFailed,
        message: "run again later".to_owned(),
        severity: Severity::Temporary,
        culprit: Culprit::Destination,
    };
    let counts = Counts::default();
    store.run_finish(&lease, RunState::Failed, Some(error), counts, None, at(millis)).await.unwrap().name
}

#[tokio::test]
async fn a_failed_run_is_told_to_every_webhook_that_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make_webhook(&store, "everything", &[], false).await;
    make_webhook(&store, "failures", &[NotificationKind::RunFailed], false).await;
    make_webhook(&store, "skips", &[NotificationKind::RunSkipped], false).await;
    make_webhook(&store, "disabled", &[], true).await;
    let name = fail(&store, "run-1", 5).await;
    let [found] = &told(&store).await[..] else { panic!("one fact") };
    assert_eq!((found.kind, found.subject.as_str()), (NotificationKind::RunFailed, name.to_string().as_str()));
    assert_eq!((found.reason.as_str(), found.create_time), ("DESTINATION_FAILED", at(5)));
    let claimed = claim_all(&store, 5).await;
    let mut to: Vec<&str> = claimed.iter().map(|delivery| delivery.webhook.name.webhook.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["everything", "failures"]);
    assert!(claimed.iter().all(|delivery| delivery.notification == *found && delivery.attempts == 0));
}

/// Whoever notes the same fact again, after a crash or beside another process, adds nothing.
#[tokio::test]
async fn n1_the_same_fact_is_told_and_sent_once_however_often_it_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make_webhook(&store, "everything", &[], false).await;
    fail(&store, "run-1", 5).await;
    for millis in 6..9 {
        let again = store.writer.run(move |transaction| {
            Box::pin(async move {
                let row = crate::run::load(transaction, &run_name("run-1")).await?;
                notifications::of_run(transaction, RunState::Processing, &row, at(millis)).await
            })
        });
        again.await.unwrap();
    }
    assert_eq!((told(&store).await.len(), claim_all(&store, 9).await.len()), (1, 1));
}

/// The fact, what is told of it, and what is to be sent are one transaction.
#[tokio::test]
async fn n1_what_is_undone_is_neither_told_nor_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make_webhook(&store, "everything", &[], false).await;
    fail(&store, "run-1", 5).await;
    claim_all(&store, 5).await;
    let undone = store.writer.run(|transaction| {
        Box::pin(async move {
            let row = crate::run::load(transaction, &run_name("run-1")).await?;
            let other = crate::entity::run::Model { id: "run-2".to_owned(), ..row };
            notifications::of_run(transaction, RunState::Processing, &other, at(6)).await?;
            Err::<(), _>(Error::internal("it is undone", "here"))
        })
    });
    assert!(undone.await.is_err());
    assert_eq!((told(&store).await.len(), claim_all(&store, 6).await.len()), (1, 0));
}

#[tokio::test]
async fn a_connection_is_told_of_once_until_it_was_mended_and_each_of_two_causes_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let name = || ConnectionName::parse("tenants/acme/connections/news").unwrap();
    let verified = async |verdict, millis| {
        let permit = permit::<VerifyConnection>(&administrator(), name()).unwrap();
        store.connection_verified(permit, (verdict, 1), write(millis)).await.unwrap();
    };
    let refused = Verdict::Refused(Reason::CredentialsRefused);
    for (verdict, facts) in [
        (refused, 1),
        (refused, 1),
        (Verdict::Refused(Reason::AccountLapsed), 1),
        (Verdict::Nothing, 1),
        (Verdict::Taken, 1),
        (refused, 2),
    ] {
        verified(verdict, 7).await;
        assert_eq!(told(&store).await.len(), facts, "{verdict:?}");
    }
    // The export user loses their right while the key is refused.
    store.admit(&token("ada", Some(Role::Viewer), 2), at(8)).await.unwrap();
    let found = told_by(&store, 9).await;
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].reason, "EXPORT_USER_LOST");
}

/// As somebody who is an administrator still.
async fn told_by(store: &Store, issued: i64) -> Vec<Notification> {
    let standing = Standing { tenants: [(acme().tenant, None)].into() };
    let bob = Actor::admit(token("bob", Some(Role::Administrator), issued), &standing);
    let permit = permit::<ListNotifications>(&bob, acme()).unwrap();
    store.notification_list(permit, Page { after: None, size: 500 }).await.unwrap().items
}

/// Notes so many facts without a run behind them.
async fn note(store: &Store, tenant: &'static str, webhook_kind: NotificationKind, ids: std::ops::Range<i64>) {
    for id in ids {
        let noted = store.writer.run(move |transaction| {
            Box::pin(async move {
                let told = ToTell { kind: webhook_kind, reason: None, message: "look".to_owned() };
                let key = (tenant, format!("tenants/{tenant}/{id}"), "test".to_owned());
                notifications::insert(transaction, key, told, at(id)).await
            })
        });
        noted.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_race_for_what_is_to_be_sent_and_each_attempt_is_made_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    for number in 0..10 {
        make_webhook(&store, &format!("hook-{number}"), &[], false).await;
    }
    note(&store, "acme", NotificationKind::RunFailed, 10..40).await;
    let other = second_process(folder.path()).await;
    let racing = [store.clone(), other].map(|store| tokio::spawn(async move { claim_all(&store, 50).await }));
    let mut seen = BTreeSet::new();
    let mut by = Vec::new();
    for racer in racing {
        let claimed = racer.await.unwrap();
        by.push(claimed.len());
        for delivery in claimed {
            assert!(seen.insert((delivery.webhook.uid, delivery.notification.name.to_string())), "claimed twice");
        }
    }
    assert_eq!(seen.len(), 300, "{by:?}");
    assert!(by.iter().all(|count| *count > 0), "one of them did nothing, so nothing was raced: {by:?}");
}

#[tokio::test]
async fn a_claim_that_nobody_answers_for_is_due_again_and_the_first_one_writes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make_webhook(&store, "everything", &[], false).await;
    fail(&store, "run-1", 5).await;
    let first = claim_all(&store, 5).await.remove(0);
    assert!(claim_all(&store, 4 + LEASE).await.is_empty());
    let second = claim_all(&store, 5 + LEASE).await.remove(0);
    assert_eq!((second.attempts, second.notification.name.clone()), (0, first.notification.name.clone()));
    store.delivery_record(&first, DeliveryOutcome::Taken, at(6 + LEASE)).await.unwrap();
    store.delivery_record(&second, DeliveryOutcome::Again(at(50_000)), at(6 + LEASE)).await.unwrap();
    store.delivery_record(&first, DeliveryOutcome::Gone, at(7 + LEASE)).await.unwrap();
    assert!(claim_all(&store, 49_999).await.is_empty());
    let third = claim_all(&store, 50_000).await.remove(0);
    assert_eq!(third.attempts, 1);
    store.delivery_record(&third, DeliveryOutcome::NotTried, at(50_001)).await.unwrap();
    assert!(claim_all(&store, 51_000).await.is_empty(), "a store that is too slow is not asked at once");
    let fourth = claim_all(&store, 51_001).await.remove(0);
    assert_eq!(fourth.attempts, 1, "nothing was sent");
    store.delivery_record(&fourth, DeliveryOutcome::Taken, at(51_002)).await.unwrap();
    assert!(claim_all(&store, i64::MAX).await.is_empty());
}

#[tokio::test]
async fn what_waits_goes_with_its_webhook_or_while_it_is_disabled() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    for id in ["deleted", "disabled", "gone", "stays"] {
        make_webhook(&store, id, &[], false).await;
    }
    fail(&store, "run-1", 5).await;
    fail(&store, "run-2", 6).await;
    let delete = permit::<DeleteWebhook>(&administrator(), hook("deleted")).unwrap();
    let removed = store.webhook_delete(delete, None, write(7)).await.unwrap();
    let change = WebhookChange { disabled: Some(true), ..WebhookChange::default() };
    let update = permit::<UpdateWebhook>(&administrator(), hook("disabled")).unwrap();
    store.webhook_update(update, change, write(7)).await.unwrap();
    let left = claim_all(&store, 8).await;
    assert_eq!(left.len(), 4);
    let gone = left.iter().find(|delivery| delivery.webhook.name == hook("gone")).unwrap();
    store.delivery_record(gone, DeliveryOutcome::Gone, at(9)).await.unwrap();
    fail(&store, "run-3", 10).await;
    let due = claim_all(&store, 10 + LEASE).await;
    assert!(due.len() == 3 && due.iter().all(|delivery| delivery.webhook.name == hook("stays")), "{}", due.len());
    assert_eq!(store.webhooks_removed().await.unwrap(), std::slice::from_ref(&removed));
    make_webhook_of(&store, "deleted", ("another".to_owned(), &[], false)).await;
    store.webhook_forget(removed).await.unwrap();
    assert_eq!(store.webhooks_removed().await.unwrap(), []);
}

#[tokio::test]
async fn notifications_go_after_ninety_days() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make_webhook(&store, "everything", &[], false).await;
    note(&store, "acme", NotificationKind::RunFailed, 100..103).await;
    let kept = i64::try_from(limits::NOTIFICATIONS_KEPT.as_millis()).unwrap();
    assert!(!store.notifications_cut(at(kept + 100)).await.unwrap());
    assert_eq!(told(&store).await.len(), 3);
    assert!(!store.notifications_cut(at(kept + 102)).await.unwrap());
    let left = told(&store).await;
    assert_eq!(left.iter().map(|found| found.create_time).collect::<Vec<_>>(), [at(102)]);
    assert_eq!(claim_all(&store, 200).await.len(), 1);
}

/// Whoever waits for a tenant's or webhook's turn is passed over, and holds up nobody else.
#[tokio::test]
async fn those_that_are_busy_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    for id in ["hook-1", "hook-2"] {
        make_webhook(&store, id, &[], false).await;
    }
    note(&store, "acme", NotificationKind::RunFailed, 10..13).await;
    let due = async |webhooks: &[&str], tenants: &[&str]| {
        let owned = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let due = store.deliveries_due(at(20), (&owned(webhooks), &owned(tenants)), 100).await.unwrap();
        due.iter().map(|due| due.uid().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(due(&[], &[]).await.len(), 2, "each once, however much waits for it");
    assert_eq!(due(&["uid-of-hook-1"], &[]).await, ["uid-of-hook-2"]);
    assert_eq!(due(&[], &["acme"]).await, Vec::<String>::new());
    let dropped = store.writer.run(|tx| Box::pin(async move { deliveries::drop_waiting(tx, "uid-of-hook-2").await }));
    dropped.await.unwrap();
    assert_eq!(due(&[], &[]).await, ["uid-of-hook-1"]);
}
