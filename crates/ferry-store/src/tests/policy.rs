//! Every RPC that writes leaves an entry. A new one fails the test below until it is played here.

use super::audit::{chain, kinds};
use super::schedules::{every_minute, named, new_run, runs, target};
use super::*;
use ferry_domain::authz::action::{
    ApproveRun, AttachExport, BatchAttachExports, BatchDetachExports, BatchUpdateSchedules, BindExportUser,
    CreateWebhook, DeleteExport, DeleteTenant, DeleteWebhook, DetachExport, DuplicateExport, PlanExport,
    RevokePrincipal, RunAllExports, StartRefresh, UpdateConnection, UpdateExport, UpdateRefreshSchedule, UpdateTenant,
    UpdateWebhook, VerifyConnection,
};
use ferry_domain::authz::target::{HeldRun, OperatedTenant};
use ferry_domain::authz::{Act, Action, Call, Permit, policy};
use ferry_domain::{TenantName, WebhookName};

/// RPCs that write and are played elsewhere, each with the file.
const ELSEWHERE: [(&str, &str); 3] = [
    ("ConnectionService/DeleteConnection", "removal"),
    ("AuditService/ErasePerson", "erasure"),
    ("AuditService/FindRecipients", "recipients"),
];

/// RPCs that answer UNIMPLEMENTED. One that is built leaves this list, and is played here.
const NOT_BUILT: &str = include_str!("../../../../tests/golden/unimplemented.txt");

/// What RPCs that only read begin with.
const READS: [&str; 7] = ["Get", "List", "Preview", "Validate", "Watch", "ExportAuditLog", "TestWebhook"];

/// Follows a tenant's chain, and what was played.
struct Play {
    store: Store,
    seen: usize,
    played: Vec<&'static str>,
}

impl Play {
    /// What was done since left exactly these, on behalf of who did it, by the role that it takes.
    async fn left<A: Action>(&mut self, expected: &[&str]) {
        let all = chain(&self.store, "acme", "").await;
        let new = &all[self.seen..];
        assert_eq!(kinds(new), expected, "{}", A::METHOD);
        for entry in new {
            assert_eq!((entry.actor.as_str(), entry.correlation_id.as_str()), ("ada", "call-1"), "{entry:?}");
            assert_eq!(entry.origin, "192.0.2.1", "{entry:?}");
            assert!(!entry.actor_role.is_empty() && !entry.required_role.is_empty(), "{entry:?}");
            assert!(entry.object.starts_with("tenants/acme"), "{entry:?}");
        }
        self.seen = all.len();
        self.played.push(A::METHOD);
    }
}

fn ada() -> Actor {
    administrator().calling(Call { correlation_id: "call-1".to_owned(), origin: "192.0.2.1".to_owned() })
}

fn acme() -> TenantName {
    TenantName { tenant: TenantId::parse("acme").unwrap() }
}

fn news() -> ConnectionName {
    ConnectionName::parse("tenants/acme/connections/news").unwrap()
}

/// A write with a request id, so that a repeat of it is known.
fn asked(id: &str) -> Write {
    Write { now: at(5), request: Some(RequestKey { id: id.to_owned(), fingerprint: [1; 32] }) }
}

#[tokio::test]
async fn every_write_rpc_leaves_its_entries_and_a_repeat_of_it_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut play = Play { store: open(folder.path()).await, seen: 0, played: Vec::new() };
    tenants_and_connections(&mut play).await;
    webhooks(&mut play).await;
    exports_and_runs(&mut play).await;
    many_exports(&mut play).await;
    schedules_and_refreshes(&mut play).await;
    the_end_of_it(&mut play).await;
    for rule in policy::POLICY {
        let (_, verb) = rule.method.split_once('/').unwrap();
        let reads = READS.iter().any(|read| verb.starts_with(read));
        let elsewhere = ELSEWHERE.iter().any(|(method, _)| *method == rule.method);
        let known = reads
            || elsewhere
            || NOT_BUILT.lines().any(|method| method == rule.method)
            || play.played.contains(&rule.method);
        assert!(known, "`{}` writes: show here which entries it leaves", rule.method);
    }
}

