//! What an export knows of its destination, and plans that stand on it.

use super::*;
use crate::state;
use ferry_domain::authz::action::{PlanExport, UpdateConnection, UpdateExport};
use ferry_domain::{ConnectionId, limits};

/// The state that a run makes.
fn state(export: &str, run: &str, number: u64) -> ExportState {
    ExportState {
        export_uid: export.to_owned(),
        connection_uid: "c".to_owned(),
        connection_generation: 1,
        list: 3,
        number,
        digest: [u8::try_from(number).unwrap(); 32],
        rows: 10,
        members: 9,
        untrusted: false,
        run: RunId::parse(run).unwrap(),
    }
}

fn everybody() -> Counts {
    Counts { members: 10, confirmed: 10, ..Counts::default() }
}

/// Queues, claims, plans and ends a run that moves the state on.
async fn advance(store: &Store, id: &str, base: Option<StateMark>, number: u64) -> Result<Run, LeaseError> {
    queue(store, id, write(2)).await.unwrap();
    let lease = claimed(store).await.lease;
    let advance = Some(StateAdvance { base, next: state("e", id, number) });
    store.run_finish(&lease, RunState::Succeeded, None, everybody(), advance, at(40)).await
}

async fn known(store: &Store, id: &str) -> Option<ExportState> {
    queue(store, id, write(50)).await.unwrap();
    let Claimed { lease, connection, .. } = claimed(store).await;
    let known = store.export_state(&lease, connection.generation, 3).await.unwrap();
    assert_eq!(store.export_state(&lease, connection.generation, 4).await.unwrap(), None, "of another list");
    store.run_finish(&lease, RunState::Succeeded, None, everybody(), None, at(60)).await.unwrap();
    known
}

#[tokio::test]
async fn a_state_moves_on_from_the_one_it_was_made_from_and_from_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    advance(&store, "run-1", None, 1).await.unwrap();
    let first = state("e", "run-1", 1);
    assert_eq!(known(&store, "run-2").await.as_ref(), Some(&first));
    advance(&store, "run-3", Some(first.mark()), 2).await.unwrap();
    let second = state("e", "run-3", 2);
    for base in [None, Some(first.mark()), Some((2, [9; 32]))] {
        queue(&store, "run-4", write(2)).await.ok();
        let lease = store.run_claim("worker", at(10)).await.unwrap().map(|claimed| claimed.lease);
        if let Some(lease) = &lease {
            store.plan_adopt(lease, adoption(&[]), at(10)).await.unwrap();
        }
        let lease = Lease::new(run_name("run-4"), 1, 1);
        let next = state("e", "run-4", base.map_or(1, |(number, _)| number + 1));
        let advance = Some(StateAdvance { base, next });
        let refused = store.run_finish(&lease, RunState::Succeeded, None, everybody(), advance, at(40)).await;
        assert!(matches!(refused, Err(LeaseError::Failed(Error::Internal(_)))), "{base:?}: {refused:?}");
    }
    let lease = Lease::new(run_name("run-4"), 1, 1);
    assert_eq!(store.export_state(&lease, 1, 3).await.unwrap(), Some(second.clone()), "nothing was written over it");
    assert_eq!(store.run_state(&lease).await.unwrap(), RunState::Processing, "and the run has not ended");
    let skipping = Some(StateAdvance { base: Some(second.mark()), next: state("e", "run-4", 4) });
    assert!(store.run_finish(&lease, RunState::Succeeded, None, everybody(), skipping, at(41)).await.is_err());
    let next = Some(StateAdvance { base: Some(second.mark()), next: state("e", "run-4", 3) });
    store.run_finish(&lease, RunState::Succeeded, None, everybody(), next, at(42)).await.unwrap();
}

#[tokio::test]
async fn a_new_host_begins_without_a_state_and_the_old_one_stays_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    advance(&store, "run-1", None, 1).await.unwrap();
    change_connection(&store, Some("b.api-us1.com"), 2, 50).await;
    assert_eq!(known(&store, "run-2").await, None);
    let old = state::find(&store.readers, ("e", "c"), 1, 3).await.unwrap();
    assert_eq!(old, Some(state("e", "run-1", 1)));
}

#[tokio::test]
async fn a_new_key_keeps_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    advance(&store, "run-1", None, 1).await.unwrap();
    change_connection(&store, None, 2, 50).await;
    assert_eq!(known(&store, "run-2").await, Some(state("e", "run-1", 1)));
}

/// A second export on the same connection, and a run of it that leaves a state.
async fn other_export(store: &Store) -> ExportName {
    let name = ExportName::parse("tenants/acme/exports/daily").unwrap();
    let target = NewExport { name: name.clone(), connection: ConnectionId::parse("news").unwrap(), access: ACCESS };
    let new = new_export("e-2", "Daily");
    store.export_create(permit::<CreateExport>(&administrator(), target).unwrap(), new, write(1)).await.unwrap();
    queue_of(store, &name, "run-9", None, 2).await.unwrap();
    let lease = claimed(store).await.lease;
    let advance = Some(StateAdvance { base: None, next: state("e-2", "run-9", 1) });
    store.run_finish(&lease, RunState::Succeeded, None, everybody(), advance, at(40)).await.unwrap();
    name
}

