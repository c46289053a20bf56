//! The store on a real file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod access;
mod audit;
mod checkpoints;
mod erasures;
mod holds;
mod notifications;
mod policy;
mod race;
mod records;
mod refreshes;
mod schedules;
mod states;
mod taking_off;
mod watch;

use super::*;
use ferry_domain::authz::action::{
    CancelRun, CreateConnection, CreateExport, CreateTenant, GetConnection, GetRun, RunExport,
};
use ferry_domain::authz::target::Tenants;
use ferry_domain::authz::{Actor, ExportTarget, NewExport, Role, RunTarget, Standing, Token, permit};
use ferry_domain::{
    Connection, ConnectionAccess, ConnectionName, ConnectionState, Consent, Counts, Error, ExportName, ExportSettings,
    LeavePolicy, PlanSummary, Reason, RemovalGuard, Run, RunId, RunName, RunState, Schedule, TenantId, TenantKind,
    Timestamp, Trigger,
};
use std::path::Path;
use std::sync::Arc;

const ACCESS: ConnectionAccess = ConnectionAccess::Administrators;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn write(millis: i64) -> Write {
    Write { now: at(millis), request: None }
}

fn token(subject: &str, role: Option<Role>, issued: i64) -> Token {
    let acme = TenantId::parse("acme").unwrap();
    let elsewhere = TenantId::parse("elsewhere").unwrap();
    let claimed = role.map_or((elsewhere, Role::Viewer), |role| (acme, role));
    Token {
        subject: subject.to_owned(),
        tenants: [claimed].into(),
        lists_tenants: true,
        operator: true,
        issue_time: at(issued),
        expire_time: at(i64::MAX),
    }
}

fn administrator() -> Actor {
    let standing = Standing { tenants: [(TenantId::parse("acme").unwrap(), None)].into() };
    Actor::admit(token("ada", Some(Role::Administrator), 1), &standing)
}

fn export_name() -> ExportName {
    ExportName::parse("tenants/acme/exports/weekly").unwrap()
}