async fn tenants_and_connections(play: &mut Play) {
    let store = play.store.clone();
    for _ in 0..2 {
        let new = NewTenant {
            id: acme().tenant,
            uid: "t".to_owned(),
            display_name: "Acme".to_owned(),
            kind: TenantKind::Sandbox,
            audit_retention: None,
        };
        store.tenant_create(permit::<CreateTenant>(&ada(), Tenants).unwrap(), new, asked("1")).await.unwrap();
    }
    play.left::<CreateTenant>(&["TENANT_CREATED"]).await;
    for _ in 0..2 {
        let updating = permit::<UpdateTenant>(&ada(), OperatedTenant(acme())).unwrap();
        store
            .tenant_update(
                updating,
                None,
                TenantChange { display_name: Some("New".to_owned()), audit_retention: None },
                asked("2"),
            )
            .await
            .unwrap();
    }
    play.left::<UpdateTenant>(&["TENANT_UPDATED"]).await;
    store.admit(&token("ada", Some(Role::Administrator), 1), at(1)).await.unwrap();
    for _ in 0..2 {
        let new = new_connection("c", "ada");
        store.connection_create(permit::<CreateConnection>(&ada(), news()).unwrap(), new, asked("3")).await.unwrap();
    }
    play.left::<CreateConnection>(&["CONNECTION_CREATED"]).await;
    let created = chain(&store, "acme", "").await.pop().unwrap();
    let consent = ["consent_version", "consent_time", "accepted_by"].map(|key| created.details[key].clone());
    assert_eq!(consent, ["1", "1", "ada"]);
    for _ in 0..2 {
        let change = ConnectionChange {
            seen_version: 1,
            display_name: Some("Other".to_owned()),
            secret: Some(NewSecret { version: 2, secret: StoredSecret::Sealed(vec![2]) }),
            host: Some("b.api-us1.com".to_owned()),
            ..ConnectionChange::default()
        };
        let updating = permit::<UpdateConnection>(&ada(), news()).unwrap();
        store.connection_update(updating, change, asked("4")).await.unwrap();
    }
    play.left::<UpdateConnection>(&["CONNECTION_UPDATED"]).await;
    let updated = chain(&store, "acme", "").await.pop().unwrap();
    let what = ["fields", "secret_version", "host", "host_before"].map(|key| updated.details[key].clone());
    assert_eq!(what, ["display_name,host,secret", "2", "b.api-us1.com", "a.api-us1.com"]);
    let verifying = permit::<VerifyConnection>(&ada(), news()).unwrap();
    store.connection_verified(verifying, (Verdict::Taken, 2), write(6)).await.unwrap();
    play.left::<VerifyConnection>(&["CONNECTION_VERIFIED"]).await;
    let binding = permit::<BindExportUser>(&ada(), news()).unwrap();
    store.connection_bind(binding, None, write(7)).await.unwrap();
    play.left::<BindExportUser>(&["EXPORT_USER_BOUND"]).await;
}

async fn webhooks(play: &mut Play) {
    let store = play.store.clone();
    let name = || WebhookName::parse("tenants/acme/webhooks/hook").unwrap();
    for _ in 0..2 {
        let new = NewWebhook {
            uid: "w".to_owned(),
            display_name: "Hook".to_owned(),
            url: "https://hooks.example.com/".to_owned(),
            kinds: Vec::new(),
            disabled: false,
            sealed_secret: vec![1],
        };
        store.webhook_create(permit::<CreateWebhook>(&ada(), name()).unwrap(), new, asked("12")).await.unwrap();
    }
    play.left::<CreateWebhook>(&["WEBHOOK_CREATED"]).await;
    for _ in 0..2 {
        let change = WebhookChange { display_name: Some("Other".to_owned()), ..WebhookChange::default() };
        store.webhook_update(permit::<UpdateWebhook>(&ada(), name()).unwrap(), change, asked("13")).await.unwrap();
    }
    play.left::<UpdateWebhook>(&["WEBHOOK_UPDATED"]).await;
    let deleting = || permit::<DeleteWebhook>(&ada(), name()).unwrap();
    store.webhook_delete(deleting(), None, asked("14")).await.unwrap();
    let gone = store.webhook_delete(deleting(), None, asked("14")).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { kind: "webhook", .. }), "{gone}");
    play.left::<DeleteWebhook>(&["WEBHOOK_REMOVED"]).await;
}

