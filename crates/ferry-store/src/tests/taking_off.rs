//! Runs that take people off a list.

use super::*;
use crate::entity::{connection, erasure, export};
use crate::run::{NewTakingOff, queue_taking_off};
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait;

const PERSON: [u8; 16] = [7; 16];

/// Queues one for list 5, while the export is for list 3.
async fn take_off(store: &Store, id: &str, trigger: Trigger, millis: i64) {
    let id = RunId::parse(id).unwrap();
    let erasure = (trigger == Trigger::Erasure).then(|| "erasure-1".to_owned());
    store
        .writer
        .run(move |transaction| {
            Box::pin(async move {
                let key = |id: &str| ("acme".to_owned(), id.to_owned());
                let export = export::Entity::find_by_id(key("weekly")).one(transaction).await.unwrap().unwrap();
                let on = connection::Entity::find_by_id(key("news")).one(transaction).await.unwrap().unwrap();
                if erasure.is_some() {
                    let row = erasure::ActiveModel {
                        id: Set("erasure-1".to_owned()),
                        tenant: Set("acme".to_owned()),
                        person: Set(Some(PERSON.to_vec())),
                        actor: Set("ada".to_owned()),
                        create_time: Set(millis),
                        end_time: Set(None),
                    };
                    erasure::Entity::insert(row).exec_without_returning(transaction).await.unwrap();
                }
                let new = NewTakingOff { id, trigger, list: 5, erasure };
                queue_taking_off(transaction, (&export, &on), new, "ada".to_owned(), at(millis)).await.map(|_| ())
            })
        })
        .await
        .unwrap();
}

async fn end(store: &Store, lease: &Lease, counts: Counts) {
    store.run_finish(lease, RunState::Succeeded, None, counts, None, at(40)).await.unwrap();
}

#[tokio::test]
async fn one_that_takes_off_waits_for_the_older_run_of_its_export_and_says_whom() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    take_off(&store, "run-2", Trigger::Erasure, 3).await;
    take_off(&store, "run-3", Trigger::Retraction, 3).await;
    let older = claimed(&store).await;
    assert_eq!((older.run.id().as_str(), older.takes_off), ("run-1", None));
    assert!(store.run_claim("worker", at(11)).await.unwrap().is_none(), "the older one goes on");
    end(&store, &older.lease, Counts { members: 10, confirmed: 10, ..Counts::default() }).await;
    let erasure = store.run_claim("worker", at(41)).await.unwrap().unwrap();
    assert_eq!((erasure.run.id().as_str(), erasure.takes_off), ("run-2", Some(TakesOff::One(PERSON))));
    let ExportSettings::Activecampaign { list_id, .. } = erasure.export.settings;
    assert_eq!((list_id, erasure.export.leave_policy), (5, LeavePolicy::Unsubscribe));
    assert!(store.run_claim("worker", at(42)).await.unwrap().is_none(), "one at a time");
    assert!(queue(&store, "run-4", write(43)).await.is_err(), "nor does the export run beside it");
    end(&store, &erasure.lease, Counts::default()).await;
    let retraction = store.run_claim("worker", at(44)).await.unwrap().unwrap();
    assert_eq!(retraction.takes_off, Some(TakesOff::Everybody));
}

#[tokio::test]
async fn one_that_takes_off_rests_on_nobodys_right_and_on_no_living_export() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let target = ExportTarget { name: export_name(), access: ACCESS, version: 1 };
    let permit = permit::<ferry_domain::authz::action::DeleteExport>(&administrator(), target).unwrap();
    store.export_delete(permit, None, write(2)).await.unwrap();
    take_off(&store, "run-1", Trigger::Retraction, 3).await;
    store.admit(&token("ada", Some(Role::Viewer), 5), at(5)).await.unwrap();
    assert_eq!(run(&store, "run-1").await.state, RunState::Queued);
    let claimed = store.run_claim("worker", at(6)).await.unwrap().unwrap();
    assert_eq!(claimed.takes_off, Some(TakesOff::Everybody));
    store.admit(&token("ada", None, 7), at(7)).await.unwrap();
    assert_eq!(run(&store, "run-1").await.state, RunState::Processing);
}

/// An erasure that comes between the reading of a plan and its adoption.
async fn suppress(store: &Store) {
    store
        .writer
        .run(|transaction| {
            Box::pin(async move {
                let row = crate::entity::suppression::ActiveModel {
                    tenant: Set("acme".to_owned()),
                    person: Set(PERSON.to_vec()),
                    time: Set(5),
                    erasure: Set("erasure-1".to_owned()),
                };
                crate::entity::suppression::Entity::insert(row).exec_without_returning(transaction).await.unwrap();
                Ok(())
            })
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn d1_a_plan_is_not_adopted_if_somebody_was_suppressed_since_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let claimed = store.run_claim("worker", at(3)).await.unwrap().unwrap();
    assert!(store.suppressed(&claimed.lease).await.unwrap().is_empty());
    suppress(&store).await;
    assert_eq!(store.plan_adopt(&claimed.lease, adoption(&[]), at(6)).await.unwrap(), None);
    assert_eq!(store.suppressed(&claimed.lease).await.unwrap(), [PERSON].into());
    assert_eq!(run(&store, "run-1").await.counts, Counts::default(), "nothing was written of it");
    let record = PlanRecord { suppressions: 1, ..plan(10) };
    let again = Adoption { record, ..adoption(&[]) };
    assert!(store.plan_adopt(&claimed.lease, again, at(7)).await.unwrap().is_some());
}