async fn open(folder: &Path) -> Store {
    let store = Store::open(&StoreConfig { path: folder.join("ferry.db") }).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// A tenant, a connection and an export.
async fn stage(folder: &Path) -> Store {
    let store = open(folder).await;
    let actor = administrator();
    let id = TenantId::parse("acme").unwrap();
    let new = NewTenant {
        id,
        uid: "t".to_owned(),
        display_name: "Acme".to_owned(),
        kind: TenantKind::Sandbox,
        audit_retention: None,
    };
    store.tenant_create(permit::<CreateTenant>(&actor, Tenants).unwrap(), new, write(1)).await.unwrap();
    store.admit(&token("ada", Some(Role::Administrator), 1), at(1)).await.unwrap();
    let name = ConnectionName::parse("tenants/acme/connections/news").unwrap();
    let new = new_connection("c", "ada");
    let connection = name.connection.clone();
    store.connection_create(permit::<CreateConnection>(&actor, name).unwrap(), new, write(1)).await.unwrap();
    let target = NewExport { name: export_name(), connection, access: ACCESS };
    let new = new_export("e", "Weekly");
    store.export_create(permit::<CreateExport>(&actor, target).unwrap(), new, write(1)).await.unwrap();
    store
}

fn new_connection(uid: &str, run_as: &str) -> NewConnection {
    let consent = Consent { text_version: "1".to_owned(), accept_time: at(1), accepted_by: "ada".to_owned() };
    NewConnection {
        uid: uid.to_owned(),
        display_name: "News".to_owned(),
        destination_type: "activecampaign".to_owned(),
        host: "a.api-us1.com".to_owned(),
        secret: StoredSecret::Sealed(vec![1]),
        access: ACCESS,
        consent,
        run_as: run_as.to_owned(),
        state: ConnectionState::Ready,
    }
}

fn new_export(uid: &str, display_name: &str) -> NewExportRow {
    NewExportRow {
        uid: uid.to_owned(),
        display_name: display_name.to_owned(),
        segments: Vec::new(),
        settings: ExportSettings::Activecampaign { list_id: 3, exclude_automations: true },
        field_mappings: Vec::new(),
        leave_policy: LeavePolicy::Keep,
        removal_guard: RemovalGuard::default(),
        schedule: Schedule::Off,
    }
}

async fn queue(store: &Store, id: &str, write: Write) -> ferry_domain::Result<Run> {
    queue_write(store, &export_name(), (id, None), write).await
}

/// Queues a run, perhaps one that carries a plan out.
async fn queue_of(
    store: &Store,
    export: &ExportName,
    id: &str,
    plan_of: Option<RunId>,
    millis: i64,
) -> ferry_domain::Result<Run> {
    queue_write(store, export, (id, plan_of), write(millis)).await
}

async fn queue_write(
    store: &Store,
    export: &ExportName,
    (id, plan_of): (&str, Option<RunId>),
    write: Write,
) -> ferry_domain::Result<Run> {
    let target = ExportTarget { name: export.clone(), access: ACCESS, version: 1 };
    let plan_of = plan_of.map(|run| AskedPlan { run, fingerprints: vec![("people".to_owned(), Some([5; 32]))] });
    let new = NewRun { id: RunId::parse(id).unwrap(), trigger: Trigger::OnDemand, full_resync: false, plan_of };
    store.run_create(permit::<RunExport>(&administrator(), target).unwrap(), new, write).await
}

fn run_name(id: &str) -> RunName {
    let ExportName { tenant, export } = export_name();
    RunName { tenant, export, run: RunId::parse(id).unwrap() }
}

async fn run(store: &Store, id: &str) -> Run {
    store.run_get(permit::<GetRun>(&administrator(), run_name(id)).unwrap()).await.unwrap()
}

async fn connection(store: &Store) -> Connection {
    let name = ConnectionName::parse("tenants/acme/connections/news").unwrap();
    store.connection_get(permit::<GetConnection>(&administrator(), name).unwrap()).await.unwrap()
}

async fn seen_version(store: &Store) -> i64 {
    connection(store).await.version
}

fn plan(rows: u32) -> PlanRecord {
    PlanRecord {
        digest: [7; 32],
        planned: u64::from(rows),
        batch_rows: vec![rows],
        removals: 0,
        removal_batch_rows: Vec::new(),
        fingerprints: vec![("people".to_owned(), [5; 32])],
        connection_generation: 1,
        host: "a.api-us1.com".to_owned(),
        list: 3,
        purpose: Some("Weekly".to_owned()),
        fields: Some("email,first_name".to_owned()),
        state: None,
        export_version: 1,
        settings: Some(ExportSettings::Activecampaign { list_id: 3, exclude_automations: true }),
        leave_policy: Some(LeavePolicy::Unsubscribe),
        suppressions: 0,
        normaliser_version: 1,
        renderer_version: 1,
    }
}

fn intent(attempt: &str, seq: u32) -> Intent {
    Intent {
        attempt_id: attempt.to_owned(),
        batch: BatchKey { seq, parent: None, first: 0, rows: 10, removed: Vec::new() },
        account: "a.api-us1.com".to_owned(),
        body_digest: [0; 32],
        keyed_digest: [1; 32],
        recipient: Arc::new(Recipient {
            host: "a.api-us1.com".to_owned(),
            list: 3,
            purpose: "Weekly".to_owned(),
            fields: "email,first_name".to_owned(),
        }),
        action: Sends::Put,
        send_by: at(500),
    }
}

async fn claimed(store: &Store) -> Claimed {
    let claimed = store.run_claim("worker", at(10)).await.unwrap().unwrap();
    store.plan_adopt(&claimed.lease, adoption(&[]), at(10)).await.unwrap();
    claimed
}

/// A plan of ten members, and what guards have against it.
fn adoption(held: &[&str]) -> Adoption {
    Adoption {
        record: plan(10),
        summary: PlanSummary { adds: 10, ..PlanSummary::default() },
        counts: Counts { members: 10, not_sent: 10, ..Counts::default() },
        estimated_end: at(99),
        held: held.iter().map(|reason| (*reason).to_owned()).collect(),
    }
}

#[tokio::test]
async fn one_process_at_a_time_and_steps_are_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert!(store.migrate().await.unwrap().is_empty());
    assert!(Store::open(&StoreConfig { path: folder.path().join("ferry.db") }).await.is_err());
}

