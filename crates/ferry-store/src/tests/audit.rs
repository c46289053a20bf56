//! What goes on record: entries of changes and of what left, in chains without a gap or a fork.

use super::*;
use crate::anchor;
use crate::entity::{audit_chain, audit_entry, run as run_row};
use ferry_domain::TenantName;
use ferry_domain::authz::action::UpdateTenant;
use ferry_domain::authz::target::OperatedTenant;
use ferry_ledger::{Entry, GENESIS, Hash, link};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::collections::BTreeMap;

/// A chain, read from the database and checked: numbers, links, columns and head.
pub(super) async fn chain(store: &Store, tenant: &str, chain: &str) -> Vec<Entry> {
    let rows = audit_entry::Entity::find()
        .filter(audit_entry::Column::Tenant.eq(tenant))
        .filter(audit_entry::Column::Chain.eq(chain))
        .order_by_asc(audit_entry::Column::Number)
        .all(&store.readers)
        .await
        .unwrap();
    let mut entries = Vec::new();
    let mut previous = GENESIS;
    for (number, row) in (1..).zip(&rows) {
        let body = row.body.as_deref().unwrap();
        let entry = Entry::decode(body).unwrap();
        assert_eq!((row.number, entry.number), (i64::try_from(number).unwrap(), number), "a gap in {tenant}/{chain}");
        assert_eq!((entry.tenant.as_str(), entry.chain.as_str()), (tenant, chain));
        assert_eq!((&entry.kind, &entry.actor, &entry.object), (&row.kind, &row.actor, &row.object));
        assert_eq!(entry.time_ms, row.time);
        let link = link(&previous, body);
        assert_eq!((link.body_hash.as_slice(), link.hash.as_slice()), (&row.body_hash[..], &row.hash[..]), "a fork");
        previous = link.hash;
        entries.push(entry);
    }
    let head = if chain.is_empty() {
        let head = audit_chain::Entity::find_by_id(tenant).one(&store.readers).await.unwrap();
        head.map_or((0, GENESIS.to_vec()), |head| (head.number, head.hash))
    } else {
        let run = run_row::Entity::find_by_id(chain).one(&store.readers).await.unwrap().unwrap();
        (run.entries, run.entries_head.unwrap_or_else(|| GENESIS.to_vec()))
    };
    assert_eq!(head, (i64::try_from(entries.len()).unwrap(), previous.to_vec()), "the head of {tenant}/{chain}");
    entries
}

pub(super) fn kinds(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.kind.as_str()).collect()
}

fn detail<'a>(entry: &'a Entry, key: &str) -> &'a str {
    entry.details.get(key).map_or("", String::as_str)
}

fn head(entries: &[Entry]) -> Hash {
    entries.iter().fold(GENESIS, |previous, entry| link(&previous, &entry.encode()).hash)
}

/// A tenant of that id with a connection, an export, and a run that is being carried out.
pub(super) async fn tenant_with_run(store: &Store, tenant: &str) -> Lease {
    let id = TenantId::parse(tenant).unwrap();
    let actor = administrator_of(tenant);
    let new = NewTenant {
        id,
        uid: format!("u-{tenant}"),
        display_name: tenant.to_owned(),
        kind: TenantKind::Sandbox,
        audit_retention: None,
    };
    store.tenant_create(permit::<CreateTenant>(&actor, Tenants).unwrap(), new, write(1)).await.unwrap();
    store.admit(&token_of(tenant), at(1)).await.unwrap();
    let name = ConnectionName::parse(&format!("tenants/{tenant}/connections/news")).unwrap();
    let new = new_connection(&format!("c-{tenant}"), actor.subject());
    let connection = name.connection.clone();
    store.connection_create(permit::<CreateConnection>(&actor, name).unwrap(), new, write(1)).await.unwrap();
    let export = ExportName::parse(&format!("tenants/{tenant}/exports/weekly")).unwrap();
    let target = NewExport { name: export.clone(), connection, access: ACCESS };
    let new = new_export(&format!("e-{tenant}"), "Weekly");
    store.export_create(permit::<CreateExport>(&actor, target).unwrap(), new, write(1)).await.unwrap();
    let target = ExportTarget { name: export, access: ACCESS, version: 1 };
    let id = RunId::parse(&format!("run-{tenant}")).unwrap();
    let new = NewRun { id, trigger: Trigger::OnDemand, full_resync: false, plan_of: None };
    store.run_create(permit::<RunExport>(&actor, target).unwrap(), new, write(2)).await.unwrap();
    claimed(store).await.lease
}

