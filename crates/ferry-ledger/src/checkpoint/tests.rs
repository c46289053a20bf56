#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::{Checkpoint, KeyError, NoteError, Signer, VerifierKey, open, split_notes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The example of `golang.org/x/mod/sumdb/note`.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const SECRET: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE: &str = "\u{2014} PeterNeumann \
    x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn example() -> String {
    format!("{TEXT}\n{SIGNATURE}")
}

fn signer(seed: u8) -> Signer {
    Signer::new("ferry.audit/1", &[seed; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "ferry.audit/1".into(), size: 5, root: [9; 32], time_ms: 1_700_000_000_000, next_key: None }
}

#[test]
fn the_example_of_go_is_made_and_believed() {
    let key: VerifierKey = KEY.parse().unwrap();
    assert_eq!(key.to_string(), KEY);
    assert_eq!(open(&example(), std::slice::from_ref(&key)).unwrap().text, TEXT);
    let seed: [u8; 32] = STANDARD.decode(SECRET).unwrap()[1..].try_into().unwrap();
    let signer = Signer::new("PeterNeumann", &seed).unwrap();
    assert_eq!(signer.verifier_key(), &key);
    assert_eq!(signer.sign_note(TEXT), example());
}

#[test]
fn a_key_with_any_letter_changed_is_no_key() {
    for start in 0..KEY.len() {
        for end in start + 1..=KEY.len() {
            let whole = (start, end) == (0, KEY.len());
            assert_eq!(KEY[start..end].parse::<VerifierKey>().is_ok(), whole, "{}", &KEY[start..end]);
        }
    }
    for place in 0..KEY.len() {
        let mut letters = KEY.as_bytes().to_vec();
        letters[place] += 1;
        assert!(String::from_utf8(letters).unwrap().parse::<VerifierKey>().is_err(), "{place}");
    }
    let ecdsa = "PeterNeumann+c74f20a3+AlpcZAcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(ecdsa.parse::<VerifierKey>(), Err(KeyError::Algorithm));
    assert_eq!(Signer::new("two words", &[1; 32]).unwrap_err(), KeyError::Name);
}

#[test]
fn a08_a_wrong_signature_is_refused_and_a_strangers_is_passed_over() {
    let (ours, other) = (signer(1), signer(2));
    let keys = [ours.verifier_key().clone()];
    let body = checkpoint().body();
    let note = format!("{body}\n{}{}", other.signature_line(&body), ours.signature_line(&body));
    assert_eq!(open(&note, &keys).unwrap().key, keys[0]);
    let strange = other.sign_note(&body);
    assert!(matches!(open(&strange, &keys), Err(NoteError::Unknown(by)) if by.starts_with("ferry.audit/1+")));
    let changed = ours.sign_note(&body).replacen("\n5\n", "\n6\n", 1);
    assert_eq!(open(&changed, &keys), Err(NoteError::Signature("ferry.audit/1".into())));
    // One right signature does not make up for a wrong one of another known key.
    let both = [keys[0].clone(), other.verifier_key().clone()];
    let half = format!("{body}\n{}{}", ours.signature_line(&body), other.signature_line("another text\n"));
    assert!(matches!(open(&half, &both), Err(NoteError::Signature(_))));
    assert!(open(&half, &keys).is_ok());
}

#[test]
fn a_note_with_any_bit_flipped_is_refused() {
    let key = [KEY.parse().unwrap()];
    let note = example();
    for bit in 0..note.len() * 8 {
        let mut bytes = note.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = String::from_utf8(bytes) {
            assert!(open(&flipped, &key).is_err(), "bit {bit}");
        }
    }
    for end in 0..note.len() {
        assert!(note.get(..end).is_none_or(|cut| open(cut, &key).is_err()), "{end}");
    }
}

#[test]
fn a15_what_is_no_note_says_so() {
    let keys = [signer(1).verifier_key().clone()];
    let line = signer(1).signature_line("text\n");
    let many = format!("text\n\n{}", line.repeat(101));
    for bad in ["", "\n", "text\n\n", "text\n\nx\n", "a\rb\n\n", "text", &"x".repeat(100_000), many.as_str()] {
        assert!(matches!(open(bad, &keys), Err(NoteError::Form(_))), "{:?}", &bad[..bad.len().min(20)]);
    }
}

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let next = signer(2).verifier_key().clone();
    for next_key in [None, Some(next)] {
        let checkpoint = Checkpoint { next_key, ..checkpoint() };
        assert_eq!(Checkpoint::parse(&checkpoint.body()), Ok(checkpoint.clone()));
        let note = checkpoint.sign(&signer(1));
        let opened = open(&note, &[signer(1).verifier_key().clone()]).unwrap();
        assert_eq!(Checkpoint::parse(opened.text), Ok(checkpoint));
    }
}

#[test]
fn a_checkpoint_has_one_way_to_write_its_numbers() {
    let body = checkpoint().body();
    assert!(Checkpoint::parse(&format!("{body}other 1\n")).is_ok(), "unknown extensions are passed over");
    for (from, to) in [
        ("\n5\n", "\n05\n"),
        ("\n5\n", "\n+5\n"),
        ("\n5\n", "\n-5\n"),
        ("\n5\n", "\n18446744073709551616\n"),
        ("\n5\n", "\n\n"),
        ("time 1", "time +1"),
        ("time 1700000000000", "time -0"),
        ("time ", "tim "),
        ("=\n", "\n"),
        ("CQkJ", "CQ"),
    ] {
        assert!(body.contains(from));
        assert!(Checkpoint::parse(&body.replacen(from, to, 1)).is_err(), "{to:?}");
    }
    assert!(Checkpoint::parse(&format!("{body}time 1\n")).is_err());
    assert!(Checkpoint::parse(&format!("{body}next-key {KEY}\nnext-key {KEY}\n")).is_err());
    let early = Checkpoint { time_ms: i64::MIN, size: u64::MAX, ..checkpoint() };
    assert_eq!(Checkpoint::parse(&early.body()), Ok(early));
}

#[test]
fn notes_that_were_appended_come_apart_and_a_torn_one_is_left() {
    let (one, two) = (checkpoint().sign(&signer(1)), Checkpoint { size: 6, ..checkpoint() }.sign(&signer(2)));
    let file = format!("{one}{two}");
    assert_eq!(split_notes(&file), (vec![&*one, &*two], ""));
    for end in one.len() + 1..file.len() {
        if let Some(cut) = file.get(..end) {
            let torn = &cut[one.len()..];
            assert_eq!(split_notes(cut), (vec![&*one], torn), "{end}");
        }
    }
    assert_eq!(split_notes(""), (vec![], ""));
    let body = checkpoint().body();
    let both = format!("{body}\n{}{}", signer(1).signature_line(&body), signer(2).signature_line(&body));
    assert_eq!(split_notes(&format!("{both}{two}")), (vec![&*both, &*two], ""));
}
