//! Checkpoints of an exported file: exchanged, signed by others, and two for one.

use super::file::{checkpoint, checkpoints, parts, resign};
use super::{Cases, exported};
use crate::audit::export::printed;
use ferry_ledger::checkpoint::Signer;
use ferry_ledger::verify::Place;

/// Another key under the same name.
fn stranger(of: &Signer) -> Signer {
    Signer::new(of.verifier_key().name(), &[7; 32]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a07_an_older_checkpoint_in_the_place_of_a_newer_one_of_an_export_is_found() {
    let exported = exported().await;
    let mut cases = Cases::new(&exported.key);
    let places = checkpoints(&exported.items);
    let last = places.len() - 1;
    assert!(last >= 2, "{places:?}");
    for older in 0..last {
        let mut items = exported.items.clone();
        items[places[last]] = items[places[older]].clone();
        let case = cases.judge(format!("{older} for the newest"), printed(&items));
        case.says(&Place::Checkpoint(last as u64 + 1), if older + 1 < last { "leaves" } else { "" });
    }
    // The newest dropped, and all that it covers: only whoever kept it knows.
    for (older, place) in places[..last].iter().enumerate() {
        let cut = printed(&exported.items[..=*place]);
        cases.judge_with(format!("cut after {older}"), cut.clone(), &exported.kept[..=older]).is_good();
        let case = cases.judge_with(format!("cut after {older}, the newest kept"), cut, &exported.kept[last..]);
        case.says(&Place::Pinned(1), "cut or restored");
        case.is_told_by_the_command();
    }
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a08_a_checkpoint_of_an_export_by_a_wrong_key_is_refused_and_an_unknown_signature_passed_over() {
    let exported = exported().await;
    let mut cases = Cases::new(&exported.key);
    let stranger = stranger(&exported.stolen);
    for (place, number) in checkpoints(&exported.items).into_iter().zip(1..) {
        let mut items = exported.items.clone();
        let note = checkpoint(&mut items[place]).note.clone();
        let (text, _) = parts(&note);
        checkpoint(&mut items[place]).note += &stranger.signature_line(text);
        let more = cases.judge_with(format!("{number}: one more signature"), printed(&items), &exported.kept);
        assert_eq!(more.is_good().pinned_same, 3, "{}", more.report);
        checkpoint(&mut items[place]).note = format!("{text}\n{}", stranger.signature_line(text));
        let case = cases.judge(format!("{number}: a stranger's"), printed(&items));
        case.says(&Place::Checkpoint(number), "none of the given keys");
        case.is_told_by_the_command();
        checkpoint(&mut items[place]).public_key = stranger.verifier_key().to_string();
        let case = cases.judge(format!("{number}: a stranger's, and its key"), printed(&items));
        // Where the first is a stranger's, it is the second that no longer fits.
        case.says(&Place::Checkpoint(number.max(2)), "no signed change of key");
        // The right signature over another text.
        checkpoint(&mut items[place]).public_key.clone_from(&exported.key);
        checkpoint(&mut items[place]).note = note.replacen("\ntime 1", "\ntime 2", 1);
        cases.judge(format!("{number}: another text"), printed(&items)).says(&Place::Checkpoint(number), "");
    }
    // Everything signed anew by somebody who has no key of ours, and the file says whose it is.
    let mut items = exported.items.clone();
    for place in checkpoints(&exported.items) {
        resign(&mut items[place], &stranger, |_| ());
        checkpoint(&mut items[place]).public_key = stranger.verifier_key().to_string();
    }
    let theirs = printed(&items);
    cases.judge("all by a stranger", theirs.clone()).says(&Place::Checkpoint(1), &stranger.verifier_key().to_string());
    cases.judge_by(&stranger.verifier_key().to_string(), "by the stranger's key", theirs.into(), &[]).is_good();
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a09_two_checkpoints_of_one_size_are_a_fork_of_the_export_and_both_are_shown() {
    let exported = exported().await;
    let mut cases = Cases::new(&exported.key);
    for (place, number) in checkpoints(&exported.items).into_iter().zip(1..) {
        let mut other = exported.items[place].clone();
        let note = checkpoint(&mut other).note.clone();
        resign(&mut other, &exported.stolen, |checkpoint| checkpoint.root[0] ^= 1);
        let forged = checkpoint(&mut other).note.clone();
        let mut items = exported.items.clone();
        items.insert(place + 1, other.clone());
        let case = cases.judge(format!("{number} twice"), printed(&items));
        case.says(&Place::Checkpoint(number + 1), "forked");
        assert_eq!(case.report.bad.as_ref().unwrap().proof, [note.clone(), forged.clone()]);
        let shown = case.report.to_string();
        assert!([&note, &forged].into_iter().all(|note| note.lines().all(|line| shown.contains(line))), "{shown}");
        case.is_told_by_the_command();
        // One in the file, the other kept elsewhere.
        let kept = [forged.clone()];
        let case = cases.judge_with(format!("{number} kept another"), printed(&exported.items), &kept);
        case.says(&Place::Pinned(1), "forked");
        assert_eq!(case.report.bad.as_ref().unwrap().proof, [forged, note]);
    }
    cases.agree();
}