fn token_of(tenant: &str) -> Token {
    let id = TenantId::parse(tenant).unwrap();
    Token { tenants: [(id, Role::Administrator)].into(), ..token(&format!("ada-{tenant}"), None, 1) }
}

pub(super) fn administrator_of(tenant: &str) -> Actor {
    let standing = Standing { tenants: [(TenantId::parse(tenant).unwrap(), None)].into() };
    Actor::admit(token_of(tenant), &standing)
}

async fn statement(store: &Store, statement: &'static str) {
    let job = store.writer.run(move |transaction| {
        Box::pin(
            async move { transaction.execute_unprepared(statement).await.map(|_| ()).map_err(crate::error::database) },
        )
    });
    job.await.unwrap();
}

#[tokio::test]
async fn a_run_says_what_it_sent_to_whom_and_how_that_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let (none, started) = (CountsDelta::default(), chain(&store, "acme", "").await);
    let started = started.last().unwrap();
    assert_eq!((started.kind.as_str(), started.actor.as_str()), ("RUN_STARTED", "ferry"));
    assert_eq!((detail(started, "run_entries"), detail(started, "run_head")), ("0", "0".repeat(64).as_str()));
    assert_eq!((detail(started, "purpose"), detail(started, "fields")), ("Weekly", "email,first_name"));
    assert_eq!((detail(started, "planned"), detail(started, "plan_digest")), ("10", "07".repeat(32).as_str()));
    let removed = BatchKey { removed: vec![3], ..intent("", 0).batch };
    let first = Intent { batch: removed, ..intent("a-1", 0) };
    let second = Intent { action: Sends::TakeOff, ..intent("a-2", 1) };
    let (one, other) =
        futures::join!(store.intent_record(&lease, first, at(20)), store.intent_record(&lease, second, at(20)));
    drop((one.unwrap(), other.unwrap()));
    let queued = AttemptOutcome::Queued { remote_id: "b-1".to_owned() };
    let after = BatchAfter::Queued { remote_id: "b-1".to_owned(), sent_time: at(21) };
    store.attempt_record(&lease, "a-1", queued, after, none, at(21)).await.unwrap();
    store.attempt_record(&lease, "a-2", AttemptOutcome::Void, BatchAfter::Due, none, at(21)).await.unwrap();
    let refused = vec![RefusedRow { offset: 1, reason: "R".to_owned() }];
    let settled = BatchAfter::Settled { confirmed: 8, refused };
    store.batch_record(&lease, 0, settled, none, at(22)).await.unwrap();
    let counts = Counts { members: 10, confirmed: 8, refused: 1, not_sent: 1, ..Counts::default() };
    store.run_finish(&lease, RunState::Succeeded, None, counts, None, at(40)).await.unwrap();

    let entries = chain(&store, "acme", "run-1").await;
    let of = |number: usize, keys: &[&str]| -> Vec<String> {
        keys.iter().map(|key| detail(&entries[number], key).to_owned()).collect()
    };
    let all = ["EGRESS_INTENT", "EGRESS_INTENT", "EGRESS_OUTCOME", "EGRESS_OUTCOME", "EGRESS_SETTLED"];
    assert_eq!(kinds(&entries), all);
    let keys = ["attempt", "batch", "host", "list", "purpose", "fields", "action", "count", "epoch"];
    let digest = "01".repeat(32);
    assert_eq!(of(0, &keys), ["a-1", "0", "a.api-us1.com", "3", "Weekly", "email,first_name", "put", "9", "1"]);
    assert_eq!(of(1, &["attempt", "batch", "action", "count", "digest"]), ["a-2", "1", "take_off", "10", &digest]);
    assert_eq!(of(2, &["attempt", "batch", "outcome", "state", "remote_id"]), ["a-1", "0", "queued", "queued", "b-1"]);
    assert_eq!(of(3, &["attempt", "batch", "outcome", "state"]), ["a-2", "1", "void", "due"]);
    assert_eq!(of(4, &["attempt", "batch", "state", "confirmed", "refused"]), ["", "0", "settled", "8", "1"]);
    assert_eq!(entries[0].object, "tenants/acme/exports/weekly/runs/run-1");

    let ended = chain(&store, "acme", "").await;
    let ended = ended.last().unwrap();
    assert_eq!((ended.kind.as_str(), detail(ended, "state")), ("RUN_ENDED", "succeeded"));
    assert_eq!((detail(ended, "confirmed"), detail(ended, "refused"), detail(ended, "members")), ("8", "1", "10"));
    assert_eq!(
        (detail(ended, "run_entries"), detail(ended, "run_head")),
        ("5", ferry_domain::hex::encode(&head(&entries)).as_str())
    );
}

