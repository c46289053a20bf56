//! The tree over all chains, its checkpoints and its proofs, over real rows.

use super::audit::{chain, tenant_with_run};
use super::*;
use crate::audit::{self, Fact, Who};
use crate::checkpoint::prove;
use crate::entity::{audit_checkpoint, audit_node, batch as batch_row, export_state, run as run_row};
use crate::new_entries::MANY;
use ferry_ledger::checkpoint::{Checkpoint, Signer, VerifierKey, open as open_note};
use ferry_ledger::merkle::{Leaf, pseudonym, verify_consistency, verify_inclusion};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use std::sync::Arc;
use std::time::Duration;

const LOG: &str = "ferry.audit/1";

fn signer(seed: u8) -> Arc<Signer> {
    Arc::new(Signer::new(LOG, &[seed; 32]).unwrap())
}

async fn log(folder: &Path) -> Store {
    let store = open(folder).await;
    store.audit_log_begin(LOG, 1).await.unwrap();
    store
}

async fn append(store: &Store, tenant: &str, count: u64) {
    let tenant = tenant.to_owned();
    let job = store.writer.run(move |transaction| {
        Box::pin(async move {
            for _ in 0..count {
                let fact = Fact::new("TENANT_UPDATED", tenant.as_str(), "x");
                audit::append(transaction, &Who::ferry(), fact, at(1)).await?;
            }
            Ok(())
        })
    });
    job.await.unwrap();
}

async fn signed(store: &Store) -> SignedCheckpoint {
    match store.checkpoint_sign(signer(1), at(5)).await.unwrap() {
        Signing::Signed(signed) => {
            store.checkpoint_copied(LOG, signed.size).await.unwrap();
            signed
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn leaves_and_proofs_hold_at_every_size_for_every_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let store = log(folder.path()).await;
    let tenants = ["", "a", "b", "c", "d"];
    let mut all = vec![];
    for round in 0_u64..40 {
        // Another few tenants each time, by the bits of the round's square.
        let some = tenants.iter().enumerate().filter(|(place, _)| (round * round + 1) >> place & 1 == 1);
        for (_, tenant) in some {
            append(&store, tenant, 1 + round % 3).await;
        }
        all.push(signed(&store).await);
    }
    let key = signer(1).verifier_key().clone();
    for checkpoint in &all {
        let opened = open_note(&checkpoint.note, std::slice::from_ref(&key)).unwrap();
        let said = Checkpoint::parse(opened.text).unwrap();
        assert_eq!((said.origin.as_str(), said.size, said.root), (LOG, checkpoint.size, checkpoint.root));
        assert_eq!(store.checkpoint_at(LOG, checkpoint.size).await.unwrap().as_ref(), Some(checkpoint));
    }
    for (place, new) in all.iter().enumerate() {
        for old in &all[..=place] {
            let proof = prove::consistency(&store.readers, LOG, (old.size, new.size)).await.unwrap();
            assert!(verify_consistency(old.size, &old.root, new.size, &new.root, &proof));
        }
        for tenant in tenants {
            let Some(found) = prove::newest_leaf(&store.readers, (LOG, tenant), new.size).await.unwrap() else {
                continue;
            };
            let leaf = Leaf { pseudonym: pseudonym(tenant, ""), number: found.number, head: found.head };
            let proof = prove::inclusion(&store.readers, LOG, (found.index, new.size)).await.unwrap();
            assert!(verify_inclusion(&leaf.hash(), found.index, new.size, &proof, &new.root));
        }
    }
    for tenant in tenants {
        let leaves = prove::leaves_of(&store.readers, (LOG, tenant)).await.unwrap();
        let entries = chain(&store, tenant, "").await;
        assert_eq!(leaves.last().map(|leaf| leaf.number), entries.last().map(|entry| entry.number));
        assert!(leaves.windows(2).all(|two| two[0].number < two[1].number && two[0].index < two[1].index));
    }
    assert_eq!(store.checkpoints_after(LOG, 0, 1_000).await.unwrap(), all);
}

#[tokio::test]
async fn nothing_new_is_not_signed_and_nothing_is_before_the_last_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let store = log(folder.path()).await;
    assert_eq!(store.checkpoint_sign(signer(1), at(5)).await.unwrap(), Signing::Nothing);
    append(&store, "a", 1).await;
    let Signing::Signed(first) = store.checkpoint_sign(signer(1), at(5)).await.unwrap() else { panic!() };
    assert_eq!(store.checkpoint_sign(signer(1), at(5)).await.unwrap(), Signing::Uncopied);
    append(&store, "a", 1).await;
    assert_eq!(store.checkpoint_sign(signer(1), at(6)).await.unwrap(), Signing::Uncopied);
    store.checkpoint_copied(LOG, first.size).await.unwrap();
    assert_eq!(signed(&store).await.size, 2);
    assert_eq!(store.checkpoint_sign(signer(1), at(5)).await.unwrap(), Signing::Nothing);
    assert!(!store.has_unsigned_entries().await.unwrap());
    let other = Arc::new(Signer::new("ferry.audit/2", &[1; 32]).unwrap());
    append(&store, "a", 1).await;
    assert!(store.checkpoint_sign(other, at(5)).await.is_err(), "the key of another log");
}

#[tokio::test]
async fn a_thousand_new_entries_make_a_checkpoint_due() {
    let folder = tempfile::tempdir().unwrap();
    let store = log(folder.path()).await;
    append(&store, "a", MANY - 1).await;
    assert!(futures::FutureExt::now_or_never(store.checkpoint_due()).is_none());
    append(&store, "b", 1).await;
    tokio::time::timeout(Duration::from_secs(30), store.checkpoint_due()).await.unwrap();
    signed(&store).await;
    assert!(!store.has_new_entries(), "they are covered");
    store.checkpoint_soon();
    tokio::time::timeout(Duration::from_secs(30), store.checkpoint_due()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_signed_over_nodes_that_were_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = log(folder.path()).await;
    for tenant in ["a", "b", "c"] {
        append(&store, tenant, 1).await;
        signed(&store).await;
    }
    let job = store.writer.run(|transaction| {
        Box::pin(async move {
            let changed =
                audit_node::Entity::update_many().col_expr(audit_node::Column::Hash, Expr::value(vec![0_u8; 32]));
            changed.exec(transaction).await.map(|_| ()).map_err(crate::error::database)
        })
    });
    job.await.unwrap();
    append(&store, "a", 1).await;
    assert!(store.checkpoint_sign(signer(1), at(5)).await.is_err());
    assert_eq!(store.checkpoint_newest(LOG).await.unwrap().unwrap().size, 3);
}

#[tokio::test]
async fn a16_the_old_key_names_the_next_one_which_signs_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = log(folder.path()).await;
    append(&store, "a", 1).await;
    signed(&store).await;
    let next: VerifierKey = signer(2).verifier_key().clone();
    let rotation = Rotation { generation: 2, next: next.clone() };
    let Signing::Signed(last) = store.checkpoint_rotate(signer(1), rotation, at(6)).await.unwrap() else { panic!() };
    let opened = open_note(&last.note, &[signer(1).verifier_key().clone()]).unwrap();
    assert_eq!(Checkpoint::parse(opened.text).unwrap().next_key, Some(next));
    let kinds: Vec<String> = chain(&store, "", "").await.into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["AUDIT_KEY_ROTATED"]);
    let log = store.audit_log().await.unwrap().unwrap();
    assert_eq!((log.key_generation, log.key_change_size), (2, last.size));
    store.checkpoint_copied(LOG, last.size).await.unwrap();
    append(&store, "a", 1).await;
    let Signing::Signed(first) = store.checkpoint_sign(signer(2), at(7)).await.unwrap() else { panic!() };
    assert_eq!((last.key_generation, first.key_generation), (1, 2));
}

