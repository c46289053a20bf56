//! Erasures: begun in one transaction, and each outcome on record once.

use super::*;
use crate::entity::audit_entry;
use ferry_domain::TenantName;
use ferry_domain::authz::action::ErasePerson;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

const PERSON: [u8; 16] = [7; 16];

fn permitted() -> ferry_domain::authz::Permit<ErasePerson> {
    let name = TenantName { tenant: TenantId::parse("acme").unwrap() };
    permit::<ErasePerson>(&administrator(), name).unwrap()
}

fn place(connection_uid: &str, generation: i64, run: &str) -> ErasurePlace {
    let recipient = ErasureRecipient {
        connection: "tenants/acme/connections/news".to_owned(),
        host: "a.api-us1.com".to_owned(),
        fields: vec!["email".to_owned()],
        purpose: "Weekly".to_owned(),
        first_time: None,
        last_time: None,
    };
    ErasurePlace {
        export_uid: "e".to_owned(),
        connection_uid: connection_uid.to_owned(),
        connection_generation: generation,
        list: 3,
        recipient,
        may_be_there: true,
        run: RunId::parse(run).unwrap(),
    }
}

async fn erase(store: &Store, id: &str, places: Vec<ErasurePlace>, stop: &[&str]) -> Option<Vec<ErasureReceipt>> {
    let seen = store.erasure_ground(permitted()).await.unwrap().marks;
    let stop = stop.iter().map(|run| (*run).to_owned()).collect();
    let new = NewErasure { id: id.to_owned(), person: PERSON, places, stop, seen };
    store.person_erase(permitted(), new, write(5)).await.unwrap()
}

async fn entries(store: &Store, kind: &str) -> u64 {
    audit_entry::Entity::find().filter(audit_entry::Column::Kind.eq(kind)).count(&store.readers).await.unwrap()
}

#[tokio::test]
async fn d1_each_recipient_has_an_outcome_on_record_once_and_what_failed_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let asked = || vec![place("c", 1, "run-1"), place("gone", 1, "run-2"), place("c", 9, "run-3")];
    let receipts = erase(&store, "erasure-1", asked(), &[]).await.unwrap();
    let outcomes: Vec<_> = receipts.iter().map(|receipt| receipt.outcome).collect();
    use ErasureOutcome::{Done, Failed, Impossible, Pending};
    assert_eq!(outcomes, [Pending, Impossible, Impossible]);
    assert!(receipts[1].message.contains("another account") && receipts[2].message.contains("key"), "{receipts:?}");
    assert_eq!((entries(&store, "PERSON_ERASURE_OUTCOME").await, entries(&store, "RUN_QUEUED").await), (2, 1));
    // A repeat asks nobody twice.
    assert_eq!(erase(&store, "erasure-2", asked(), &[]).await.unwrap(), receipts);
    let open = store.erasures_open().await.unwrap();
    assert_eq!((open.len(), open[0].id(), open[0].person()), (1, "erasure-1", &PERSON));
    assert!(!store.erasure_follow(&open[0], at(6)).await.unwrap(), "its run goes on");
    let lease = store.run_claim("worker", at(7)).await.unwrap().unwrap().lease;
    store.run_finish(&lease, RunState::Failed, None, Counts::default(), None, at(8)).await.unwrap();
    for _ in 0..2 {
        assert!(!store.erasure_follow(&open[0], at(9)).await.unwrap(), "it is to be asked for again");
    }
    assert_eq!(entries(&store, "PERSON_ERASURE_OUTCOME").await, 3, "once");
    let again = erase(&store, "erasure-3", vec![place("c", 1, "run-4")], &[]).await.unwrap();
    let asked = again.iter().find(|receipt| receipt.run.as_ref().is_some_and(|run| run.run.as_str() == "run-4"));
    assert_eq!(asked.unwrap().outcome, Pending);
    let lease = store.run_claim("worker", at(10)).await.unwrap().unwrap().lease;
    let counts = Counts { removals: 1, removals_confirmed: 1, ..Counts::default() };
    store.run_finish(&lease, RunState::Succeeded, None, counts, None, at(11)).await.unwrap();
    for _ in 0..2 {
        assert!(store.erasure_follow(&open[0], at(12)).await.unwrap());
    }
    assert_eq!(entries(&store, "PERSON_ERASURE_OUTCOME").await, 4);
    store.erasure_end(&open[0], FilesErased::default(), at(13)).await.unwrap();
    store.erasure_end(&open[0], FilesErased::default(), at(14)).await.unwrap();
    assert!(store.erasures_open().await.unwrap().is_empty());
    assert_eq!((entries(&store, "PERSON_ERASED").await, entries(&store, "PERSON_ERASURE_REQUESTED").await), (1, 1));
    let told = erase(&store, "erasure-4", Vec::new(), &[]).await.unwrap();
    assert!(told.iter().any(|receipt| receipt.outcome == Done) && !told.iter().any(|one| one.outcome == Failed));
}

#[tokio::test]
async fn d1_a_run_whose_plan_holds_the_person_stops_in_the_transaction_and_a_plan_that_came_since_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let seen = store.erasure_ground(permitted()).await.unwrap().marks;
    let lease = claimed(&store).await.lease;
    let new = NewErasure { id: "e-1".to_owned(), person: PERSON, places: Vec::new(), stop: Vec::new(), seen };
    assert_eq!(store.person_erase(permitted(), new, write(5)).await.unwrap(), None, "a plan was adopted meanwhile");
    assert!(store.erasures_open().await.unwrap().is_empty(), "nothing was done");
    assert_eq!(store.erasure_ground(permitted()).await.unwrap().live.len(), 1);
    erase(&store, "e-2", Vec::new(), &["run-1"]).await.unwrap();
    let stopped = run(&store, "run-1").await;
    assert_eq!((stopped.state, stopped.error.unwrap().reason), (RunState::Cancelling, Reason::PlanExpired));
    assert!(matches!(store.intent_record(&lease, intent("a-1", 0), at(20)).await, Err(IntentRefused::Stopped)));
}