#[tokio::test]
async fn a_checkpoint_anchors_the_runs_that_have_grown_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let leases = [tenant_with_run(&store, "acme").await, tenant_with_run(&store, "globex").await];
    for (number, lease) in (0..).zip([&leases[0], &leases[0], &leases[1]]) {
        store.intent_record(lease, intent(&format!("a-{number}"), number), at(20)).await.unwrap();
    }
    let anchors = async |tenant: Option<&'static str>| {
        let done = store.writer.run(move |transaction| Box::pin(anchor::anchor_runs(transaction, tenant, at(30))));
        done.await.unwrap().into_iter().map(|anchored| (anchored.run, anchored.entries)).collect::<Vec<_>>()
    };
    assert_eq!(anchors(Some("globex")).await, [("run-globex".to_owned(), 1)]);
    assert_eq!(anchors(None).await, [("run-acme".to_owned(), 2)]);
    assert_eq!(anchors(None).await, []);
    let own = chain(&store, "acme", "").await;
    let anchored = own.last().unwrap();
    let of_run = chain(&store, "acme", "run-acme").await;
    assert_eq!((anchored.kind.as_str(), detail(anchored, "run_entries")), ("RUN_ANCHORED", "2"));
    assert_eq!(detail(anchored, "run_head"), ferry_domain::hex::encode(&head(&of_run)));
    store.intent_record(&leases[0], intent("a-9", 9), at(31)).await.unwrap();
    assert_eq!(anchors(None).await, [("run-acme".to_owned(), 3)]);
    let counts = Counts { members: 10, not_sent: 10, ..Counts::default() };
    store.intent_record(&leases[0], intent("a-10", 10), at(32)).await.unwrap();
    store.run_finish(&leases[0], RunState::Failed, None, counts, None, at(40)).await.unwrap();
    assert_eq!(anchors(None).await, [], "its end anchors it");
}