#[tokio::test]
async fn whoever_lost_the_lease_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let stale = claimed(&store).await.lease;
    store.intent_record(&stale, intent("a-1", 0), at(20)).await.unwrap();
    store.leases_reset(at(30)).await.unwrap();
    let current = store.run_claim("other", at(31)).await.unwrap().unwrap();
    assert!(current.lease.epoch() > stale.epoch() && current.plan == Some(plan(10)));
    let fenced = |result: Result<(), LeaseError>| matches!(result, Err(LeaseError::Fenced));
    let none = CountsDelta::default();
    assert!(matches!(store.intent_record(&stale, intent("a-2", 0), at(32)).await, Err(IntentRefused::Fenced)));
    assert!(fenced(store.attempt_record(&stale, "a-1", AttemptOutcome::Unknown, BatchAfter::Due, none, at(32)).await));
    assert!(fenced(store.batch_record(&stale, 0, BatchAfter::Due, none, at(32)).await));
    assert!(fenced(store.run_phase(&stale, ferry_domain::Phase::Sending, at(32)).await));
    assert!(fenced(store.connection_attention(&stale, Reason::AccountLapsed, at(32)).await));
    let counts = Counts { members: 10, not_sent: 10, ..Counts::default() };
    assert!(store.run_finish(&stale, RunState::Failed, None, counts, None, at(32)).await.is_err());
    let batches = store.batches(&current.lease).await.unwrap();
    assert_eq!((batches.len(), batches[0].state, batches[0].attempts), (1, BatchState::Intended, 1));
}

#[tokio::test]
async fn a_run_whose_account_does_not_add_up_cannot_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let lost = Counts { members: 10, confirmed: 9, ..Counts::default() };
    assert!(store.run_finish(&lease, RunState::Succeeded, None, lost, None, at(40)).await.is_err());
    let whole = Counts { confirmed: 10, ..lost };
    let run = store.run_finish(&lease, RunState::Succeeded, None, whole, None, at(40)).await.unwrap();
    assert_eq!((run.state, run.end_time), (RunState::Succeeded, Some(at(40))));
}

#[tokio::test]
async fn a_batch_that_may_have_arrived_stays_doubtful_until_it_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let none = CountsDelta::default();
    for (attempt, outcome) in [("a-1", AttemptOutcome::Unknown), ("a-2", AttemptOutcome::RateLimited)] {
        store.intent_record(&lease, intent(attempt, 0), at(20)).await.unwrap();
        store.attempt_record(&lease, attempt, outcome, BatchAfter::Due, none, at(21)).await.unwrap();
        assert!(store.batches(&lease).await.unwrap()[0].may_have_arrived);
    }
    let settled = BatchAfter::Settled { confirmed: 10, refused: Vec::new() };
    store.batch_record(&lease, 0, settled, none, at(22)).await.unwrap();
    assert!(!store.batches(&lease).await.unwrap()[0].may_have_arrived);
    let since = store.recent_intents("a.api-us1.com", at(20)).await.unwrap();
    assert_eq!(since.len(), 2, "a new owner counts both");
}

#[tokio::test]
async fn one_run_at_a_time_and_a_repeat_finds_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let request = |fingerprint: u8| Write {
        now: at(2),
        request: Some(RequestKey { id: "r".to_owned(), fingerprint: [fingerprint; 32] }),
    };
    let first = queue(&store, "run-1", request(1)).await.unwrap();
    assert_eq!(queue(&store, "run-2", request(1)).await.unwrap().name, first.name);
    assert!(queue(&store, "run-3", request(2)).await.is_err(), "another content");
    assert!(queue(&store, "run-4", write(3)).await.is_err(), "one is going on");
    let target = RunTarget { name: first.name.clone(), access: ACCESS };
    let cancelled = store.run_cancel(permit::<CancelRun>(&administrator(), target).unwrap(), write(4)).await.unwrap();
    assert_eq!(cancelled.state, RunState::Cancelled);
    assert!(queue(&store, "run-5", write(5)).await.is_ok());
    let read = store.run_get(permit::<GetRun>(&administrator(), first.name).unwrap()).await.unwrap();
    assert_eq!(read.end_time, Some(at(4)));
}

#[tokio::test]
async fn a_cancelled_run_gets_no_leave_to_send() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let run = queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let target = RunTarget { name: run.name, access: ACCESS };
    store.run_cancel(permit::<CancelRun>(&administrator(), target).unwrap(), write(4)).await.unwrap();
    assert!(matches!(store.intent_record(&lease, intent("a-1", 0), at(20)).await, Err(IntentRefused::Stopped)));
    assert!(store.batches(&lease).await.unwrap().is_empty(), "nothing is on record of what was refused");
}