async fn exports_and_runs(play: &mut Play) {
    let store = play.store.clone();
    for _ in 0..2 {
        let target = NewExport { name: export_name(), connection: news().connection, access: ACCESS };
        let creating = permit::<CreateExport>(&ada(), target).unwrap();
        store.export_create(creating, new_export("e", "Weekly"), asked("5")).await.unwrap();
    }
    play.left::<CreateExport>(&["EXPORT_CREATED"]).await;
    for _ in 0..2 {
        let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
        let change = ExportChange { display_name: Some("Daily".to_owned()), ..ExportChange::default() };
        store.export_update(permit::<UpdateExport>(&ada(), target).unwrap(), change, asked("6")).await.unwrap();
    }
    play.left::<UpdateExport>(&["EXPORT_UPDATED"]).await;
    assert_eq!(chain(&store, "acme", "").await.pop().unwrap().details["fields"], "display_name");
    let export = || ExportTarget { name: export_name(), access: ACCESS, version: 2 };
    let new = |id: &str| NewRun {
        id: RunId::parse(id).unwrap(),
        trigger: Trigger::OnDemand,
        full_resync: false,
        plan_of: None,
    };
    for _ in 0..2 {
        store.run_create(permit::<RunExport>(&ada(), export()).unwrap(), new("run-1"), asked("7")).await.unwrap();
    }
    play.left::<RunExport>(&["RUN_QUEUED"]).await;
    for _ in 0..2 {
        let target = RunTarget { name: run_name("run-1"), access: ACCESS };
        store.run_cancel(permit::<CancelRun>(&ada(), target).unwrap(), write(8)).await.unwrap();
    }
    play.left::<CancelRun>(&["RUN_CANCEL_REQUESTED", "RUN_ENDED"]).await;
    for _ in 0..2 {
        let planning = permit::<PlanExport>(&ada(), export()).unwrap();
        store.run_create_plan(planning, new("run-2"), asked("8")).await.unwrap();
    }
    play.left::<PlanExport>(&["RUN_PLAN_QUEUED"]).await;
    let dry = store.run_claim("worker", at(9)).await.unwrap().unwrap().lease;
    store.run_finish(&dry, RunState::Failed, None, Counts::default(), None, at(9)).await.unwrap();
    let by_bob =
        Actor::admit(token("bob", Some(Role::Administrator), 1), &Standing { tenants: [(acme().tenant, None)].into() });
    store.admit(&token("bob", Some(Role::Administrator), 1), at(9)).await.unwrap();
    store.run_create(permit::<RunExport>(&by_bob, export()).unwrap(), new("run-3"), write(10)).await.unwrap();
    let lease = store.run_claim("worker", at(10)).await.unwrap().unwrap().lease;
    let adoption = adoption(&["many would go"]);
    let record = PlanRecord { connection_generation: 2, ..adoption.record };
    store.plan_adopt(&lease, Adoption { record, ..adoption }, at(10)).await.unwrap();
    let all = chain(&store, "acme", "").await;
    let by_ferry = ["RUN_ENDED", "RUN_QUEUED", "RUN_STARTED", "RUN_HELD"];
    assert_eq!(kinds(&all[play.seen..]), by_ferry);
    assert_eq!(all.last().unwrap().details["reasons"], "1");
    play.seen = all.len();
    for _ in 0..2 {
        let target = HeldRun { name: run_name("run-3"), started_by: "bob".to_owned() };
        store.run_approve(permit::<ApproveRun>(&ada(), target).unwrap(), None, asked("9")).await.unwrap();
    }
    play.left::<ApproveRun>(&["RUN_APPROVED"]).await;
}