#[tokio::test]
async fn a_wait_its_cause_and_its_end_are_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let error = ferry_domain::RunError {
        reason: Reason::CredentialsRefused,
        message: "the key was refused".to_owned(),
        severity: ferry_domain::Severity::Permanent,
        culprit: ferry_domain::Culprit::User,
    };
    let wait =
        |resume_time| Pause { reason: ferry_domain::PauseReason::Credentials, resume_time, error: error.clone() };
    store.run_pause(&lease, wait(None), at(20)).await.unwrap();
    let own = chain(&store, "acme", "").await;
    assert_eq!(kinds(&own)[own.len() - 2..], ["RUN_PAUSED", "CONNECTION_NEEDS_ATTENTION"]);
    let [paused, attention] = &own[own.len() - 2..] else { panic!() };
    assert_eq!((detail(paused, "pause_reason"), detail(paused, "cause")), ("credentials", "CREDENTIALS_REFUSED"));
    assert_eq!((detail(attention, "attention"), detail(attention, "secret_version")), ("CREDENTIALS_REFUSED", "1"));
    let verifying = permit::<ferry_domain::authz::action::VerifyConnection>(
        &administrator(),
        ConnectionName::parse("tenants/acme/connections/news").unwrap(),
    );
    store.connection_verified(verifying.unwrap(), (Verdict::Taken, 1), write(30)).await.unwrap();
    let own = chain(&store, "acme", "").await;
    assert_eq!(kinds(&own)[own.len() - 2..], ["CONNECTION_VERIFIED", "RUN_RESUMED"]);
    assert_eq!(own.last().unwrap().actor, "ada", "a consequence bears who caused it");
    let again = store.run_claim("worker", at(31)).await.unwrap().unwrap();
    store.run_pause(&again.lease, wait(Some(at(50))), at(40)).await.unwrap();
    store.run_claim("worker", at(60)).await.unwrap().unwrap();
    let own = chain(&store, "acme", "").await;
    assert_eq!(kinds(&own)[own.len() - 2..], ["RUN_PAUSED", "RUN_RESUMED"]);
    assert_eq!(own.last().unwrap().actor, "ferry", "its time had come");
}

/// A20: what cannot be put on record does not happen, for that tenant alone.
#[tokio::test]
async fn a20_what_cannot_be_put_on_record_does_not_happen_and_no_other_tenant_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let [acme, globex] = [tenant_with_run(&store, "acme").await, tenant_with_run(&store, "globex").await];
    store.intent_record(&acme, intent("a-1", 1), at(20)).await.unwrap();
    statement(
        &store,
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_entries WHEN NEW.tenant = 'acme' \
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .await;
    let before = chain(&store, "acme", "").await;
    let (own, other) = futures::join!(
        store.intent_record(&acme, intent("a-2", 2), at(21)),
        store.intent_record(&globex, intent("g-2", 2), at(21))
    );
    assert!(matches!(own, Err(IntentRefused::Failed(_))), "{own:?}");
    assert!(other.is_ok(), "{other:?}");
    let none = CountsDelta::default();
    let answer = store.attempt_record(&acme, "a-1", AttemptOutcome::Unknown, BatchAfter::Due, none, at(22)).await;
    assert!(matches!(answer, Err(LeaseError::Failed(_))), "{answer:?}");
    assert_eq!(store.batches(&acme).await.unwrap().len(), 1, "nothing says that it was sent");
    assert_eq!(store.batches(&acme).await.unwrap()[0].state, BatchState::Intended, "nor that it was answered");
    let counts = Counts { members: 10, not_sent: 10, ..Counts::default() };
    assert!(store.run_finish(&acme, RunState::Failed, None, counts, None, at(23)).await.is_err());
    assert_eq!(store.run_state(&acme).await.unwrap(), RunState::Processing);
    let renamed = rename(&store, "acme", 24).await;
    assert!(matches!(renamed, Err(Error::Internal(_))), "{renamed:?}");
    rename(&store, "globex", 24).await.unwrap();
    assert_eq!(chain(&store, "acme", "").await, before);
    statement(&store, "DROP TRIGGER refuse").await;
    assert_eq!(rename(&store, "acme", 25).await.unwrap().version, 2, "the refused change left nothing");
    store.attempt_record(&acme, "a-1", AttemptOutcome::Unknown, BatchAfter::Due, none, at(26)).await.unwrap();
    store.intent_record(&acme, intent("a-2", 2), at(27)).await.unwrap();
    assert_eq!(chain(&store, "acme", "run-acme").await.len(), 3);
    assert_eq!(chain(&store, "globex", "run-globex").await.len(), 1);
}

