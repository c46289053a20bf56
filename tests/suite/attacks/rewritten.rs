//! Chains that are consistent with themselves: an entry slipped in, and a whole history written anew.

use super::rows::{Chain, statement};
use super::scene::parse;
use super::{Cases, Scene, own};
use ferry_ledger::merkle::{Frontier, Leaf, pseudonym};
use ferry_ledger::verify::Place;
use ferry_testkit::TENANT;
use sea_orm::{ConnectionTrait, DatabaseBackend, QueryResult, Statement};
use std::collections::HashMap;

/// The chain with a made-up refusal as entry `number`.
fn with_another(whole: &Chain, number: usize) -> Chain {
    let mut longer = whole.clone();
    let mut made_up = whole.rows[whole.first("CALL_DENIED")].clone();
    made_up.edit(|entry| entry.actor = "somebody else".into());
    longer.rows.insert(number - 1, made_up);
    longer.rewritten()
}

#[tokio::test(flavor = "multi_thread")]
async fn a04_an_entry_slipped_into_the_database_with_every_later_hash_made_anew_is_found_by_a_checkpoint() {
    let mut scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    let whole = scene.own().await;
    let covered: Vec<usize> = scene.kept.iter().map(|kept| usize::try_from(kept.entries).unwrap()).collect();
    for number in [1, 2, covered[0], covered[0] + 1, covered[1], covered[1] + 1, whole.len()] {
        scene.put_whole(&with_another(&whole, number)).await;
        let place = own(scene.uncovered_before(number));
        let case = cases.judge(format!("{number} slipped in"), scene.file().await);
        case.says(&place, "not those that were signed");
    }
    scene.put_whole(&whole).await;
    // In a run's chain the tenant's own tells, which says how long it was and what its end.
    let run = &scene.runs[0];
    let sent = scene.sent(0).await;
    let mut longer = sent.clone();
    let mut made_up = sent.rows[sent.first("EGRESS_INTENT")].clone();
    made_up.edit(|entry| drop(entry.details.insert("attempt".into(), "made up".into())));
    longer.rows.insert(0, made_up);
    scene.put_whole(&longer.rewritten()).await;
    let place = Place::Entry(run.name.clone(), 1);
    cases.judge("slipped into a run", scene.file().await).says(&place, "names another hash");
    scene.put_whole(&sent).await;
    // The service goes on from there, and signs: whoever asks for what they kept is shown that it is another history.
    let number = covered[1] + 1;
    scene.put_whole(&with_another(&whole, number)).await;
    let kept = scene.notes();
    scene.refused(1).await;
    scene.keep().await;
    let signed_since = scene.file().await;
    cases.judge_with("and signed since", signed_since, &kept).says(&own(number), "not those that were signed");
    // Whoever does not ask for it has only its size, and is told so.
    let unasked = cases.judge_with("and not asked for", scene.file_without_kept().await, &kept[..2]).is_good();
    assert_eq!((unasked.pinned_same, unasked.pinned_by_size), (0, 2), "{unasked}");
    cases.agree();
}

/// The service signs on top of an altered chain, and the leaves that say what was there are taken out of the database:
/// every root is right then. Whoever kept what `GetCheckpoint` answered finds it out all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a06_a_chain_altered_behind_hidden_leaves_is_found_by_what_was_covered() {
    let mut scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    let (notes, receipts) = (scene.notes(), scene.receipts());
    let good = cases.judge_with("unaltered", scene.file().await, &receipts).is_good();
    assert_eq!((good.pinned_bare, good.pinned_through), (0, u64::try_from(scene.kept[2].entries).unwrap()), "{good}");
    let whole = scene.own().await;
    let number = usize::try_from(scene.kept[1].entries).unwrap();
    scene.put_whole(&with_another(&whole, number)).await;
    scene.refused(1).await;
    scene.keep().await;
    scene.execute(&format!("DELETE FROM audit_leaves WHERE tenant = '{TENANT}' AND number <= {}", whole.len())).await;
    let bare = cases.judge_with("a note alone", scene.file().await, &notes).is_good();
    assert_eq!((bare.pinned_same, bare.pinned_bare), (3, 3), "{bare}");
    let case = cases.judge_with("what was covered", scene.file().await, &receipts);
    case.says(&Place::Pinned(2), "not those that it covers");
    case.is_told_by_the_command();
    cases.agree();
}

