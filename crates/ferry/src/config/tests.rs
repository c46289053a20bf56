#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::file::{Fault, read};
use super::keys::{keys, reference};
use super::layers::layered;
use std::collections::BTreeSet;
use std::ffi::OsString;

fn faults(text: &str) -> Vec<(usize, String)> {
    let (_, faults) = read(text, &keys());
    faults.into_iter().map(|Fault { line, text }| (line.unwrap_or(0), text)).collect()
}

fn only_fault(text: &str) -> String {
    let found = faults(text);
    let [(_, fault)] = found.as_slice() else { panic!("{text}: {found:?}") };
    fault.clone()
}

#[test]
fn every_flag_of_the_service_is_a_key_of_a_section() {
    let keys = keys();
    let names: BTreeSet<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names.len(), keys.len());
    for key in &keys {
        let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(word(&key.section) && word(&key.name), "{}", key.path());
        assert!(!key.section.contains('-'), "the heading of --{} is one word", key.name);
    }
    for wanted in ["listen", "log", "data-dir", "max-streams", "checkpoint-interval", "vault-mount", "metrics-addr"] {
        assert!(names.contains(wanted), "{wanted}");
    }
}

/// The reference is a file; without its marks of comments it says the defaults.
#[test]
fn the_reference_is_a_file_and_its_defaults_are_good() {
    assert_eq!(read(&reference(), &keys()).1, []);
    let stated = reference();
    let stated: Vec<&str> = stated.lines().filter(|line| !line.contains("# no default")).collect();
    let set: String = stated
        .iter()
        .map(|line| {
            let is_key = line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
            format!("{}\n", is_key.unwrap_or(line))
        })
        .collect();
    let (given, faults) = read(&set, &keys());
    assert_eq!(faults, []);
    assert!(given.len() > 15, "{given:?}");
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_all_of_it() {
    let found = faults(
        "[server]\nlisten = \"somewhere\"\nlissten = \"127.0.0.1:1\"\n\n[limits]\nmax-streams = 0\nmax-streams-per-caller = \"many\"\n",
    );
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 6, 7], "{found:?}");
    assert!(found[0].1.starts_with("`server.listen`: invalid value 'somewhere'"), "{found:?}");
    assert_eq!(found[1].1, "`lissten` is no key; is `listen` in [server] meant?");
    assert!(found[2].1.contains("0 is not in"), "{found:?}");
    assert_eq!(found[3].1, "`limits.max-streams-per-caller`: it takes a number, and no string");
}

#[test]
fn a_key_stands_in_its_section_and_nowhere_else() {
    assert_eq!(only_fault("[limits]\nlisten = \"127.0.0.1:1\"\n"), "`listen` belongs into [server], not into [limits]");
    assert_eq!(only_fault("listen = \"127.0.0.1:1\"\n"), "`listen` stands in no section; it belongs into [server]");
    assert_eq!(only_fault("[limit]\nmax-streams = 1\n"), "[limit] is no section; is [limits] meant?");
    assert!(only_fault("[server]\nhelp = true\n").starts_with("`help` is no key"));
    assert!(only_fault("[server]\nconfig = \"other.toml\"\n").starts_with("`config` is no key"));
    assert!(only_fault("[server]\nlisten = \"a\"\nlisten = \"b\"\n").contains("duplicate"));
}

#[test]
fn a_value_has_the_type_of_its_key() {
    let wrong = "it takes one value, and no list";
    assert_eq!(only_fault("[server]\nlisten = [\"127.0.0.1:1\"]\n"), format!("`server.listen`: {wrong}"));
    assert!(only_fault("[destinations]\nallow-suffix = \".test\"\n").contains("it takes a list"));
    assert!(only_fault("[server]\nplaintext-behind-proxy = \"yes\"\n").contains("true or false"));
    assert!(only_fault("[telemetry]\ntrace-file = 1\n").contains("quotation marks"));
    assert!(only_fault("[log]\nlog-format = \"xml\"\n").contains("json"));
}

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// The flags that a file with this text adds.
fn added(text: &str, words: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ferry.toml");
    std::fs::write(&path, text).unwrap();
    let layered = layered(arguments(words), &path, &keys());
    assert_eq!(layered.faults, []);
    layered.arguments[words.len()..].iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_file_says_what_no_flag_says() {
    let text = "[server]\nlisten = \"127.0.0.1:7\"\nplaintext-behind-proxy = false\n\n[limits]\nmax-streams = 0x10\n\n\
                [destinations]\nallow-suffix = [\".one.test\", \".two.test\"]\n\n[telemetry]\ntrace-propagate = true\n";
    let added_to = |words: &[&str]| added(text, words);
    assert_eq!(
        added_to(&["ferry", "serve"]),
        [
            "--listen=127.0.0.1:7",
            "--max-streams=16",
            "--allow-suffix=.one.test",
            "--allow-suffix=.two.test",
            "--trace-propagate",
        ]
    );
    let over = ["ferry", "serve", "--allow-suffix=.three.test", "--listen", "127.0.0.1:8", "--max-streams=1"];
    assert_eq!(added_to(&over), ["--trace-propagate"]);
}