#[tokio::test]
async fn the_states_of_other_exports_on_the_list_are_found_while_those_are_there_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    advance(&store, "run-1", None, 1).await.unwrap();
    let other = other_export(&store).await;
    queue(&store, "run-2", write(50)).await.unwrap();
    let lease = claimed(&store).await.lease;
    assert_eq!(store.other_states(&lease, 3).await.unwrap(), [state("e-2", "run-9", 1)]);
    assert!(store.other_states(&lease, 4).await.unwrap().is_empty());
    // It goes to another list by now, so it holds nobody on this one.
    let target = ExportTarget { name: other, access: ACCESS, version: 1 };
    let settings = Some(ExportSettings::Activecampaign { list_id: 4, exclude_automations: true });
    let change = ExportChange { settings, ..ExportChange::default() };
    let updating = permit::<UpdateExport>(&administrator(), target).unwrap();
    store.export_update(updating, change, write(51)).await.unwrap();
    assert!(store.other_states(&lease, 3).await.unwrap().is_empty());
}

/// A dry run of the export that has planned.
async fn dry_run(store: &Store, id: &str, state: Option<StateMark>) -> RunId {
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let new = NewRun { id: RunId::parse(id).unwrap(), trigger: Trigger::OnDemand, full_resync: false, plan_of: None };
    store.run_create_plan(permit::<PlanExport>(&administrator(), target).unwrap(), new, write(2)).await.unwrap();
    let lease = store.run_claim("worker", at(10)).await.unwrap().unwrap().lease;
    let adoption = adoption(&["many would go"]);
    let record = PlanRecord { state, ..adoption.record };
    let adopted = store.plan_adopt(&lease, Adoption { record, ..adoption }, at(10)).await.unwrap().unwrap();
    assert_eq!(adopted.state, RunState::Processing, "a dry run sends nothing, so nothing holds it");
    assert_eq!(adopted.approval.unwrap().reasons, ["many would go"], "it says what would hold its carrying out");
    let counts = Counts { members: 10, not_sent: 10, ..Counts::default() };
    store.run_finish(&lease, RunState::Succeeded, None, counts, None, at(20)).await.unwrap();
    RunId::parse(id).unwrap()
}

#[tokio::test]
async fn a_run_of_a_plan_begins_with_what_the_dry_run_planned() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let of = dry_run(&store, "run-1", None).await;
    let queued = queue_of(&store, &export_name(), "run-2", Some(of.clone()), 30).await.unwrap();
    assert_eq!((queued.plan_of.as_ref(), queued.plan_summary), (Some(&of), None));
    let claimed = store.run_claim("worker", at(31)).await.unwrap().unwrap();
    let named = claimed.plan_of.unwrap();
    assert_eq!((claimed.plan, &named.run, &named.record), (None, &of, &plan(10)));
    assert_eq!(
        (named.counts.not_sent, named.summary.adds, named.held.as_slice()),
        (10, 10, &["many would go".to_owned()][..])
    );
    store.plan_adopt(&claimed.lease, adoption(&[]), at(32)).await.unwrap();
    store.leases_reset(at(33)).await.unwrap();
    let again = store.run_claim("worker", at(34)).await.unwrap().unwrap();
    assert_eq!(again.plan, Some(plan(10)), "after a crash it goes on with the plan that it has adopted");
    assert_eq!(again.plan_of.unwrap().run, of, "whose files are still those of the dry run");
}

#[tokio::test]
async fn rule_3_a_plan_that_something_moved_under_is_refused_and_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let of = dry_run(&store, "run-1", None).await;
    let day = i64::try_from(limits::PLAN_STANDS.as_millis()).unwrap();
    let refused = async |store: &Store, of: &RunId, millis: i64, word: &str| {
        let refused = queue_of(store, &export_name(), "run-x", Some(of.clone()), millis).await.unwrap_err();
        let Error::FailedPrecondition { reason, message, .. } = refused else { panic!("{refused}") };
        assert_eq!(reason, Reason::PlanExpired);
        assert!(message.contains(word), "{message}");
    };
    refused(&store, &of, 21 + day, "24 hours").await;
    let elsewhere = RunId::parse("run-none").unwrap();
    assert!(matches!(
        queue_of(&store, &export_name(), "run-x", Some(elsewhere), 30).await,
        Err(Error::NotFound { kind: "run", .. })
    ));
    advance(&store, "run-2", None, 1).await.unwrap();
    refused(&store, &of, 50, "known of the destination").await;
    let none = queue_of(&store, &export_name(), "run-x", Some(RunId::parse("run-2").unwrap()), 50).await.unwrap_err();
    assert!(matches!(none, Error::InvalidArgument { .. }), "{none}");
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    for now in [Some([6; 32]), None] {
        let asked = AskedPlan { run: of.clone(), fingerprints: vec![("people".to_owned(), now)] };
        let new = NewRun {
            id: RunId::parse("run-x").unwrap(),
            trigger: Trigger::OnDemand,
            full_resync: false,
            plan_of: Some(asked),
        };
        let running = permit::<RunExport>(&administrator(), target.clone()).unwrap();
        let refused = store.run_create(running, new, write(50)).await.unwrap_err().to_string();
        assert!(refused.contains("segment `people` was changed"), "{refused}");
        assert!(refused.contains("known of the destination"), "all that has moved is told: {refused}");
    }
    let fresh = dry_run(&store, "run-3", Some(state("e", "run-2", 1).mark())).await;
    queue_of(&store, &export_name(), "run-4", Some(fresh.clone()), 51).await.unwrap();
    change_connection(&store, Some("b.api-us1.com"), 2, 52).await;
    assert!(store.run_claim("worker", at(53)).await.unwrap().is_none(), "the new host has stopped it");
    refused(&store, &fresh, 54, "another account").await;
}