/// Two copies, which are changed alone and together. What is so already leaves nothing.
async fn many_exports(play: &mut Play) {
    let store = play.store.clone();
    for (id, request) in [("copy-one", "20"), ("copy-two", "21")] {
        for _ in 0..2 {
            let original = ExportTarget { name: export_name(), access: ACCESS, version: 2 };
            let new = NewCopy { id: named(id).export, uid: id.to_owned(), display_name: None };
            let copying = permit::<DuplicateExport>(&ada(), original).unwrap();
            store.export_duplicate(copying, new, asked(request)).await.unwrap();
        }
        play.left::<DuplicateExport>(&["EXPORT_CREATED"]).await;
    }
    let to = || AttachTo { connection: news().connection, access: ACCESS };
    for _ in 0..2 {
        let detaching = permit::<DetachExport>(&ada(), target("copy-one", 1)).unwrap();
        store.export_detach(detaching, None, asked("22")).await.unwrap();
    }
    play.left::<DetachExport>(&["EXPORT_DETACHED"]).await;
    for _ in 0..2 {
        let attaching = permit::<AttachExport>(&ada(), target("copy-one", 2)).unwrap();
        store.export_attach(attaching, to(), None, asked("23")).await.unwrap();
    }
    play.left::<AttachExport>(&["EXPORT_ATTACHED"]).await;
    for _ in 0..2 {
        let both = [("copy-one", 3), ("copy-two", 1)].map(|(id, seen)| permit(&ada(), target(id, seen)).unwrap());
        store.exports_detach(Vec::<Permit<BatchDetachExports>>::from(both), asked("24")).await.unwrap();
    }
    play.left::<BatchDetachExports>(&["EXPORT_DETACHED"; 2]).await;
    for _ in 0..2 {
        let both = [("copy-one", 4), ("copy-two", 2)].map(|(id, seen)| permit(&ada(), target(id, seen)).unwrap());
        store.exports_attach(Vec::<Permit<BatchAttachExports>>::from(both), to(), asked("25")).await.unwrap();
    }
    play.left::<BatchAttachExports>(&["EXPORT_ATTACHED"; 2]).await;
    for _ in 0..2 {
        let all = [("copy-one", 5), ("copy-two", 3)].map(|(id, seen)| permit(&ada(), target(id, seen)).unwrap());
        let all = Vec::<Permit<BatchUpdateSchedules>>::from(all);
        store.exports_reschedule(all, NewSchedules::All(every_minute()), asked("26")).await.unwrap();
    }
    play.left::<BatchUpdateSchedules>(&["EXPORT_UPDATED"; 2]).await;
    let off = vec![permit::<BatchUpdateSchedules>(&ada(), target("copy-one", 6)).unwrap()];
    store.exports_reschedule(off, NewSchedules::Off, asked("27")).await.unwrap();
    play.left::<BatchUpdateSchedules>(&["EXPORT_UPDATED"]).await;
    let still = vec![permit::<BatchUpdateSchedules>(&ada(), target("copy-one", 7)).unwrap()];
    store.exports_reschedule(still, NewSchedules::Off, asked("28")).await.unwrap();
    play.left::<BatchUpdateSchedules>(&[]).await;
}

