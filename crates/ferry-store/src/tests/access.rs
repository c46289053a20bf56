//! Rights that end: by a newer token, by a revocation, with the tenant.

use super::*;
use ferry_domain::TenantName;
use ferry_domain::authz::action::{BindExportUser, DeleteTenant, RevokePrincipal, UpdateConnection, VerifyConnection};
use ferry_domain::authz::target::OperatedTenant;

fn acme() -> TenantName {
    TenantName { tenant: TenantId::parse("acme").unwrap() }
}

fn news() -> ConnectionName {
    ConnectionName::parse("tenants/acme/connections/news").unwrap()
}

async fn queue_unattended(store: &Store, id: &str, millis: i64) -> ferry_domain::Result<Run> {
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let new = NewRun { id: RunId::parse(id).unwrap(), trigger: Trigger::Schedule, full_resync: false, plan_of: None };
    store.run_create(permit::<RunExport>(&administrator(), target).unwrap(), new, write(millis)).await
}

async fn revoke(store: &Store, subject: &str, millis: i64) -> Timestamp {
    let permit = permit::<RevokePrincipal>(&administrator(), acme()).unwrap();
    store.principal_revoke(permit, subject.to_owned(), write(millis)).await.unwrap()
}

/// Whether a token still has its role in the tenant.
async fn believed(store: &Store, token: Token) -> bool {
    let standing = store.admit(&token, at(100)).await.unwrap();
    Actor::admit(token, &standing).role_in(&acme().tenant).is_some()
}

#[tokio::test]
async fn a_token_from_before_the_revocation_is_believed_no_more_and_a_later_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    assert!(believed(&store, token("bob", Some(Role::Contributor), 5)).await);
    let at = revoke(&store, "bob", 6).await;
    assert_eq!(at.as_millis(), 6);
    assert!(!believed(&store, token("bob", Some(Role::Contributor), 5)).await);
    assert!(!believed(&store, token("bob", Some(Role::Administrator), 6)).await, "of the very same moment");
    assert!(believed(&store, token("bob", Some(Role::Contributor), 7)).await);
    assert!(believed(&store, token("eve", Some(Role::Contributor), 5)).await, "somebody else");
}

#[tokio::test]
async fn the_newest_token_tells_the_role_whatever_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let steps = [
        (Some(Role::Administrator), 9, Some(Role::Administrator)),
        (Some(Role::Viewer), 8, Some(Role::Administrator)),
        (Some(Role::Viewer), 9, Some(Role::Viewer)),
        (Some(Role::Administrator), 9, Some(Role::Viewer)),
        (Some(Role::Contributor), 10, Some(Role::Contributor)),
        (None, 11, None),
    ];
    for (role, issued, expected) in steps {
        store.admit(&token("bob", role, issued), at(issued)).await.unwrap();
        let known = crate::principal::role_of(&store.readers, "acme", "bob").await.unwrap();
        assert_eq!(known, expected, "after {role:?} of {issued}");
    }
}