/// A20: a run whose going on cannot be put on record keeps no other from being claimed.
#[tokio::test]
async fn a20_a_run_that_cannot_be_claimed_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let [acme, globex] = [tenant_with_run(&store, "acme").await, tenant_with_run(&store, "globex").await];
    let error = ferry_domain::RunError {
        reason: Reason::DestinationRateLimited,
        message: "wait".to_owned(),
        severity: ferry_domain::Severity::Temporary,
        culprit: ferry_domain::Culprit::Destination,
    };
    let pause = Pause { reason: ferry_domain::PauseReason::RetryAfter, resume_time: Some(at(30)), error };
    for lease in [&acme, &globex] {
        store.run_pause(lease, pause.clone(), at(20)).await.unwrap();
    }
    statement(
        &store,
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_entries WHEN NEW.tenant = 'acme' \
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .await;
    let claimed = store.run_claim("worker", at(40)).await.unwrap().unwrap();
    assert_eq!(claimed.lease.run(), globex.run());
    assert!(store.run_claim("worker", at(40)).await.unwrap().is_none());
    statement(&store, "DROP TRIGGER refuse").await;
    let claimed = store.run_claim("worker", at(41)).await.unwrap().unwrap();
    assert_eq!(claimed.lease.run(), acme.run());
}

async fn rename(store: &Store, tenant: &str, millis: i64) -> ferry_domain::Result<ferry_domain::Tenant> {
    let name = TenantName { tenant: TenantId::parse(tenant).unwrap() };
    let updating = permit::<UpdateTenant>(&administrator(), OperatedTenant(name)).unwrap();
    store
        .tenant_update(
            updating,
            None,
            TenantChange { display_name: Some("Other".to_owned()), audit_retention: None },
            write(millis),
        )
        .await
}

/// Writers of changes and runs that record, all at once: every chain is whole, and no entry is lost.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a figure, for who changes it")]
async fn a18_chains_stay_whole_under_many_writers() {
    const TENANTS: usize = 16;
    const WRITERS: usize = 8;
    let seconds = if std::env::var_os("FERRY_TEST_LONG").is_some() { 60 } else { 3 };
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let ids: Vec<String> = (0..TENANTS).map(|number| format!("tenant-{number}")).collect();
    let mut expected = BTreeMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    for id in &ids {
        let lease = tenant_with_run(&store, id).await;
        expected.insert((id.clone(), String::new()), chain(&store, id, "").await.len());
        let (store, id) = (store.clone(), id.clone());
        tasks.spawn(async move {
            let mut entries = 0;
            while std::time::Instant::now() < until {
                let batches = (0..4_u32).map(|seq| record_one(&store, &lease, &id, entries, seq));
                futures::future::join_all(batches).await;
                entries += 8;
            }
            vec![((id.clone(), format!("run-{id}")), entries)]
        });
    }
    for writer in 0..WRITERS {
        let (store, ids) = (store.clone(), ids.clone());
        tasks.spawn(async move {
            let mut made: BTreeMap<(String, String), usize> = BTreeMap::new();
            for turn in writer.. {
                if std::time::Instant::now() >= until {
                    break;
                }
                let id = &ids[turn % TENANTS];
                rename(&store, id, 50).await.unwrap();
                *made.entry((id.clone(), String::new())).or_default() += 1;
            }
            made.into_iter().collect()
        });
    }
    while let Some(made) = tasks.join_next().await {
        for (of, count) in made.unwrap() {
            *expected.entry(of).or_default() += count;
        }
    }
    let total: usize = expected.values().sum();
    for ((tenant, name), count) in expected {
        assert_eq!(chain(&store, &tenant, &name).await.len(), count, "{tenant}/{name}");
    }
    eprintln!("{total} entries in {seconds} s: {} a second", total / usize::try_from(seconds).unwrap());
}

async fn record_one(store: &Store, lease: &Lease, tenant: &str, turn: usize, seq: u32) {
    let (attempt, none) = (format!("{tenant}-{turn}-{seq}"), CountsDelta::default());
    store.intent_record(lease, intent(&attempt, seq), at(50)).await.unwrap();
    store.attempt_record(lease, &attempt, AttemptOutcome::NotSent, BatchAfter::Due, none, at(51)).await.unwrap();
}
