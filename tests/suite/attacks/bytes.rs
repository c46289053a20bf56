//! The bytes of an exported file: boundaries of fields, leaves and nodes, and what is no log at all.

use super::file::{checkpoint, checkpoints, entry, relink, resign};
use super::{Cases, Edit, exported, own};
use crate::audit::acme;
use crate::audit::export::printed;
use ferry_ledger::verify::Place;
use ferry_ledger::{Entry, MAX_BODY};

/// The same letters in the same order, with another boundary between two fields.
const GAMES: [(&str, Edit); 3] = [
    ("actor and role", |entry| {
        let letter = entry.actor_role.remove(0);
        entry.actor.push(letter);
    }),
    ("kind and actor", |entry| {
        let letter = entry.kind.pop().unwrap();
        entry.actor.insert(0, letter);
    }),
    ("key and value", |entry| {
        let (mut key, mut value) = entry.details.pop_first().unwrap();
        value.insert(0, key.pop().unwrap());
        entry.details.insert(key, value);
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn a13_boundaries_of_fields_and_leaves_for_nodes_in_an_export_are_found() {
    let exported = exported().await;
    let mut cases = Cases::new(&exported.key);
    let denied = exported.items.iter().find_map(|item| match item {
        ferry_proto::v1::export_audit_log_response::Item::Entry(entry) if entry.kind == "CALL_DENIED" => {
            Some(entry.number)
        }
        _ => None,
    });
    let denied = denied.unwrap();
    let number = usize::try_from(denied).unwrap();
    for (what, game) in GAMES {
        let mut items = exported.items.clone();
        let of = entry(&mut items, &acme(), denied);
        let mut says = Entry::decode(&of.encoded).unwrap();
        let before = of.encoded.len();
        game(&mut says);
        of.encoded = says.encode();
        assert_eq!(of.encoded.len(), before, "{what}: the same letters");
        cases.judge(what, printed(&items)).says(&own(number), "it was altered");
        relink(&mut items, &acme());
        let case = cases.judge(format!("{what}, all hashes anew"), printed(&items));
        case.says(&own(exported.uncovered_before(number)), "not those that were signed");
    }
    for (place, of) in checkpoints(&exported.items).into_iter().zip(1_usize..) {
        let mut items = exported.items.clone();
        let seal = checkpoint(&mut items[place]);
        // The node above the leaf in the place of the leaf: one step less to the root.
        let left = seal.inclusion_proof.remove(0);
        seal.leaf_index /= 2;
        let found = own(exported.covered_before(of) + 1);
        cases.judge(format!("{of}: a node for a leaf"), printed(&items)).says(&found, "does not prove");
        // And a leaf in the place of a node: one step more.
        let seal = checkpoint(&mut items[place]);
        seal.leaf_index *= 4;
        seal.inclusion_proof.splice(0..0, [left.clone(), left]);
        cases.judge(format!("{of}: a leaf for a node"), printed(&items)).says(&found, "does not prove");
    }
    // Two hashes as an entry: what is hashed for a node begins with another byte.
    let mut items = exported.items.clone();
    let seal = checkpoint(&mut items[checkpoints(&exported.items)[0]]);
    let pair = [&[1][..], &seal.inclusion_proof[0], &seal.inclusion_proof[0]].concat();
    entry(&mut items, &acme(), denied).encoded = pair;
    relink(&mut items, &acme());
    let case = cases.judge("a node for an entry", printed(&items));
    // The checkpoints before it are those of the entries before it.
    case.says(&own(number), "its bytes are no entry");
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_huge_empty_and_broken_entries_of_an_export_are_a_clean_error() {
    let exported = exported().await;
    let mut cases = Cases::new(&exported.key);
    let middle = exported.items.len() / 2;
    let (before, after) = (printed(&exported.items[..middle]), printed(&exported.items[middle..]));
    let line = u64::try_from(before.lines().count()).unwrap() + 1;
    let huge = [b"{\"entry\":{\"chain\":\"".as_slice(), &[b'x'; 3 << 20], b"\"}}"].concat();
    let lines: [&[u8]; 10] = [
        b"x",
        b"{}",
        b"{\"entry\":[]}",
        b"{\"entry\":{\"number\":18446744073709551616}}",
        b"{\"entry\":{\"number\":-1}}",
        b"{\"entry\":{\"chain\":\"\xff\xfe\"}}",
        b"{\"log\":{}}",
        b"{\"entry\":{},\"checkpoint\":{}}",
        &huge,
        &[b'['; 100_000],
    ];
    for garbage in lines {
        let shown = String::from_utf8_lossy(&garbage[..garbage.len().min(40)]).into_owned();
        let case = cases.judge(shown, [before.as_bytes(), garbage, b"\n", after.as_bytes()].concat());
        case.says(&Place::Line(line), "");
        case.is_told_by_the_command();
    }
    let cut = before.trim_end_matches("}\n").to_owned();
    let case = cases.judge("cut inside of an object", cut);
    assert!(matches!(case.report.bad.as_ref().unwrap().place, Place::Line(_)), "{}", case.report);
    // With hashes that fit, so that only the bytes themselves can be refused.
    let mut broken = Entry::decode(&entry(&mut exported.items.clone(), &acme(), 3).encoded).unwrap().encode();
    let actor = broken.windows(5).position(|letters| letters == b"admin" || letters == b"opera").unwrap();
    broken[actor] = 0xff;
    for (what, bytes) in [("too long", vec![1; MAX_BODY + 1]), ("one byte", vec![1]), ("not UTF-8", broken)] {
        let mut items = exported.items.clone();
        entry(&mut items, &acme(), 3).encoded = bytes;
        relink(&mut items, &acme());
        let case = cases.judge(what, printed(&items));
        case.says(&own(3), "its bytes are no entry");
        case.is_told_by_the_command();
    }
    let mut items = exported.items.clone();
    entry(&mut items, &acme(), 3).encoded.clear();
    cases.judge("without bytes", printed(&items)).says(&own(3), "no policy");
    cases.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_sizes_of_2_to_the_63_in_an_export_are_refused() {
    let exported = exported().await;
    let mut cases = Cases::new(&exported.key);
    let last = *checkpoints(&exported.items).last().unwrap();
    let of = checkpoints(&exported.items).len();
    for size in [1 << 63, u64::MAX] {
        let mut items = exported.items.clone();
        resign(&mut items[last], &exported.stolen, |checkpoint| checkpoint.size = size);
        let seal = checkpoint(&mut items[last]);
        (seal.leaf_index, seal.consistency_proof) = (i64::MAX, vec![vec![0; 32]; 64]);
        let case = cases.judge(format!("a tree of {size}"), printed(&items));
        case.says(&Place::Checkpoint(of as u64), "not proved to continue");
        case.is_told_by_the_command();
        for field in ["leafIndex", "entries"] {
            let file = printed(&exported.items);
            let (head, tail) = file.rsplit_once(&format!("\"{field}\": \"")).unwrap();
            let rest = tail.split_once('"').unwrap().1;
            let case = cases.judge(format!("{field} {size}"), format!("{head}\"{field}\": \"{size}\"{rest}"));
            let bad = case.report.bad.as_ref().unwrap();
            assert!(matches!(bad.place, Place::Entry(..)), "{}", case.report);
            case.is_told_by_the_command();
        }
        let seventh = |number: &str| format!("\"name\": \"{}/auditEntries/7\",\n    \"number\": \"{number}\"", acme());
        let file = printed(&exported.items);
        assert!(file.contains(&seventh("7")));
        let file = file.replacen(&seventh("7"), &seventh(&size.to_string()), 1);
        cases.judge(format!("number {size}"), file).says(&own(7), "it is missing");
    }
    cases.agree();
}