#[tokio::test]
async fn without_its_export_user_a_connection_needs_attention_and_what_is_scheduled_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue_unattended(&store, "run-1", 2).await.unwrap();
    store.admit(&token("ada", Some(Role::Viewer), 3), at(3)).await.unwrap();
    let found = connection(&store).await;
    assert_eq!((found.state, found.attention), (ConnectionState::NeedsAttention, Some(Reason::ExportUserLost)));
    assert!(store.run_claim("worker", at(4)).await.unwrap().is_none());
    let skipped = run(&store, "run-1").await;
    assert_eq!(skipped.state, RunState::Skipped);
    assert_eq!(skipped.error.unwrap().reason, Reason::ExportUserLost);
    let refused = queue(&store, "run-2", write(5)).await.unwrap_err();
    assert!(matches!(refused, Error::FailedPrecondition { reason: Reason::ConnectionNotReady, .. }), "{refused}");
    // Somebody who may takes the place.
    let binding = permit::<BindExportUser>(&administrator(), news()).unwrap();
    store.admit(&token("ada", Some(Role::Administrator), 6), at(6)).await.unwrap();
    store.connection_bind(binding, None, write(7)).await.unwrap();
    assert_eq!(connection(&store).await.state, ConnectionState::Ready, "what is known of the credentials stays");
    queue_unattended(&store, "run-3", 8).await.unwrap();
    assert!(store.run_claim("worker", at(9)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_queued_run_of_somebody_who_lost_the_right_is_skipped_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let bob = token("bob", Some(Role::Administrator), 2);
    let standing = store.admit(&bob, at(2)).await.unwrap();
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let starting = permit::<RunExport>(&Actor::admit(bob, &standing), target).unwrap();
    let new =
        NewRun { id: RunId::parse("run-1").unwrap(), trigger: Trigger::OnDemand, full_resync: false, plan_of: None };
    store.run_create(starting, new, write(3)).await.unwrap();
    store.admit(&token("bob", Some(Role::Contributor), 4), at(4)).await.unwrap();
    assert!(store.run_claim("worker", at(5)).await.unwrap().is_none());
    let skipped = run(&store, "run-1").await;
    assert_eq!((skipped.state, skipped.error.unwrap().reason), (RunState::Skipped, Reason::RoleTooLow));
    assert_eq!(connection(&store).await.state, ConnectionState::Ready, "its export user is somebody else");
    queue(&store, "run-2", write(6)).await.unwrap();
    assert!(store.run_claim("worker", at(7)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_run_in_the_name_of_a_revoked_person_gets_no_leave_to_send_and_says_why_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    store.intent_record(&lease, intent("a-1", 0), at(20)).await.unwrap();
    revoke(&store, "ada", 21).await;
    let refused = store.intent_record(&lease, intent("a-2", 1), at(22)).await.unwrap_err();
    assert!(matches!(refused, IntentRefused::Stopped), "{refused}");
    let counts = Counts { members: 10, unknown: 10, ..Counts::default() };
    let ended = store.run_finish(&lease, RunState::Cancelled, None, counts, None, at(30)).await.unwrap();
    assert_eq!((ended.state, ended.error.unwrap().reason), (RunState::Cancelled, Reason::RoleTooLow));
}

#[tokio::test]
async fn a_token_that_was_seen_does_not_outlive_a_revocation_by_its_issuers_clock() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let ahead = token("bob", Some(Role::Contributor), 20);
    assert!(believed(&store, ahead.clone()).await);
    assert_eq!(revoke(&store, "bob", 15).await.as_millis(), 20);
    assert!(!believed(&store, ahead).await);
}

#[tokio::test]
async fn who_lost_their_right_meanwhile_does_not_become_the_export_user() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let binding = store.connection_bind(permit::<BindExportUser>(&administrator(), news()).unwrap(), None, write(7));
    revoke(&store, "ada", 6).await;
    let refused = binding.await.unwrap_err();
    assert!(matches!(refused, Error::PermissionDenied { .. }), "{refused}");
    assert_eq!(connection(&store).await.attention, Some(Reason::ExportUserLost));
}

#[tokio::test]
async fn a_lost_export_user_hides_what_the_destination_said_only_until_there_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    store.connection_attention(&lease, Reason::AccountLapsed, at(12)).await.unwrap();
    assert_eq!(connection(&store).await.attention, Some(Reason::AccountLapsed));
    store.admit(&token("ada", Some(Role::Viewer), 13), at(13)).await.unwrap();
    assert_eq!(connection(&store).await.attention, Some(Reason::ExportUserLost));
    store.admit(&token("ada", Some(Role::Administrator), 14), at(14)).await.unwrap();
    let binding = permit::<BindExportUser>(&administrator(), news()).unwrap();
    store.connection_bind(binding, None, write(15)).await.unwrap();
    assert_eq!(connection(&store).await.attention, Some(Reason::AccountLapsed));
}

#[tokio::test]
async fn what_the_destination_says_of_an_old_key_says_nothing_of_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let secret = NewSecret { version: 2, secret: StoredSecret::Sealed(vec![2]) };
    let change = ConnectionChange {
        seen_version: connection(&store).await.version,
        secret: Some(secret),
        state: Some(ConnectionState::Unverified),
        ..ConnectionChange::default()
    };
    let updating = permit::<UpdateConnection>(&administrator(), news()).unwrap();
    store.connection_update(updating, change, write(11)).await.unwrap();
    store.connection_attention(&lease, Reason::CredentialsRefused, at(12)).await.unwrap();
    assert_eq!(connection(&store).await.state, ConnectionState::Unverified);
    let late = permit::<VerifyConnection>(&administrator(), news()).unwrap();
    store.connection_verified(late, (Verdict::Taken, 1), write(13)).await.unwrap();
    assert_eq!(connection(&store).await.state, ConnectionState::Unverified);
}