/// Who has the database and the signing key writes another history, down to the tree and every signature.
#[tokio::test(flavor = "multi_thread")]
async fn a06_a_database_rewritten_with_the_stolen_key_is_found_by_any_older_checkpoint() {
    let mut scene = Scene::new().await;
    let mut cases = Cases::new(scene.key());
    let mut other = scene.own().await;
    for row in &mut other.rows {
        row.edit(|entry| entry.origin = "192.0.2.1:1".into());
    }
    let other = other.rewritten();
    scene.put_whole(&other).await;
    cases.judge("without the tree", scene.file().await).says(&own(1), "not those that were signed");
    sign_anew(&scene, &other).await;
    let file = scene.file().await;
    let report = cases.judge("consistent with itself", file.clone()).is_good();
    assert_eq!(report.uncovered(), 0, "{report}");
    for note in scene.notes() {
        let case = cases.judge_with("against what was kept", file.clone(), std::slice::from_ref(&note));
        case.says(&Place::Pinned(1), "forked");
        let proof = &case.report.bad.as_ref().unwrap().proof;
        let roots = [parse(&proof[0]), parse(&proof[1])].map(|checkpoint| (checkpoint.size, checkpoint.root));
        assert!(proof[0] == note && roots[0].0 == roots[1].0 && roots[0].1 != roots[1].1, "{proof:?}");
    }
    cases.agree();
    // Nor does the service go on with it: the copy outside of the database is of another history.
    scene.stage.kill();
    let told = scene.stage.start_refused().await;
    assert!(told.contains("acknowledge-restore"), "{told}");
}

/// Makes the tree over the tenant's new chain, and signs every checkpoint of it.
async fn sign_anew(scene: &Scene, chain: &Chain) {
    let all = async |query: &str| -> Vec<QueryResult> {
        scene.database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap()
    };
    let tenants = all("SELECT id, uid FROM tenants").await;
    let text = |row: &QueryResult, column: &str| row.try_get::<String>("", column).unwrap();
    let uids: HashMap<String, String> = tenants.iter().map(|row| (text(row, "id"), text(row, "uid"))).collect();
    let mut tree = Frontier::empty();
    let mut roots = vec![tree.root()];
    for row in all("SELECT tenant, number, head FROM audit_leaves ORDER BY position").await {
        let (tenant, number): (String, i64) = (text(&row, "tenant"), row.try_get("", "number").unwrap());
        let mut head: Vec<u8> = row.try_get("", "head").unwrap();
        if tenant == TENANT {
            head.clone_from(&chain.rows[usize::try_from(number - 1).unwrap()].hash);
            let update = "UPDATE audit_leaves SET head = ? WHERE tenant = ? AND number = ?";
            let values = [head.clone().into(), TENANT.into(), number.into()];
            scene.database.execute_raw(statement(update, values)).await.unwrap();
        }
        let uid = uids.get(&tenant).map_or("", String::as_str);
        let number = u64::try_from(number).unwrap();
        let leaf = Leaf { pseudonym: pseudonym(&tenant, uid), number, head: head.try_into().unwrap() };
        for (node, hash) in tree.push(leaf.hash()) {
            let update = "UPDATE audit_nodes SET hash = ? WHERE level = ? AND position = ?";
            let position = i64::try_from(node.position).unwrap();
            let values = [hash.to_vec().into(), i64::from(node.level).into(), position.into()];
            let done = scene.database.execute_raw(statement(update, values)).await.unwrap();
            assert_eq!(done.rows_affected(), 1, "{node:?}");
        }
        roots.push(tree.root());
    }
    for row in all("SELECT note FROM audit_checkpoints").await {
        let mut checkpoint = parse(&text(&row, "note"));
        checkpoint.root = roots[usize::try_from(checkpoint.size).unwrap()];
        let note = checkpoint.sign(&scene.stolen());
        let update = "UPDATE audit_checkpoints SET root = ?, note = ? WHERE size = ?";
        let size = i64::try_from(checkpoint.size).unwrap();
        let values = [checkpoint.root.to_vec().into(), note.into(), size.into()];
        scene.database.execute_raw(statement(update, values)).await.unwrap();
    }
}
