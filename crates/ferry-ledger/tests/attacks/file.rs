//! Attacks on the file as such, and its forms that are good.

use super::common::{Item, OWN, check, file};
use super::{RUN, bad_entry, log, says};
use ferry_ledger::verify::Place;

#[test]
fn a15_garbage_is_named_and_nothing_breaks() {
    let whole = log().file();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let head = &whole[..first];
    let with = |line: &[u8]| check(&[head, line, b"\n"].concat());
    let huge = [b"{\"entry\":{\"chain\":\"".as_slice(), &[b'x'; 3 << 20], b"\"}}"].concat();
    let deep = [vec![b'['; 100_000]].concat();
    let lines: [&[u8]; 14] = [
        b"x",
        b"{}",
        b"{\"entry\":{}}",
        b"{\"entry\":[]}",
        b"{\"entry\":{\"number\":18446744073709551616}}",
        b"{\"entry\":{\"number\":\"+1\"}}",
        b"{\"entry\":{\"number\":-1}}",
        b"{\"entry\":{\"chain\":\"\xff\"}}",
        b"{\"entry\":{},\"checkpoint\":{}}",
        b"{\"log\":{}}",
        b"{",
        &huge,
        &deep,
        &[b' '; (1 << 20) + 5],
    ];
    for line in lines {
        let report = with(line);
        let shown = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
        // An entry without anything is one of a chain without a name, and no garbage.
        let expected = if line == b"{\"entry\":{}}" { Place::Entry(String::new(), 0) } else { Place::Line(2) };
        assert_eq!(report.bad.as_ref().unwrap().place, expected, "{shown}: {report}");
    }
    says(&check(b""), &Place::Line(1), "empty");
    says(&check(b"\n\n{\"entry\":{}}"), &Place::Line(3), "must begin with `log`");
    let largest = with(format!("{{\"entry\":{{\"chain\":\"{OWN}\",\"number\":{}}}}}", u64::MAX).as_bytes());
    bad_entry(&largest, OWN, 1);
    let sizes = with(b"{\"checkpoint\":{\"leafIndex\":\"9223372036854775808\",\"entries\":\"9223372036854775808\"}}");
    assert!(matches!(sizes.bad.unwrap().place, Place::Checkpoint(1)));
    // What a terminal would obey is not shown to it.
    let escape = with(b"{\"entry\":{\"chain\":\"tenants/\\u001b[2J\\n\",\"number\":1}}");
    assert!(!escape.to_string().contains('\u{1b}'), "{escape:?}");
}

#[test]
fn chains_may_come_in_any_mixture() {
    let log = log();
    let (mut own, run): (Vec<Item>, Vec<Item>) =
        log.items.into_iter().partition(|item| !matches!(item, Item::Entry(row) if row.chain == RUN));
    let first: Vec<Item> = run.iter().chain(&own).cloned().collect();
    own.extend(run);
    for items in [first, own] {
        let report = check(&file(&items));
        assert_eq!((report.verdict().as_str(), report.covered), ("ok", 16), "{report}");
    }
}

/// As grpcurl prints it, with fields that nobody knows.
#[test]
fn a_pretty_printed_file_is_the_same_file() {
    let whole = String::from_utf8(log().file()).unwrap();
    let mut pretty = String::new();
    for line in whole.lines() {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(entry) = value.get_mut("entry").and_then(|entry| entry.as_object_mut()) {
            entry.insert("actor".into(), serde_json::json!({"sub": "maria", "n": [1, 2.5]}));
        }
        pretty += &serde_json::to_string_pretty(&value).unwrap();
        pretty += "\r\n\n";
    }
    assert_eq!(check(pretty.as_bytes()).verdict(), "ok");
    let cut = &pretty[..pretty.len() - 9];
    assert!(matches!(check(cut.as_bytes()).bad.unwrap().place, Place::Line(_)));
}