#[tokio::test]
async fn rule_3_a_queued_run_whose_plan_expires_before_the_claim_ends_without_a_send() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let of = dry_run(&store, "run-1", None).await;
    queue_of(&store, &export_name(), "run-2", Some(of), 30).await.unwrap();
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let change = ExportChange { display_name: Some("Other".to_owned()), ..ExportChange::default() };
    let updating = permit::<UpdateExport>(&administrator(), target).unwrap();
    store.export_update(updating, change, write(31)).await.unwrap();
    assert!(store.run_claim("worker", at(32)).await.unwrap().is_none());
    let ended = run(&store, "run-2").await;
    assert_eq!((ended.state, ended.error.unwrap().reason), (RunState::Failed, Reason::PlanExpired));
}

/// A new key, and perhaps a new host.
async fn change_connection(store: &Store, host: Option<&str>, version: u32, millis: i64) {
    let name = ConnectionName::parse("tenants/acme/connections/news").unwrap();
    let change = ConnectionChange {
        seen_version: seen_version(store).await,
        host: host.map(str::to_owned),
        secret: Some(NewSecret { version, secret: StoredSecret::Sealed(vec![2]) }),
        state: Some(ConnectionState::Unverified),
        ..ConnectionChange::default()
    };
    let updating = permit::<UpdateConnection>(&administrator(), name).unwrap();
    store.connection_update(updating, change, write(millis)).await.unwrap();
}

/// A dry run that has not ended as it should.
#[tokio::test]
async fn a_dry_run_that_has_no_plan_yet_or_never_made_one_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let id = RunId::parse("run-1").unwrap();
    let new = NewRun { id: id.clone(), trigger: Trigger::OnDemand, full_resync: false, plan_of: None };
    store.run_create_plan(permit::<PlanExport>(&administrator(), target).unwrap(), new, write(2)).await.unwrap();
    let ask = async |id: &str, of: &RunId| queue_of(&store, &export_name(), id, Some(of.clone()), 30).await;
    let early = ask("run-2", &id).await.unwrap_err();
    assert!(matches!(early, Error::FailedPrecondition { reason: Reason::RunNotFinished, .. }), "{early}");
    let lease = store.run_claim("worker", at(10)).await.unwrap().unwrap().lease;
    let early = ask("run-2", &id).await.unwrap_err();
    assert!(matches!(early, Error::FailedPrecondition { reason: Reason::RunNotFinished, .. }), "{early}");
    store.run_finish(&lease, RunState::Failed, None, Counts::default(), None, at(20)).await.unwrap();
    let failed = ask("run-2", &id).await.unwrap_err();
    assert!(matches!(failed, Error::InvalidArgument { .. }), "{failed}");
}

/// A plan that says another list than the export does today is for that other list.
#[tokio::test]
async fn another_export_that_goes_on_with_a_plan_for_the_list_counts_although_it_is_for_another_list_today() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    claimed(&store).await;
    let daily = ExportName::parse("tenants/acme/exports/daily").unwrap();
    let target = NewExport { name: daily.clone(), connection: ConnectionId::parse("news").unwrap(), access: ACCESS };
    let creating = permit::<CreateExport>(&administrator(), target).unwrap();
    store.export_create(creating, new_export("d", "Daily"), write(3)).await.unwrap();
    queue_of(&store, &daily, "run-2", None, 4).await.unwrap();
    let second = claimed(&store).await.lease;
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let settings = Some(ExportSettings::Activecampaign { list_id: 4, exclude_automations: true });
    let updating = permit::<UpdateExport>(&administrator(), target).unwrap();
    store.export_update(updating, ExportChange { settings, ..ExportChange::default() }, write(5)).await.unwrap();
    assert!(store.others_moved(&second, 3).await.unwrap(), "the first still sends to its list");
    assert!(!store.others_moved(&second, 4).await.unwrap());
}