async fn schedules_and_refreshes(play: &mut Play) {
    let store = play.store.clone();
    for _ in 0..2 {
        let change = RefreshScheduleChange { times: Some(vec!["08:30".to_owned()]), ..Default::default() };
        let updating = permit::<UpdateRefreshSchedule>(&ada(), acme()).unwrap();
        store.refresh_schedule_update(updating, change, asked("30")).await.unwrap();
    }
    play.left::<UpdateRefreshSchedule>(&["REFRESH_SCHEDULE_UPDATED"]).await;
    for _ in 0..2 {
        let new = NewRefresh { id: "refresh-1".to_owned(), ..NewRefresh::default() };
        store.refresh_start(permit::<StartRefresh>(&ada(), acme()).unwrap(), new, asked("31")).await.unwrap();
    }
    play.left::<StartRefresh>(&["REFRESH_STARTED"]).await;
    // Of the two copies one has a schedule.
    for _ in 0..2 {
        store.run_all(permit::<RunAllExports>(&ada(), acme()).unwrap(), new_run, asked("32")).await.unwrap();
    }
    play.left::<RunAllExports>(&["EXPORTS_RUN", "RUN_QUEUED"]).await;
    let run = runs(&store, "copy-two").await.pop().unwrap();
    let cancelling = permit::<CancelRun>(&ada(), RunTarget { name: run.name, access: ACCESS }).unwrap();
    store.run_cancel(cancelling, write(11)).await.unwrap();
    play.left::<CancelRun>(&["RUN_CANCEL_REQUESTED", "RUN_ENDED"]).await;
}

/// Rights that end stop what rests on them, and are told of what they stop.
async fn the_end_of_it(play: &mut Play) {
    let store = play.store.clone();
    let claimed = store.run_claim("worker", at(11)).await.unwrap().unwrap().lease;
    store.intent_record(&claimed, intent("a-1", 0), at(12)).await.unwrap();
    for _ in 0..2 {
        let revoking = permit::<RevokePrincipal>(&ada(), acme()).unwrap();
        store.principal_revoke(revoking, "bob".to_owned(), asked("10")).await.unwrap();
    }
    play.left::<RevokePrincipal>(&["PRINCIPAL_REVOKED", "RUN_STOPPED"]).await;
    let stopped = chain(&store, "acme", "").await.pop().unwrap();
    assert_eq!((stopped.details["cause"].as_str(), stopped.details["state"].as_str()), ("right_lost", "cancelling"));
    let counts = Counts { members: 10, not_sent: 10, ..Counts::default() };
    store.run_finish(&claimed, RunState::Failed, None, counts, None, at(13)).await.unwrap();
    let all = chain(&store, "acme", "").await;
    assert_eq!(kinds(&all[play.seen..]), ["RUN_ENDED"]);
    play.seen = all.len();
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 2 };
    store.export_delete(permit::<DeleteExport>(&ada(), target).unwrap(), None, write(14)).await.unwrap();
    play.left::<DeleteExport>(&["EXPORT_DELETED"]).await;
    let mut removed = None;
    for _ in 0..2 {
        let deleting = permit::<DeleteTenant>(&ada(), OperatedTenant(acme())).unwrap();
        removed = Some(store.tenant_delete(deleting, None, asked("11")).await.unwrap());
    }
    play.left::<DeleteTenant>(&["TENANT_REMOVED"]).await;
    store.tenant_purge(&removed.unwrap(), at(20)).await.unwrap();
    let all = chain(&store, "acme", "").await;
    assert_eq!(kinds(&all[play.seen..]), ["TENANT_PURGED"], "and all that was before is there");
    assert_eq!(all.last().unwrap().actor, "ferry");
}

/// An act is made by a spent permit alone, and `Store::change` takes one: so what it records is what the policy allowed.
#[test]
fn an_act_says_what_the_policy_asked_for() {
    let spent = permit::<UpdateTenant>(&ada(), OperatedTenant(acme())).unwrap().spend();
    let Act { permission, subject, role, required, .. } = spent.act;
    assert_eq!((permission, subject.as_str()), ("TenantService/UpdateTenant", "ada"));
    assert_eq!((role, required), ("operator", "operator"));
    let spent = permit::<UpdateConnection>(&ada(), news()).unwrap().spend();
    assert_eq!((spent.act.role, spent.act.required), ("administrator", "administrator"));
}