fn newest_outside() -> SignedCheckpoint {
    let lost = Checkpoint { origin: LOG.to_owned(), size: 50, root: [9; 32], time_ms: 9, next_key: None };
    let note = lost.sign(&signer(1));
    let origin = LOG.to_owned();
    SignedCheckpoint { origin, size: 50, root: [9; 32], note, key_generation: 1, time: at(9) }
}

#[tokio::test]
async fn a11_a_restored_database_begins_a_new_log_and_believes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = log(folder.path()).await;
    // It has a plan, and no batch on record.
    tenant_with_run(&store, "acme").await;
    signed(&store).await;
    let new = Arc::new(Signer::new("ferry.audit/2", &[1; 32]).unwrap());
    let person =
        SuppressedPerson { tenant: "acme".to_owned(), person: vec![1; 16], time: at(3), erasure: "e".to_owned() };
    let lost = Lost {
        newest: newest_outside(),
        origin: "ferry.audit/2".to_owned(),
        key_generation: 1,
        suppressed: vec![person.clone()],
    };
    let done = store.restore_acknowledge(lost, new, at(30)).await.unwrap();
    assert_eq!((done.chains, done.runs, done.first.size), (2, 1, 2), "a leaf for the operator's and for acme's");
    assert_eq!(store.suppressed_people().await.unwrap(), [person]);
    assert_eq!(store.checkpoint_at(LOG, 50).await.unwrap(), Some(newest_outside()), "by which it is known later");
    assert_eq!(store.audit_origins().await.unwrap(), [LOG, "ferry.audit/2"]);
    let entries = chain(&store, "acme", "").await;
    let told = entries.iter().find(|entry| entry.kind == "DATABASE_RESTORED").unwrap();
    assert_eq!((told.details["origin"].as_str(), told.details["size"].as_str()), (LOG, "50"));
    assert_eq!(told.details["root"], "09".repeat(32));
    let run = run_row::Entity::find_by_id("run-acme").one(&store.readers).await.unwrap().unwrap();
    assert_eq!(run.state, RunState::Cancelling.as_str());
    let batches = batch_row::Entity::find().all(&store.readers).await.unwrap();
    let planned = plan(10).batch_rows.len();
    assert_eq!(batches.len(), planned, "each batch of the plan is one that may have been sent");
    assert!(batches.iter().all(|batch| batch.state == "unknown" && batch.may_have_arrived));
    let trusted = export_state::Entity::find().filter(export_state::Column::Untrusted.eq(0));
    assert_eq!(trusted.count(&store.readers).await.unwrap(), 0);
    assert_eq!(audit_checkpoint::Entity::find().count(&store.readers).await.unwrap(), 3);
}