#[tokio::test]
async fn a_token_that_lists_no_tenant_tells_that_the_last_one_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let operators = Token { tenants: [].into(), lists_tenants: false, ..token("ada", None, 8) };
    store.admit(&operators, at(8)).await.unwrap();
    assert_eq!(connection(&store).await.attention, None, "a token without the claim tells nothing");
    let none = Token { tenants: [].into(), ..token("ada", None, 9) };
    store.admit(&none, at(9)).await.unwrap();
    assert_eq!(connection(&store).await.attention, Some(Reason::ExportUserLost));
}

#[tokio::test]
async fn unsharing_stops_no_run_that_has_begun() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    share(&store, ConnectionAccess::AdministratorsAndContributors, 2).await;
    store.admit(&token("ada", Some(Role::Contributor), 3), at(3)).await.unwrap();
    let target =
        ExportTarget { name: export_name(), access: ConnectionAccess::AdministratorsAndContributors, version: 1 };
    let new =
        NewRun { id: RunId::parse("run-1").unwrap(), trigger: Trigger::OnDemand, full_resync: false, plan_of: None };
    store.run_create(permit::<RunExport>(&administrator(), target).unwrap(), new, write(4)).await.unwrap();
    let lease = claimed(&store).await.lease;
    share(&store, ConnectionAccess::Administrators, 11).await;
    assert_eq!(run(&store, "run-1").await.state, RunState::Processing);
    store.admit(&token("ada", Some(Role::Contributor), 12), at(12)).await.unwrap();
    store.intent_record(&lease, intent("a-1", 0), at(20)).await.unwrap();
    assert_eq!(connection(&store).await.attention, Some(Reason::ExportUserLost), "what is scheduled waits");
}

async fn share(store: &Store, access: ConnectionAccess, millis: i64) {
    let seen_version = connection(store).await.version;
    let change = ConnectionChange { seen_version, access: Some(access), ..ConnectionChange::default() };
    let updating = permit::<UpdateConnection>(&administrator(), news()).unwrap();
    store.connection_update(updating, change, write(millis)).await.unwrap();
}

#[tokio::test]
async fn what_was_permitted_before_the_tombstone_is_not_written_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    for millis in [5, 6] {
        let removing = permit::<DeleteTenant>(&administrator(), OperatedTenant(acme())).unwrap();
        store.tenant_delete(removing, None, write(millis)).await.expect("a repeat goes on");
    }
    let refused = queue(&store, "run-1", write(7)).await.unwrap_err();
    assert!(matches!(refused, Error::NotFound { kind: "tenant", .. }), "{refused}");
    assert!(store.run_claim("worker", at(8)).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_of_a_removed_tenant_is_left_but_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    store.intent_record(&lease, intent("a-1", 0), at(20)).await.unwrap();
    let permit = permit::<DeleteTenant>(&administrator(), OperatedTenant(acme())).unwrap();
    let removed = store.tenant_delete(permit, None, write(21)).await.unwrap();
    let refused = store.intent_record(&lease, intent("a-2", 1), at(22)).await.unwrap_err();
    assert!(matches!(refused, IntentRefused::Fenced), "no request after the tombstone: {refused}");
    assert!(!believed(&store, token("ada", Some(Role::Administrator), 50)).await);
    // A restart between the tombstone and the purge frees no run.
    store.leases_reset(at(23)).await.unwrap();
    assert!(store.run_claim("worker", at(24)).await.unwrap().is_none());
    assert_eq!(store.tenants_to_purge().await.unwrap(), vec![removed.clone()]);
    for _ in 0..2 {
        store.tenant_purge(&removed, at(30)).await.unwrap();
    }
    assert!(store.tenants_to_purge().await.unwrap().is_empty());
    for table in ["connections", "exports", "runs", "plans", "batches", "attempts", "principals", "request_ids"] {
        assert_eq!(rows(&store, table).await, 0, "{table}");
    }
    let new = NewTenant {
        id: acme().tenant,
        uid: "u".to_owned(),
        display_name: "A".to_owned(),
        kind: TenantKind::Sandbox,
        audit_retention: None,
    };
    let again = ferry_domain::authz::permit::<CreateTenant>(&administrator(), Tenants).unwrap();
    let refused = store.tenant_create(again, new, write(40)).await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "tokens name tenants by their id: {refused}");
}

async fn rows(store: &Store, table: &str) -> i64 {
    use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
    let query = Statement::from_string(DatabaseBackend::Sqlite, format!("SELECT count(*) AS n FROM {table}"));
    store.readers.query_one_raw(query).await.unwrap().unwrap().try_get("", "n").unwrap()
}