/// The functions that write without `Store::change`: nobody's leave is spent there. What they do that belongs on record
/// they append themselves, as Ferry's own doing.
const WITHOUT_A_PERMIT: [(&str, &[&str]); 21] = [
    // Those that all others go through, and the schema.
    ("database.rs", &["change", "change_each", "run_and_wake", "migrate", "pending_migrations"]),
    // The engine's, under a lease or on the way to one.
    ("run_work.rs", &["under_lease"]),
    ("run_claim.rs", &["leases_reset", "run_claim"]),
    ("lane.rs", &["lane_hold"]),
    // The scheduler's: what is due by itself.
    ("tick.rs", &["tick_claim", "tick_serve"]),
    ("refresh_exports.rs", &["refresh_finish"]),
    // What a token tells, what was denied, and what a tombstone leaves to be done.
    ("principal.rs", &["admit"]),
    ("audit_denied.rs", &["denied"]),
    ("removal.rs", &["tenant_purge"]),
    // What is left to do for a removed connection.
    ("connection_removal.rs", &["connection_destroyed"]),
    ("connection_retraction.rs", &["connections_retracted"]),
    ("connection_stop.rs", &["orphan_claim"]),
    // The attendant's.
    ("checkpoint/mod.rs", &["audit_log_begin", "checkpoint_sign", "checkpoint_rotate", "checkpoint_copied"]),
    ("checkpoint/restored.rs", &["restore_acknowledge"]),
    ("audit_retention.rs", &["retention_step"]),
    // What is left of a log that is kept for a day.
    ("run_change.rs", &["run_changes_cut"]),
    // The sender's; and what is left of a removed webhook, and of notifications after their time.
    ("delivery.rs", &["delivery_claim", "delivery_record"]),
    ("webhook.rs", &["webhook_forget"]),
    ("notification.rs", &["notifications_cut"]),
    ("erasure_end.rs", &["erasure_follow", "erasure_end", "state_replace", "files_purge"]),
    ("recipients/advance.rs", &["recipients_fold", "recipients_forget"]),
];

/// Every source file of this crate but its tests, by its path.
pub(super) fn sources(folder: &Path, under: &str, found: &mut Vec<(String, String)>) {
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let name = format!("{under}{}", file.file_name().unwrap().to_str().unwrap());
        if file.is_dir() && name != "tests" {
            sources(&file, &format!("{name}/"), found);
        } else if file.is_file() && !matches!(name.as_str(), "tests.rs" | "writer.rs") {
            found.push((name, std::fs::read_to_string(&file).unwrap()));
        }
    }
}

/// A new function that takes a permit reaches the writer by `Store::change` alone, which puts its facts on record.
#[test]
fn no_function_that_takes_a_permit_writes_past_the_record() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut all);
    let mut seen = 0;
    for (file, text) in all {
        let words: Vec<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
        for (at, pair) in words.windows(2).enumerate() {
            // The definition of `run_and_wake` is no use of it.
            if !matches!(pair, ["writer", "run"] | [_, "run_and_wake"]) || pair[0] == "fn" {
                continue;
            }
            // A function's name; behind the `fn` of a type stands another type.
            let named = |at: &usize| words[*at] == "fn" && words[at + 1].starts_with(char::is_lowercase);
            let Some(begin) = (0..at).rev().find(named) else { continue };
            let function = words[begin + 1];
            let is_known = WITHOUT_A_PERMIT.iter().any(|(of, names)| *of == file && names.contains(&function));
            let known = is_known && !words[begin..at].contains(&"Permit");
            assert!(known, "{file}, `{function}`: write by Store::change, with what it leaves on record");
            seen += 1;
        }
    }
    assert!(seen > 10, "the search finds what there is: {seen}");
}
