#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::{
    Frontier, Leaf, MerkleError, NodeId, consistency_plan, empty_root, frontier, inclusion_plan, leaf_hash, node_hash,
    pseudonym, root_plan, verify_consistency, verify_inclusion,
};
use crate::Hash;
use std::collections::HashMap;

/// RFC 6962, 2.1, word for word.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(half(leaves));
            node_hash(&root(left), &root(right))
        }
    }
}

fn half(leaves: &[Hash]) -> usize {
    let mut half = 1;
    while half * 2 < leaves.len() {
        half *= 2;
    }
    half
}

/// RFC 6962, 2.1.1.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(half(leaves));
    if index < left.len() {
        [path(index, left), vec![root(right)]].concat()
    } else {
        [path(index - left.len(), right), vec![root(left)]].concat()
    }
}

/// RFC 6962, 2.1.2.
fn subproof(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if known { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(half(leaves));
    if old <= left.len() {
        [subproof(old, left, known), vec![root(right)]].concat()
    } else {
        [subproof(old - left.len(), right, false), vec![root(left)]].concat()
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

/// The nodes that a store would hold, each once.
fn stored(leaves: &[Hash]) -> (HashMap<NodeId, Hash>, Frontier) {
    let (mut nodes, mut edge) = (HashMap::new(), Frontier::empty());
    for leaf in leaves {
        for (id, hash) in edge.push(*leaf) {
            assert_eq!(nodes.insert(id, hash), None, "{id:?} is complete once");
        }
    }
    (nodes, edge)
}

fn only(nodes: &HashMap<NodeId, Hash>, wanted: &[NodeId]) -> HashMap<NodeId, Hash> {
    wanted.iter().map(|id| (*id, nodes[id])).collect()
}

#[test]
fn a_tree_of_stored_nodes_is_the_tree_of_rfc_6962() {
    let leaves = leaves(83);
    let (nodes, _) = stored(&leaves);
    for size in 0..=leaves.len() {
        let (begun, plan) = (&leaves[..size], root_plan(size as u64));
        let read = only(&nodes, &plan.nodes());
        assert_eq!(plan.finish(&read).unwrap(), [root(begun)]);
        let mut edge = Frontier::new(size as u64, &only(&nodes, &frontier(size as u64))).unwrap();
        assert_eq!((edge.root(), edge.size()), (root(begun), size as u64));
        if let Some(next) = leaves.get(size) {
            for (id, hash) in edge.push(*next) {
                let (start, count) = ((id.position << id.level) as usize, 1 << id.level);
                assert_eq!(hash, root(&leaves[start..start + count]));
                assert_eq!(start + count, size + 1, "complete with this leaf and not before");
            }
            assert_eq!(edge.root(), root(&leaves[..=size]));
        }
    }
}

#[test]
fn each_leaf_is_proved_in_each_tree_and_nowhere_else() {
    let leaves = leaves(80);
    let (nodes, _) = stored(&leaves);
    for size in 1..=leaves.len() {
        let begun = &leaves[..size];
        let root = root(begun);
        for index in 0..size {
            let plan = inclusion_plan(index as u64, size as u64).unwrap();
            let proof = plan.finish(&only(&nodes, &plan.nodes())).unwrap();
            assert_eq!(proof, path(index, begun));
            let holds = |index: usize, size: usize, leaf: &Hash, proof: &[Hash]| {
                verify_inclusion(leaf, index as u64, size as u64, proof, &root)
            };
            assert!(holds(index, size, &begun[index], &proof));
            assert!(!holds(index, size, &leaf_hash(b"another"), &proof));
            for other in (0..size).filter(|other| *other != index) {
                assert!(!holds(other, size, &begun[index], &proof), "{index} shown as {other} of {size}");
            }
            assert!(!holds(index, size, &begun[index], &[&proof[..], &[root]].concat()));
            assert!(!holds(size, size, &begun[index], &proof));
            for place in 0..proof.len() {
                let mut altered = proof.clone();
                altered[place][31] ^= 1;
                assert!(!holds(index, size, &begun[index], &altered));
                altered.remove(place);
                assert!(!holds(index, size, &begun[index], &altered));
            }
        }
    }
}

#[test]
fn a06_each_tree_is_proved_to_begin_with_each_before_it_and_with_no_other() {
    let leaves = leaves(80);
    let (nodes, _) = stored(&leaves);
    for size in 0..=leaves.len() {
        let new = root(&leaves[..size]);
        for old in 0..=size {
            let (begun, plan) = (root(&leaves[..old]), consistency_plan(old as u64, size as u64).unwrap());
            let proof = plan.finish(&only(&nodes, &plan.nodes())).unwrap();
            let naive = if old == 0 { Vec::new() } else { subproof(old, &leaves[..size], true) };
            assert_eq!(proof, naive);
            let holds = |old_root: &Hash, new_root: &Hash, proof: &[Hash]| {
                verify_consistency(old as u64, old_root, size as u64, new_root, proof)
            };
            assert!(holds(&begun, &new, &proof), "{old} in {size}");
            assert!(!holds(&begun, &new, &[&proof[..], &[new]].concat()));
            assert!(!verify_consistency(size as u64 + 1, &begun, size as u64, &new, &proof));
            if old > 0 {
                assert!(!holds(&leaf_hash(b"another"), &new, &proof));
                assert!(!holds(&begun, &leaf_hash(b"another"), &proof));
            }
            for place in 0..proof.len() {
                let mut altered = proof.clone();
                altered[place][0] ^= 0x80;
                assert!(!holds(&begun, &new, &altered));
                altered.remove(place);
                assert!(!holds(&begun, &new, &altered));
            }
        }
    }
}

/// The test vectors of Certificate Transparency.
#[test]
fn the_vectors_of_certificate_transparency_hold() {
    let data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let leaves: Vec<Hash> = data.iter().map(|data| leaf_hash(&unhex(data))).collect();
    let hash = |hex: &str| -> Hash { unhex(hex).try_into().unwrap() };
    assert_eq!(empty_root(), hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    let mut edge = Frontier::empty();
    let mut nodes = HashMap::new();
    for (leaf, root) in leaves.iter().zip(roots) {
        nodes.extend(edge.push(*leaf));
        assert_eq!(edge.root(), hash(root));
    }
    let inclusion = inclusion_plan(5, 8).unwrap().finish(&nodes).unwrap();
    let told = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(inclusion, told.map(hash));
    let consistency = consistency_plan(6, 8).unwrap().finish(&nodes).unwrap();
    let told = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(consistency, told.map(hash));
    assert!(verify_consistency(6, &hash(roots[5]), 8, &hash(roots[7]), &consistency));
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

#[test]
fn a13_a_leaf_is_never_a_node_and_a_tenant_never_another() {
    let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let mut forged = left.to_vec();
    forged.extend(right);
    assert_ne!(leaf_hash(&forged), node_hash(&left, &right));
    assert_ne!(pseudonym("acme", "1"), pseudonym("acm", "e1"));
    assert_ne!(pseudonym("acme", ""), pseudonym("", "acme"));
    let leaf = Leaf { pseudonym: left, number: 0x0102, head: right };
    assert_eq!(leaf.encode()[38..40], [1, 2]);
    assert_ne!(leaf.hash(), Leaf { number: 0x0103, ..leaf }.hash());
}

#[test]
fn a15_trees_of_any_stated_size_give_plain_answers() {
    let huge = [1 << 63, u64::MAX, u64::MAX - 1, (1 << 63) + 1];
    for size in huge {
        for index in [0, 1, size / 2, size - 1] {
            let plan = inclusion_plan(index, size).unwrap();
            assert!(plan.nodes().len() <= 64 * 64);
            assert_eq!(plan.finish(&HashMap::new()), Err(MerkleError::Missing(plan.nodes()[0])));
            assert!(!verify_inclusion(&empty_root(), index, size, &[empty_root(); 70], &empty_root()));
            assert!(consistency_plan(index, size).is_ok());
            assert!(!verify_consistency(index.max(1), &empty_root(), size, &empty_root(), &[empty_root(); 70]));
        }
        assert_eq!(inclusion_plan(size, size), Err(MerkleError::Range(size, size)));
        assert!(frontier(size).len() <= 64);
    }
    assert_eq!(consistency_plan(2, 1), Err(MerkleError::Range(2, 1)));
    assert!(!verify_inclusion(&empty_root(), 0, 0, &[], &empty_root()));
}
