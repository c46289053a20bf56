#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::{Entry, EntryError, EntryResult, MAX_BODY};
use crate::{GENESIS, link};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn sample() -> Entry {
    Entry {
        tenant: "acme".into(),
        chain: "018f".into(),
        number: 7,
        time_ms: -3,
        kind: "EGRESS_INTENT".into(),
        actor: "ferry".into(),
        actor_role: "OWNER".into(),
        required_role: "OPERATOR".into(),
        object: "tenants/acme/exports/x/runs/018f".into(),
        result: EntryResult::Denied,
        reason: "ROLE_MISSING".into(),
        correlation_id: "req-1".into(),
        origin: "10.0.0.1".into(),
        details: BTreeMap::from([("attempt".into(), "1".into()), ("host".into(), "a.example".into())]),
    }
}

prop_compose! {
    fn entries()(
        texts in prop::collection::vec(".{0,12}", 10),
        number in 1_u64..,
        time_ms: i64,
        result in prop_oneof![Just(EntryResult::Ok), Just(EntryResult::Denied), Just(EntryResult::Failed)],
        details in prop::collection::btree_map(".{0,6}", ".{0,9}", 0..5),
    ) -> Entry {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap();
        Entry {
            tenant: text(), chain: text(), number, time_ms, kind: text(), actor: text(), actor_role: text(),
            required_role: text(), object: text(), result, reason: text(), correlation_id: text(), origin: text(), details,
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(entry in entries()) {
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }

    #[test]
    fn a01_every_flipped_bit_is_refused_or_another_entry(entry in entries()) {
        let body = entry.encode();
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Entry::decode(&flipped) {
                prop_assert_ne!(&other, &entry);
                prop_assert_eq!(other.encode(), flipped);
            }
        }
    }

    #[test]
    fn every_truncation_is_refused(entry in entries()) {
        let body = entry.encode();
        for end in 0..body.len() {
            prop_assert!(Entry::decode(&body[..end]).is_err(), "{} of {} bytes", end, body.len());
        }
    }

    #[test]
    fn a15_random_bytes_neither_panic_nor_have_two_forms(mut bytes in prop::collection::vec(any::<u8>(), 0..400), small: bool) {
        // Small bytes make lengths that fit, so that decoding gets further.
        if small {
            bytes.iter_mut().for_each(|byte| *byte %= 5);
        }
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode(), bytes);
        }
    }
}

#[test]
fn a13_a_letter_that_moves_over_a_border_makes_another_body() {
    let one = sample();
    let fields: [fn(&mut Entry) -> &mut String; 10] = [
        |entry| &mut entry.tenant,
        |entry| &mut entry.chain,
        |entry| &mut entry.kind,
        |entry| &mut entry.actor,
        |entry| &mut entry.actor_role,
        |entry| &mut entry.required_role,
        |entry| &mut entry.object,
        |entry| &mut entry.reason,
        |entry| &mut entry.correlation_id,
        |entry| &mut entry.origin,
    ];
    for pair in fields.windows(2) {
        let mut other = one.clone();
        let letter = pair[0](&mut other).pop().unwrap();
        pair[1](&mut other).insert(0, letter);
        assert_ne!(other.encode(), one.encode());
        assert_eq!(Entry::decode(&other.encode()), Ok(other.clone()));
        assert_ne!(link(&GENESIS, &other.encode()), link(&GENESIS, &one.encode()));
    }
    let (mut key, mut value) = (one.clone(), one);
    key.details = BTreeMap::from([("ab".into(), "c".into())]);
    value.details = BTreeMap::from([("a".into(), "bc".into())]);
    assert_ne!(key.encode(), value.encode());
}

/// The bytes of the sample, and where the number of its details stands.
fn with_details() -> (Vec<u8>, usize) {
    let body = sample().encode();
    let tail = 4 + (4 + 7 + 4 + 1) + (4 + 4 + 4 + 9);
    let place = body.len() - tail;
    (body, place)
}

#[test]
fn details_have_one_order() {
    let (mut body, place) = with_details();
    let (first, second) = (body[place + 4..place + 20].to_vec(), body[place + 20..].to_vec());
    body.truncate(place + 4);
    let swapped = [&body[..], &second, &first].concat();
    assert_eq!(Entry::decode(&swapped), Err(EntryError::Field("details")));
    let twice = [&body[..], &first, &first].concat();
    assert_eq!(Entry::decode(&twice), Err(EntryError::Field("details")));
    let right = [&body[..], &first, &second].concat();
    assert_eq!(Entry::decode(&right), Ok(sample()));
}

#[test]
fn a15_lengths_that_lie_are_refused_before_anything_is_allocated() {
    let (body, place) = with_details();
    let mut lie = body.clone();
    lie[place..place + 4].copy_from_slice(&[0xff; 4]);
    assert_eq!(Entry::decode(&lie), Err(EntryError::Short("details")));
    let mut lie = body.clone();
    lie[1..5].copy_from_slice(&[0xff; 4]);
    assert_eq!(Entry::decode(&lie), Err(EntryError::Short("tenant")));
    assert_eq!(Entry::decode(&[]), Err(EntryError::Short("version")));
    assert_eq!(Entry::decode(&[2]), Err(EntryError::Version(2)));
    assert_eq!(Entry::decode(&vec![1; MAX_BODY + 1]), Err(EntryError::TooLarge(MAX_BODY + 1)));
    assert_eq!(Entry::decode(&[&body[..], &[0]].concat()), Err(EntryError::Long(1)));
    assert_eq!(Entry::decode(&Entry { number: 0, ..sample() }.encode()), Err(EntryError::Field("number")));
    let largest = Entry { number: u64::MAX, time_ms: i64::MIN, ..sample() };
    assert_eq!(Entry::decode(&largest.encode()), Ok(largest));
}

#[test]
fn a15_bytes_that_are_no_text_are_refused() {
    let mut body = sample().encode();
    body[5] = 0xff;
    assert_eq!(Entry::decode(&body), Err(EntryError::Field("tenant")));
}

/// Whoever changes the format must see that old logs are read no more.
#[test]
fn the_format_is_fixed() {
    let link = link(&GENESIS, &sample().encode());
    let hex: String = link.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "6d5f3df575027996945b3dc962829975a248d1ff59b88f06abe940cf3e3a718d");
}
